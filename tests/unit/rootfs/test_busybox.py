"""What a busybox can do is read from the program: names, sorted, one after the other."""

from __future__ import annotations

import pytest

from melpy.rootfs.busybox import find_links

NAMES = b"[\0[[\0cat\0init\0wc\0\0"
LINKS = ["usr/bin/[", "usr/bin/[[", "bin/cat", "sbin/init", "usr/bin/wc"]


@pytest.mark.parametrize("before", [b"", b"\0", b"\x7fELF...\xc0\xae ", b" x[\0[[\0zero\0a\0\0"])
def test_whatever_is_before_the_names(before: bytes) -> None:
    """In Debian trixie's busybox 1.37 a table of bytes is, which does not end with a NUL."""
    assert find_links(before + NAMES + b"/var/log/wtmp\0") == LINKS


@pytest.mark.parametrize("program", [b"", b"no names", b"[\0[[\0", b"[\0[[\0b\0a\0\0"])
def test_a_program_that_does_not_say(program: bytes) -> None:
    assert find_links(program) == []
