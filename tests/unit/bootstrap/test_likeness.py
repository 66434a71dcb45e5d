from __future__ import annotations

import pytest

from melpy.bootstrap.likeness import Likeness

NAMES = Likeness(
    """
    cairo-5c libcairo-5c-dev libcairo2 libcairo2-dev libdav1d7 libglib2.0-0t64 libglib2.0-dev libgtk-3-0t64
    libgtk2.0-0t64 libpng16-16t64 libssh-4 libssh2-1t64 libtinyxml2-11 libtinyxml2.6.2v5 libusb-1.0-0 libusb3380-0t64
    libuv1t64 libvorbis0a llvm-17 systemd libsystemd0 zlib1g libcap2-bin
    """.split()
)


@pytest.mark.parametrize(
    ("stem", "ending", "found"),
    [
        ("glib", "", "libglib2.0-0t64"),
        ("glib", "-dev", "libglib2.0-dev"),
        ("libgtk-2.0", "", "libgtk2.0-0t64"),
        ("gtk-3", "", "libgtk-3-0t64"),
        ("libpng", "", "libpng16-16t64"),
        ("libvorbis", "", "libvorbis0a"),
        ("libdav1d", "", "libdav1d7"),
        ("libcap", "-bin", "libcap2-bin"),
        # libssh.so.4, not libssh2.so.1; and the other way round.
        ("libssh", "", "libssh-4"),
        ("libssh2", "", "libssh2-1t64"),
        ("libusb", "", "libusb-1.0-0"),
        ("libtinyxml", "", "libtinyxml2.6.2v5"),
        ("libtinyxml2", "", "libtinyxml2-11"),
        # What is asked for as a library is nothing else.
        ("libsystemd", "", "libsystemd0"),
        # A number that would only be longer is another one.
        ("llvm-1", "", None),
        ("nothing", "", None),
    ],
)
def test_names_are_found_by_what_they_are_without_versions(stem: str, ending: str, found: str | None) -> None:
    assert next(iter(NAMES.find(stem, ending)), None) == found


def test_a_program_is_no_library_where_that_matters() -> None:
    assert NAMES.find("uv") == ("libuv1t64",)
    assert NAMES.find("uv", strict=True) == ()
