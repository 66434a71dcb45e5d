"""Programs get another loader, and loaders another cache, in place."""

from __future__ import annotations

import io

import pytest

from melpy.elf.fast import read_elf_fast
from melpy.elf.model import ElfError
from melpy.elf.patch import set_interpreter, set_loader_cache
from tests.factories.elf import elf

LOADER = "/lib64/ld-linux-x86-64.so.2"


def test_only_the_interpreter_changes() -> None:
    before = elf(interpreter=LOADER, needed=["libc.so.6"])
    after = set_interpreter(before, "/run/melpy/native/ld.so")
    facts = read_elf_fast(io.BytesIO(after))
    assert facts is not None
    assert facts.interpreter == "/run/melpy/native/ld.so"
    assert facts.needed == ("libc.so.6",)
    assert len(after) == len(before)
    changed = [place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert max(changed) - min(changed) < len(LOADER)


def test_a_longer_path_does_not_fit() -> None:
    with pytest.raises(ElfError, match="do not fit"):
        set_interpreter(elf(interpreter=LOADER), f"{LOADER}x")
    with pytest.raises(ElfError, match="asks for no loader"):
        set_interpreter(elf(), "/x")


def test_the_cache_of_a_loader() -> None:
    loader = b"ELF\0/etc/ld.so.preload\0/etc/ld.so.cache\0rest"
    assert set_loader_cache(loader, "/run/melpy/cache") == b"ELF\0/etc/ld.so.preload\0/run/melpy/cache\0rest"
    assert set_loader_cache(loader, "/a") == b"ELF\0/etc/ld.so.preload\0/a" + bytes(15) + b"rest"
    for other in (b"ELF", loader + loader):
        with pytest.raises(ElfError, match="no loader of glibc's"):
            set_loader_cache(other, "/a")
    with pytest.raises(ElfError, match="do not fit"):
        set_loader_cache(loader, "/etc/ld.so.cache2")
