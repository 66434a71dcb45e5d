"""Programs of this machine for a root of another architecture.

Emulated, a configure script takes some 25 times as long. Most of what it runs only moves text about, and a cross
compiler makes the same code wherever it runs; so such programs are replaced by this machine's, from the same packages
of the same repositories. What comes in are the extracted packages of both architectures and the table's rules; what
goes out is

- a layer for the top of the root, with programs in the places of the emulated ones. They ask for a loader of their own;
- a directory for `/run/melpy/native` with that loader, its cache, and the libraries that the programs need.

Nothing of this machine's lies where programs of the other architecture look for their libraries: a root in which both
have theirs in /usr/lib works as well as Debian's, where each has a directory of its own.
"""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy.elf.cache import Library, render_loader_cache
from melpy.elf.fast import read_elf_fast
from melpy.elf.model import ElfError
from melpy.elf.patch import set_interpreter, set_loader_cache
from melpy.sandbox.model import LOADER_CACHE, NATIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.arch import Arch
    from melpy.elf.model import ElfFacts
    from melpy.sandbox.tooltable import Tool

_LOADER = f"{NATIVE}/ld.so"  # not longer than /lib64/ld-linux-x86-64.so.2, whose place it takes
_LIBRARY_DIRECTORIES = ("usr/lib64", "lib64", "usr/lib", "lib")

VERSION = 1
"""Raised when the same packages give another layer."""


@dataclass(frozen=True)
class ToolPackage:
    """A package of the table that both architectures have, extracted.

    Attributes:
        tool: what the table says of it.
        foreign: its files for the architecture that is built for.
        native: its files for this machine.
    """

    tool: Tool
    foreign: Path
    native: Path


@dataclass(frozen=True)
class ToolSpec:
    """What native tools are made of.

    Attributes:
        arch: architecture that is built for.
        host: architecture of this machine.
        packages: the packages of the table.
        libraries: files of all packages that this machine's programs need, extracted.
    """

    arch: Arch
    host: Arch
    packages: tuple[ToolPackage, ...]
    libraries: tuple[Path, ...]


@dataclass
class _Maker:
    """Fills the two directories."""

    spec: ToolSpec
    directory: Path
    replaced: list[str] = field(default_factory=list)
    libraries: dict[str, Path] = field(default_factory=dict)

    @property
    def layer(self) -> Path:
        return self.directory / "layer"

    @property
    def native(self) -> Path:
        return self.directory / "native"


def make_tools(spec: ToolSpec, directory: Path) -> tuple[str, ...]:
    """Make `layer/` and `native/` in an empty directory; return the paths of the programs that were replaced.

    A program is left as it is where the other architecture has none in its place, where it finds its libraries in a
    way of its own, or where one of them is not there.

    Raises:
        ElfError: a program or the loader is none.
        OSError: the directory cannot be written.
    """
    maker = _Maker(spec, directory)
    for part in ("layer", "native/lib", "native/bin", "native/foreign"):
        (directory / part).mkdir(parents=True)
    for package in spec.packages:
        before = len(maker.replaced)
        for path, native in _find_programs(package, spec):
            _replace(maker, package, path, native)
        if len(maker.replaced) > before:
            _add_files(maker, package.tool)
    if maker.libraries:
        _add_loader(maker)
    return tuple(maker.replaced)


def _add_files(maker: _Maker, tool: Tool) -> None:
    for path, text in tool.files.items():
        _write(maker.layer / path, text.encode(), 0o644)
    for old, new in tool.rule.moved.items():
        link = maker.layer / old
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(new, PurePosixPath(old).parent))


def _find_programs(package: ToolPackage, spec: ToolSpec) -> Iterator[tuple[str, Path]]:
    """Yield what is replaced: the path in the root, and this machine's file."""
    tool = package.tool
    for place in _files(package.native):
        path = tool.moved_path(place.relative_to(package.native).as_posix())
        if not tool.has_path(path) or not _is_program(package.foreign / path, spec.arch):
            continue
        if _is_program(place, spec.host) and (_has_loader(place) or tool.has_plugin(path)):
            yield path, place


def _files(directory: Path) -> Iterator[Path]:
    for name, directories, files in os.walk(directory):
        directories.sort()
        yield from (Path(name, file) for file in sorted(files) if not Path(name, file).is_symlink())


def _is_program(path: Path, arch: Arch) -> bool:
    facts = None if path.is_symlink() or not path.is_file() else _facts(path)
    return facts is not None and (facts.machine, facts.elf_class) == (arch.machine, arch.elf_class)


def _has_loader(path: Path) -> bool:
    facts = _facts(path)
    return facts is not None and facts.interpreter is not None


def _facts(path: Path) -> ElfFacts | None:
    try:
        return read_elf_fast(path)
    except (ElfError, OSError):
        return None


def _replace(maker: _Maker, package: ToolPackage, path: str, native: Path) -> None:
    libraries = _find_libraries(native, maker.spec)
    if libraries is None:
        return
    maker.libraries |= libraries
    data = native.read_bytes()
    if _has_loader(native):
        data = set_interpreter(data, _LOADER)
    if package.tool.is_driver(path):
        name = PurePosixPath(path).name
        _write(maker.native / "bin" / name, data, 0o755)
        data = _driver_script(package.tool, f"{NATIVE}/bin/{name}").encode()
    _write(maker.layer / path, data, 0o755)
    maker.replaced.append(path)


def _driver_script(tool: Tool, program: str) -> str:
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(tool.rule.variables.items()))
    return f'#!/bin/sh\n{variables} exec -a "$0" {program} "$@"\n'


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _find_libraries(program: Path, spec: ToolSpec) -> dict[str, Path] | None:
    """Return all libraries that a program needs, by soname; None when one is missing or is looked for elsewhere."""
    found: dict[str, Path] = {}
    pending = [program]
    while pending:
        facts = _facts(pending.pop())
        if facts is None or facts.rpath or facts.runpath:
            return None
        for soname in facts.needed:
            if soname in found:
                continue
            library = _find_library(soname, spec)
            if library is None:
                return None
            found[soname] = library
            pending.append(library)
    return found


def _find_library(soname: str, spec: ToolSpec) -> Path | None:
    for layer in spec.libraries:
        for directory in (f"usr/lib/{spec.host.multiarch}", *_LIBRARY_DIRECTORIES):
            place = _follow_links(layer / directory / soname)
            if place is not None and _is_program(place, spec.host):
                return place
    return None


def _follow_links(path: Path) -> Path | None:
    """Follow the symlinks of a library within its own directory."""
    for _ in range(8):
        if not path.is_symlink():
            return path if path.is_file() else None
        target = os.readlink(path)  # noqa: PTH115  # pathlib would tidy it up
        if "/" in target:
            return None
        path = path.parent / target
    return None


def _add_loader(maker: _Maker) -> None:
    loaders = [soname for soname in maker.libraries if soname.startswith("ld-linux")]
    libraries = []
    for soname, place in sorted(maker.libraries.items()):
        shutil.copyfile(place, maker.native / "lib" / soname)
        (maker.native / "lib" / soname).chmod(0o755)
        libraries.append(Library(soname, f"{NATIVE}/lib/{soname}"))
    (maker.directory / "cache").write_bytes(render_loader_cache(libraries, maker.spec.host))
    loader = maker.libraries[loaders[0]].read_bytes()
    _write(maker.native / "ld.so", set_loader_cache(loader, str(LOADER_CACHE)), 0o755)
