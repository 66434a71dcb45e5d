"""A directory becomes an output tree: only what belongs into a package is looked at.

Owner, group and times are the builder's, so they are not taken over: every file belongs to root unless the
caller says otherwise, as it does of what steps gave to others.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from melpy.bound import MOST_LEVELS, shorten
from melpy.build.attribute import read_attributes
from melpy.build.model import Entry, Kind, OutputTree
from melpy.codec import replace
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from melpy.build.attribute import Translate
    from melpy.build.model import Owner

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
    stat.S_IFIFO: Kind.FIFO,
}


def _as_root(_uid: int, _gid: int) -> tuple[int, int]:
    return 0, 0


def load_tree(
    package: str,
    root: Path,
    *,
    xattrs: Mapping[str, Mapping[str, bytes]] | None = None,
    owners: Mapping[str, Owner] | None = None,
    translate: Translate = _as_root,
) -> OutputTree:
    """Read the files below `root` as the tree of a package; a root that is not there is an empty tree.

    Args:
        package: name of the package.
        root: directory that holds its files; whoever filled it must have ended, and it must be no symlink.
        xattrs: further extended attributes by path, such as capabilities that an ordinary user cannot set on disk.
        owners: whose files are that are not root's, by path.
        translate: returns ids in the package of ids of this machine that stand in ACLs.

    Raises:
        PackageFormatError: a file cannot be part of a package, or a path in `xattrs` is not there.
    """
    extra = {path.strip("/"): dict(values) for path, values in (xattrs or {}).items()}
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise PackageFormatError("the place for its files is no directory", where=package)
    try:
        entries = tuple(_walk(root, translate)) if root.is_dir() else ()
    except OSError as error:
        raise PackageFormatError(f"its files cannot be read: {error}", where=package) from None
    if extra:
        entries = _with_attributes(entries, extra, package)
    if owners:
        entries = tuple(_owned(entry, owners.get(entry.path)) for entry in entries)
    return OutputTree(package=package, root=root, entries=entries)


def _with_attributes(
    entries: tuple[Entry, ...], extra: Mapping[str, Mapping[str, bytes]], package: str
) -> tuple[Entry, ...]:
    """Return the entries with further attributes; hard links are one file, so all its names have them."""
    inodes = {entry.path: entry.inode for entry in entries}
    added: dict[tuple[int, int], dict[str, bytes]] = {}
    for path, values in extra.items():
        if path not in inodes:
            raise PackageFormatError(f"{path} is not in the package, so it cannot be given attributes", where=package)
        added.setdefault(inodes[path], {}).update(values)
    return tuple(
        replace(entry, xattrs=tuple(sorted({**dict(entry.xattrs), **added[entry.inode]}.items())))
        if entry.inode in added
        else entry
        for entry in entries
    )


def _owned(entry: Entry, owner: Owner | None) -> Entry:
    return replace(entry, uid=owner.uid, gid=owner.gid, user=owner.user, group=owner.group) if owner else entry


def add_file(tree: OutputTree, path: str, content: bytes) -> OutputTree:
    """Return a tree with one more file, in place of one that it has, and with the directories above it.

    Nothing is written to disk.

    Raises:
        PackageFormatError: something that is no directory is in the way.
    """
    known = dict(tree.by_path)
    parts = path.split("/")
    for length in range(1, len(parts)):
        directory = known.setdefault("/".join(parts[:length]), Entry("/".join(parts[:length]), Kind.DIRECTORY, 0o755))
        if directory.kind is not Kind.DIRECTORY:
            raise PackageFormatError(f"{directory.path} is in the way of {path}", where=tree.package)
    if path in known and known[path].kind is Kind.DIRECTORY:
        raise PackageFormatError(f"the directory {path} is in the way of a file", where=tree.package)
    known[path] = Entry(path, Kind.FILE, 0o644, size=len(content), inode=(-1, len(known)), content=content)
    ordered = sorted(known.values(), key=lambda entry: [os.fsencode(part) for part in entry.path.split("/")])
    return OutputTree(tree.package, tree.root, tuple(ordered))


def _walk(root: Path, translate: Translate) -> Iterator[Entry]:
    _make_readable(root, root.lstat().st_mode)
    # A stack instead of recursion: directories may nest deeper than calls.
    pending = [iter(_names(root, ""))]
    while pending:
        path = next(pending[-1], None)
        if path is None:
            pending.pop()
            continue
        if len(pending) > MOST_LEVELS:
            raise PackageFormatError(f"its files nest deeper than {MOST_LEVELS} directories", where=shorten(path))
        entry = _entry(root, path, translate)
        yield entry
        if entry.kind is Kind.DIRECTORY:
            pending.append(iter(_names(root, path)))


def _names(root: Path, below: str) -> list[str]:
    with os.scandir(root / below) as scan:
        names = sorted((item.name for item in scan), key=os.fsencode)
    return [f"{below}/{name}" if below else name for name in names]


def _entry(root: Path, path: str, translate: Translate) -> Entry:
    on_disk = root / path
    info = on_disk.lstat()
    kind = _KINDS.get(stat.S_IFMT(info.st_mode))
    if kind is None:
        raise PackageFormatError("a socket cannot be part of a package", where=path)
    target = os.readlink(on_disk) if kind is Kind.SYMLINK else ""  # noqa: PTH115  # pathlib would tidy it up
    if kind in {Kind.FILE, Kind.DIRECTORY}:
        _make_readable(on_disk, info.st_mode)
    try:
        attributes = {} if kind is Kind.SYMLINK else read_attributes(on_disk, translate)
    except PackageFormatError as error:
        raise PackageFormatError(error.message, where=path) from None
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(info.st_mode),
        size=info.st_size if kind is Kind.FILE else len(os.fsencode(target)),
        target=target,
        device=(os.major(info.st_rdev), os.minor(info.st_rdev)),
        inode=(info.st_dev, info.st_ino),
        xattrs=tuple(sorted(attributes.items())),
    )


def _make_readable(path: Path, mode: int) -> None:
    """Let the owner read what is to be packed; the entry keeps the mode that the package gets."""
    needed = stat.S_IRUSR | (stat.S_IWUSR | stat.S_IXUSR if stat.S_ISDIR(mode) else 0)
    if mode & needed != needed:
        path.chmod(stat.S_IMODE(mode) | needed)
