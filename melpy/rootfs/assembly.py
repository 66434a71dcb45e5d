"""The topmost read-only layer of an environment: what the packages' own layers lack or get wrong.

Files that another package's would hide lie in it as hard links to the store; beside them the accounts, the links of
busybox, the dynamic loader's cache, and the database of installed packages, so that apk sees what is installed.
It is made once for each set of packages, and kept in the store under the digest of everything that decides it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from melpy.digest import identity
from melpy.errors import ExtractError, FileConflictError, StoreError, reason_of
from melpy.files import output_error
from melpy.inside import create_file, open_below, open_root, read_regular, remove_entry
from melpy.rootfs.account import home_of, render_group, render_passwd
from melpy.rootfs.busybox import BUSYBOX, LISTS, TARGET, find_links, parse_list
from melpy.rootfs.database import END_OF_TAR, render_triggers
from melpy.rootfs.extraction import q1
from melpy.rootfs.layout import Held, hold_entry, layer_path, new_entry, settle_entry
from melpy.rootfs.linkage import find_libraries
from melpy.rootfs.loader_cache import render_cache
from melpy.rootfs.manifest import drop_entries, load_manifest
from melpy.rootfs.model import FILES, PACKAGES, SCRIPTS, Entry
from melpy.rootfs.tree import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from melpy.rootfs.model import Setting
    from melpy.rootfs.tree import Tree

ASSEMBLER = 1
"""Another number whenever the same packages make another layer."""

_READ_LIMIT = 16 << 20
_DATABASE = "lib/apk"
_DIRECTORIES = ("etc/apk/keys", "usr/lib/apk/exec", "var/cache/apk", "var/cache/misc")


def assemble(store: Path, checksums: Sequence[str], setting: Setting, *, big_endian: bool) -> Held:
    """Return the layer above those of packages, made if it is not there yet, and held against pruning.

    Args:
        store: the store, which has all the packages.
        checksums: identities of the packages, in install order.
        setting: what the environment is beside them.
        big_endian: byte order of the architecture.

    Raises:
        FileConflictError: packages have the same path, and neither may have it.
        StoreError: the store is damaged.
        OutputError: it cannot be written.
    """
    name = identity([ASSEMBLER, list(checksums), asdict(setting)])
    held = hold_entry(store, name)
    if held is None:
        with new_entry(store) as directory:
            packages = [layer_path(store, checksum).parent for checksum in checksums]
            try:
                made = _make_layer(directory, packages, setting, big_endian=big_endian)
            except (ExtractError, OSError) as error:
                raise _store_error(error, directory) from None
            names = [package.name for package in packages]
            facts = {"arch": setting.arch, "packages": names, **made}
            (directory / PACKAGES).write_text(json.dumps(facts))
            settle_entry(directory, store / name)
        held = hold_entry(store, name)
        assert held is not None, "what was assembled is held by a lock and cannot be pruned"
    return held


def _store_error(error: ExtractError | OSError, directory: Path) -> Exception:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
        return output_error(directory, error)
    reason = reason_of(error) if isinstance(error, OSError) else error.message
    hint = "melpy store verify --repair removes what is damaged; it is extracted anew"
    return StoreError(f"an environment cannot be assembled: {reason}", where=str(directory.parent), hint=hint)


def _make_layer(directory: Path, packages: Sequence[Path], setting: Setting, *, big_endian: bool) -> dict[str, object]:
    """Write the layer, and return what is in it: its own files, and those of packages with number and path there."""
    tree = make_tree([load_manifest(package) for package in packages])
    (directory / FILES).mkdir()
    with open_root(directory / FILES) as root:
        layer = _Layer(root, tree, packages)
        for path in tree.modes:
            layer.make_directory(path)
        layer.lift()
        _add_accounts(layer, setting)
        _add_busybox(layer)
        libraries = find_libraries(tree, layer.read)
        if libraries is not None:
            layer.write("etc/ld.so.cache", render_cache(libraries, big_endian=big_endian))
        _add_database(layer, setting)
        layer.finish()
    lifted = {path: place for path, place in tree.lifted.items() if path not in layer.made}
    return {"entries": list(layer.made.values()), "lifted": lifted}


@dataclass
class _Layer:
    """The layer while it is written: paths are those of the tree, and symlinks of it lead around in it only."""

    root: int
    tree: Tree
    packages: Sequence[Path]
    made: dict[str, Entry] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file of the tree."""
        place = self.tree.holder(self.tree.resolve(path))
        if place is None:
            return None
        return read_regular(self.packages[place.package] / FILES, place.path, _READ_LIMIT)

    def has(self, path: str) -> bool:
        """Tell whether the tree or this layer has something at a path."""
        return path in self.made or self.tree.holder(path) is not None or self.tree.is_directory(path)

    def lift(self) -> None:
        """Have the packages' files here that their own layers would not show."""
        groups: dict[tuple[int, str, str], list[tuple[str, str]]] = {}
        for path, place in self.tree.lifted.items():
            origin, _, old = place.path.rpartition("/")
            target, _, new = path.rpartition("/")
            groups.setdefault((place.package, origin, target), []).append((old, new))
        for (number, origin, target), names in groups.items():
            self._check_directory(target)
            self._note(target)
            with (
                open_root(self.packages[number] / FILES) as root,
                open_below(root, _parts(origin)) as source,
                open_below(self.root, _parts(target), make=True) as parent,
            ):
                for old, new in names:
                    _link(source, old, parent, new)

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file; where a symlink of the tree has its name, what that points to."""
        place = self.tree.resolve(path)
        with self._parent(place) as (parent, name), create_file(parent, name) as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
        self.made[place] = Entry(place, "f", mode, checksum=q1(hashlib.sha1(data).digest()))

    def link(self, path: str, target: str) -> None:
        """Make a symlink."""
        place = self.tree.resolve(path, last=False)
        with self._parent(place) as (parent, name):
            remove_entry(parent, name)
            os.symlink(target, name, dir_fd=parent)
        self.made[place] = Entry(place, "l", 0o777, target=target)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        place = self.tree.resolve(path)
        self._check_directory(place)
        with open_below(self.root, _parts(place), make=True):
            self._note(place)

    def _parent(self, path: str) -> _Parent:
        directory, _, name = path.rpartition("/")
        self._check_directory(directory)
        self._note(directory)
        return _Parent(self.root, directory, name)

    def _note(self, directory: str) -> None:
        while directory and directory not in self.made:
            self.made[directory] = Entry(directory, "d", 0o755)
            directory = directory.rpartition("/")[0]

    def _check_directory(self, path: str) -> None:
        """Check that no package has a file where the layer needs a directory."""
        while path:
            place = self.tree.holder(path)
            if place is not None:
                name = self.tree.packages[place.package].manifest.full_name
                raise FileConflictError(f"is a file in {name}, and must be a directory", where=f"/{path}")
            if path in self.made:
                return
            path = path.rpartition("/")[0]

    def finish(self) -> None:
        """Give directories the modes that they have in the tree, since this layer's are the ones that show."""
        for path, entry in sorted(self.made.items(), reverse=True):
            mode = self.tree.directory_mode(path)[0] if entry.kind == "d" else entry.mode
            if mode != entry.mode:
                with open_below(self.root, path.split("/")) as descriptor:
                    os.fchmod(descriptor, mode | stat.S_IRWXU)
                self.made[path] = entry._replace(mode=mode)


def _parts(path: str) -> Sequence[str]:
    return path.split("/") if path else ()


def _link(source: int, old: str, parent: int, new: str) -> None:
    try:
        os.link(old, new, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EMLINK, errno.EPERM}:  # it has as many names as the file system allows
            raise
        shutil.copy2(f"/proc/self/fd/{source}/{old}", f"/proc/self/fd/{parent}/{new}", follow_symlinks=False)


class _Parent:
    """The open directory that holds a path, made if it is missing, and the path's last component."""

    def __init__(self, root: int, directory: str, name: str) -> None:
        self._context = open_below(root, _parts(directory), make=True)
        self._name = name

    def __enter__(self) -> tuple[int, str]:
        return self._context.__enter__(), self._name

    def __exit__(self, *arguments: object) -> None:
        self._context.__exit__(*arguments)  # type: ignore[arg-type]  # handed on as they come


def _add_accounts(layer: _Layer, setting: Setting) -> None:
    layer.write("etc/passwd", render_passwd(layer.read("etc/passwd") or b"", setting.users))
    layer.write("etc/group", render_group(layer.read("etc/group") or b"", setting.groups))
    for user in setting.users:  # the home of build is the workspace, where each build has its own
        home = layer.tree.resolve(home_of(user))
        if home and layer.tree.holder(home) is None:
            layer.make_directory(home)


def _add_busybox(layer: _Layer) -> None:
    tree = layer.tree
    program = tree.resolve(BUSYBOX)
    if tree.holder(program) is None:
        return
    lists = tree.resolve(LISTS)
    listed = [path for one in tree.packages if lists in one.directories for path in one.paths]
    paths = [
        path for name in sorted(listed) if name.rpartition("/")[0] == lists for path in parse_list(_got(layer, name))
    ]
    for path in paths or find_links(_got(layer, program)):
        place = tree.resolve(path, last=False)
        if place and not layer.has(place):
            layer.link(place, TARGET)


def _got(layer: _Layer, path: str) -> bytes:
    return layer.read(path) or b""


def _add_database(layer: _Layer, setting: Setting) -> None:
    tree = layer.tree
    for path in _DIRECTORIES:
        layer.make_directory(path)
    # apk looks in lib/apk; where lib is usr/lib that is the same, and a package may have it as a directory.
    if not layer.has(place := tree.resolve(_DATABASE)):
        layer.link(place, "../usr/lib/apk")
        place = "usr/lib/apk"
    installed = (_installed(tree, number) for number in range(len(tree.packages)))
    text = "".join(f"{part}\n\n" for part in installed)
    layer.write(f"{place}/db/installed", text.encode("utf-8", "surrogateescape"))
    triggers = render_triggers((one.manifest.checksum, one.manifest.triggers) for one in tree.packages)
    layer.write(f"{place}/db/triggers", triggers.encode("utf-8", "surrogateescape"))
    layer.write(f"{place}/db/scripts.tar", b"".join(_scripts(layer.packages)) + END_OF_TAR)
    layer.write(f"{place}/db/lock", b"", 0o600)
    layer.write("etc/apk/world", "".join(f"{line}\n" for line in _world(setting.world)).encode())
    layer.write("etc/apk/arch", f"{setting.arch}\n".encode())
    if layer.read("etc/apk/repositories") is None:
        layer.write("etc/apk/repositories", b"")


def _installed(tree: Tree, number: int) -> str:
    text = tree.packages[number].manifest.installed
    lost = tree.dropped.get(number)
    return drop_entries(text, lost) if lost else text


def _scripts(packages: Sequence[Path]) -> Iterable[bytes]:
    for package in packages:
        try:
            with open(f"{package}/{SCRIPTS}", "rb", buffering=0) as stream:  # noqa: PTH123  # most have none: quickly
                yield stream.read()
        except FileNotFoundError:
            continue


def _world(constraints: Iterable[str]) -> list[str]:
    """Return what was asked for; tags of repositories mean nothing inside, where there are none."""
    return sorted({constraint.partition("@")[0].strip() for constraint in constraints})
