"""Programs of this machine for a root of another architecture.

Emulated, a configure script takes some 25 times as long. Most of what it runs only moves text about, and a cross
compiler makes the same code wherever it runs; so such programs are replaced by this machine's, from the same packages
of the same repositories. What comes in are the extracted packages of both architectures and the table's rules; what
goes out is

- for each package a layer for the top of the root, with programs in the places of the emulated ones, which ask for a
  loader of their own, and the names of the libraries that they need;
- for all of them a directory for `/run/melpy/native` with that loader, its cache, and the libraries.

Nothing of this machine's lies where programs of the other architecture look for their libraries: a root in which both
have theirs in /usr/lib works as well as Debian's, where each has a directory of its own.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.elf.fast import read_elf_fast
from melpy.elf.image import MAGIC
from melpy.elf.loader_cache import CacheEntry, read_kind, render_cache
from melpy.elf.model import ElfError
from melpy.elf.patch import set_interpreter, set_loader_cache
from melpy.sandbox.model import LOADER_CACHE, NATIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from melpy.arch import Arch
    from melpy.elf.model import ElfFacts
    from melpy.sandbox.tooltable import Tool

VERSION = 5
"""Raised when the same packages give another layer."""

_LOADER = f"{NATIVE}/ld.so"  # not longer than /lib64/ld-linux-x86-64.so.2, whose place it takes
_DRIVERS = "run/melpy/drivers"
_NEEDED = "needed.json"
_LIBRARY_DIRECTORIES = ("usr/lib64", "lib64", "usr/lib", "lib")
_MOST_LINKS = 8  # in a row
_HEAD = 4096  # bytes of a script


class ToolPackage(Struct, frozen=True):
    """A package of the table that both architectures have, extracted.

    Attributes:
        tool: what the table says of it.
        foreign: its files for the architecture that is built for.
        native: its files for this machine.
    """

    tool: Tool
    foreign: Path
    native: Path


def make_layer(package: ToolPackage, arch: Arch, host: Arch, directory: Path) -> None:
    """Make a layer with a package's programs in an empty directory, and write down what they need.

    A program is left as it is where the other architecture has none in its place, or where it looks for its libraries
    in places of its own.

    Args:
        package: the package.
        arch: architecture that is built for.
        host: architecture of this machine.
        directory: gets `layer/`, and the sonames in `needed.json`.

    Raises:
        ElfError: a program is none.
        OSError: the directory cannot be written.
    """
    layer = directory / "layer"
    layer.mkdir()
    needed: set[str] = set()
    for path, native in _find_programs(package, arch, host):
        facts = _facts(native)
        assert facts is not None
        needed.update(facts.needed)
        data = native.read_bytes()
        if facts.interpreter:
            data = set_interpreter(data, _LOADER)
        if package.tool.is_driver(path):
            name = PurePosixPath(path).name
            _write(layer / _DRIVERS / name, data, 0o755)
            foreign = (package.foreign / path).read_bytes()
            data = package.tool.render_script(f"/{_DRIVERS}/{name}", foreign).encode()
        _write(layer / path, data, 0o755)
    for old, new in package.tool.rule.moved.items() if needed else ():
        link = layer / old
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(new, PurePosixPath(old).parent))
    (directory / _NEEDED).write_text(json.dumps(sorted(needed)), encoding="utf-8")


def is_native_tool(file: Path) -> bool:
    """Tell whether a file is a program, or the script in front of one, that stood in for a foreign one."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    if head.startswith(b"#!"):
        return b'exec -a "$0" /' + _DRIVERS.encode() in head
    facts = _facts(file) if head.startswith(MAGIC) else None
    return facts is not None and facts.interpreter == _LOADER


def read_needed(directory: Path) -> tuple[str, ...]:
    """Return the sonames that a layer's programs ask for; none when nothing was replaced."""
    return tuple(json.loads((directory / _NEEDED).read_bytes()))


def _find_programs(package: ToolPackage, arch: Arch, host: Arch) -> Iterator[tuple[str, Path]]:
    """Yield what is replaced: the path in the root, and this machine's file."""
    tool = package.tool
    for place in _files(package.native):
        path = tool.moved_path(place.relative_to(package.native).as_posix())
        if not tool.has_path(path) or not _is_binary(package.foreign / path, arch) or not _is_binary(place, host):
            continue
        facts = _facts(place)
        if facts and (facts.interpreter or tool.has_plugin(path)) and not (facts.rpath or facts.runpath):
            yield path, place


def _files(directory: Path) -> Iterator[Path]:
    for name, directories, files in os.walk(directory):
        directories.sort()
        yield from (Path(name, file) for file in sorted(files) if not Path(name, file).is_symlink())


def _is_binary(path: Path, arch: Arch) -> bool:
    facts = None if path.is_symlink() or not path.is_file() else _facts(path)
    return facts is not None and (facts.machine, facts.elf_class) == (arch.machine, arch.elf_class)


def _facts(path: Path) -> ElfFacts | None:
    try:
        return read_elf_fast(path)
    except (ElfError, OSError):
        return None


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def find_libraries(needed: Iterable[str], packages: Sequence[Path], host: Arch) -> dict[str, Path] | None:
    """Return all libraries that lead from these sonames, by soname; None when one cannot be had.

    Args:
        needed: sonames.
        packages: files of this machine's packages, extracted.
        host: architecture of this machine.
    """
    found: dict[str, Path] = {}
    pending = list(needed)
    while pending:
        soname = pending.pop()
        if soname in found:
            continue
        library = _find_library(soname, packages, host)
        facts = library and _facts(library)
        if not library or not facts or facts.rpath or facts.runpath:
            return None
        found[soname] = library
        pending += facts.needed
    return found


def _find_library(soname: str, packages: Sequence[Path], host: Arch) -> Path | None:
    for layer in packages:
        for directory in (f"usr/lib/{host.multiarch}", *_LIBRARY_DIRECTORIES):
            place = _follow_links(layer / directory / soname)
            if place is not None and _is_binary(place, host):
                return place
    return None


def _follow_links(path: Path) -> Path | None:
    """Follow the symlinks of a library within its own directory."""
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            return path if path.is_file() else None
        target = os.readlink(path)  # noqa: PTH115  # pathlib would tidy it up
        if "/" in target:
            return None
        path = path.parent / target
    return None


def find_kept(tools: Iterable[Tool], layers: Sequence[Path], replaced: Iterable[Path]) -> dict[str, str]:
    """Return programs that must stay foreign, but are links to one that is replaced, such as busybox's `uname`.

    Args:
        tools: the packages that are replaced.
        layers: the foreign root, its top first.
        replaced: the layers with this machine's programs.

    Returns:
        Path of the link and path of the program, relative to the root.
    """
    kept = {}
    for name in (name for tool in tools for name in tool.rule.exceptions):
        path = posixpath.join(_resolve(posixpath.dirname(name), layers), posixpath.basename(name))
        place = _resolve(path, layers)
        if place != path and any((layer / place).is_file() for layer in replaced):
            kept[path] = place
    return kept


def _resolve(path: str, layers: Sequence[Path]) -> str:
    """Return where a path of a root leads, all symlinks followed; of several layers the first that has it decides."""
    left, found, links = path.split("/")[::-1], "", 0
    while left:
        name = left.pop()
        if name in {"", ".", ".."}:
            found = posixpath.dirname(found) if name == ".." else found
            continue
        place = posixpath.join(found, name)
        top = next((layer / place for layer in layers if os.path.lexists(layer / place)), None)
        if top is None or not top.is_symlink() or links == _MOST_LINKS:
            found = place
            continue
        links += 1
        target = os.readlink(top)  # noqa: PTH115  # pathlib would tidy it up
        found = "" if target.startswith("/") else found
        left += target.split("/")[::-1]
    return found


def make_native(
    libraries: Mapping[str, Path], tools: Iterable[Tool], kept: Mapping[str, Path], host: Arch, directory: Path
) -> None:
    """Make what native tools run with in an empty directory.

    Args:
        libraries: libraries by soname, the loader among them.
        tools: the packages that they are for.
        kept: foreign programs that links are to lead to, by the path of the link.
        host: architecture of this machine.
        directory: gets `native/`, `cache`, and `layer/` for the top of the root.

    Raises:
        ElfError: the loader is none of glibc's.
        OSError: the directory cannot be written.
    """
    native = directory / "native"
    (native / "lib").mkdir(parents=True)
    entries = []
    for soname, place in sorted(libraries.items()):
        _link(place, native / "lib" / soname)
        entries.append(CacheEntry(soname, f"{NATIVE}/lib/{soname}", _kind(place)))
    (directory / "cache").write_bytes(render_cache(entries, big_endian=host.big_endian))
    loader = next((place for soname, place in libraries.items() if soname.startswith("ld-linux")), None)
    if loader is None:
        raise ElfError("no program asks for a loader of glibc's")
    _write(native / "ld.so", set_loader_cache(loader.read_bytes(), str(LOADER_CACHE)), 0o755)
    for path, text in (item for tool in tools for item in tool.files.items()):
        _write(native / path, text.encode(), 0o644)
    (directory / "layer").mkdir()
    for path, program in kept.items():
        name = PurePosixPath(path).name
        _write(native / "foreign" / name, program.read_bytes(), 0o755)
        link = directory / "layer" / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"{NATIVE}/foreign/{name}")


def _kind(library: Path) -> int:
    facts = _facts(library)
    if facts is None:
        return 0
    with library.open("rb") as stream:
        return read_kind(stream, facts) or 0


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another file system, or linked too often
        shutil.copyfile(source, target)
        target.chmod(0o755)
