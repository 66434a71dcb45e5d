"""Programs get another loader, and loaders another cache, in place."""

from __future__ import annotations

import io
import struct

import pytest

from melpy.arch import ARCHES
from melpy.elf.cache import Library, render_loader_cache
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


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "s390x"])
def test_a_cache_holds_its_libraries_in_the_loaders_order(arch: str) -> None:
    names = ["libz.so.1", "libc.so.6", "liba.so.9", "liba.so.10", "libstdc++.so.6"]
    data = render_loader_cache([Library(name, f"/lib/{name}") for name in names], ARCHES[arch])
    order = ">" if ARCHES[arch].big_endian else "<"
    count, size = struct.unpack_from(f"{order}II", data, 20)
    entries = [struct.unpack_from(f"{order}iIIIQ", data, 48 + 24 * number) for number in range(count)]
    assert 48 + 24 * count + size == len(data)
    found = [
        tuple(data[place : data.index(b"\0", place)].decode() for place in (key, value))
        for _, key, value, *_ in entries
    ]
    # Descending, runs of digits as numbers: what `ldconfig -p` prints.
    ordered = ["libz.so.1", "libstdc++.so.6", "libc.so.6", "liba.so.10", "liba.so.9"]
    assert found == [(name, f"/lib/{name}") for name in ordered]
