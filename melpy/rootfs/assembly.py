"""The topmost read-only layer of an environment: what the packages' own layers lack or get wrong.

Files that another package's would hide lie in it as hard links to the store; beside them the accounts, the links of
busybox, the dynamic loader's cache, and the database of installed packages, so that apk sees what is installed.
It is made once for each set of packages, and kept in the store under the digest of everything that decides it.
"""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

from melpy.codec import asdict
from melpy.digest import identity
from melpy.elf.loader_cache import render_cache
from melpy.errors import ExtractError, StoreError, reason_of
from melpy.files import output_error
from melpy.inside import open_root
from melpy.rootfs.account import home_of, render_group, render_passwd
from melpy.rootfs.busybox import BUSYBOX, LISTS, TARGET, find_links, parse_list
from melpy.rootfs.database import END_OF_TAR, render_triggers
from melpy.rootfs.layer import Layer
from melpy.rootfs.layout import Held, hold_entry, layer_path, new_entry, settle_entry
from melpy.rootfs.linkage import find_libraries
from melpy.rootfs.manifest import drop_entries, load_manifest
from melpy.rootfs.model import FILES, PACKAGES, SCRIPTS
from melpy.rootfs.tree import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from melpy.rootfs.model import RootSpec
    from melpy.rootfs.tree import Tree

ASSEMBLER = 1
"""Another number whenever the same packages make another layer."""

_REPAIR = "melpy store verify --repair removes what is damaged; it is made anew"
_DATABASE = "lib/apk"
_DIRECTORIES = ("etc/apk/keys", "usr/lib/apk/exec", "var/cache/apk", "var/cache/misc")


def assemble(store: Path, checksums: Sequence[str], spec: RootSpec, *, big_endian: bool) -> Held:
    """Return the layer above those of packages, made if it is not there yet, and held against pruning.

    Args:
        store: the store, which has all the packages.
        checksums: identities of the packages, in install order.
        spec: the root beside them.
        big_endian: byte order of the architecture.

    Raises:
        FileConflictError: packages have the same path, and neither may have it.
        StoreError: the store is damaged.
        OutputError: it cannot be written.
    """
    name = identity([ASSEMBLER, list(checksums), asdict(spec)])
    held = hold_entry(store, name)
    if held is None:
        with new_entry(store) as directory:
            packages = [layer_path(store, checksum).parent for checksum in checksums]
            try:
                made = _make_layer(directory, packages, spec, big_endian=big_endian)
                facts = {"arch": spec.arch, "packages": [package.name for package in packages], **made}
                (directory / PACKAGES).write_text(json.dumps(facts))
                settle_entry(directory, store / name)
            except (ExtractError, OSError) as error:
                raise _store_error(error, directory) from None
        held = hold_entry(store, name)
    if held is None:  # it was there already, without its list
        raise StoreError("an environment is damaged", where=str(store / name), hint=_REPAIR)
    return held


def _store_error(error: ExtractError | OSError, directory: Path) -> Exception:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
        return output_error(directory, error)
    reason = reason_of(error) if isinstance(error, OSError) else error.message
    return StoreError(f"an environment cannot be assembled: {reason}", where=str(directory.parent), hint=_REPAIR)


def _make_layer(directory: Path, packages: Sequence[Path], spec: RootSpec, *, big_endian: bool) -> dict[str, object]:
    """Write the layer, and return what is in it: its own files, and those of packages with number and path there."""
    tree = make_tree([load_manifest(package) for package in packages])
    (directory / FILES).mkdir()
    with open_root(directory / FILES) as root:
        layer = Layer(root, tree, packages)
        for path in tree.modes:
            layer.make_directory(path)
        layer.lift()
        _add_accounts(layer, spec)
        _add_busybox(layer)
        libraries = find_libraries(tree, layer.read)
        if libraries is not None:
            layer.write("etc/ld.so.cache", render_cache(libraries, big_endian=big_endian))
        _add_database(layer, spec)
        layer.finish()
    lifted = {path: place for path, place in tree.lifted.items() if path not in layer.made}
    return {"entries": list(layer.made.values()), "lifted": lifted}


def _add_accounts(layer: Layer, spec: RootSpec) -> None:
    layer.write("etc/passwd", render_passwd(layer.read("etc/passwd") or b"", spec))
    layer.write("etc/group", render_group(layer.read("etc/group") or b"", spec))
    for user in spec.users:  # the home of build is the workspace, where each build has its own
        home = layer.tree.resolve(home_of(user))
        if home and layer.tree.holder(home) is None:
            layer.make_directory(home)


def _add_busybox(layer: Layer) -> None:
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


def _got(layer: Layer, path: str) -> bytes:
    return layer.read(path) or b""


def _add_database(layer: Layer, spec: RootSpec) -> None:
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
    layer.write("etc/apk/world", "".join(f"{line}\n" for line in _world(spec.world)).encode())
    layer.write("etc/apk/arch", f"{spec.arch}\n".encode())
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
