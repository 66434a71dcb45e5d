"""A directory becomes an output tree: only what belongs into a package is looked at.

Owner, group and times are the builder's, so they are not taken over: every file belongs to root unless the
caller says otherwise, as it does of what steps gave to others.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from melpy.bound import MOST_LEVELS, shorten
from melpy.build.model import Entry, Kind, OutputTree
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from melpy.build.model import Owner

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
    stat.S_IFIFO: Kind.FIFO,
}

# Attributes of the machine that builds, not of the files: SELinux labels, overlayfs and ACL bookkeeping.
_HOST_XATTRS = ("security.selinux", "system.", "trusted.", "user.overlay.")


def load_tree(
    package: str,
    root: Path,
    *,
    xattrs: Mapping[str, Mapping[str, bytes]] | None = None,
    owners: Mapping[str, Owner] | None = None,
) -> OutputTree:
    """Read the files below `root` as the tree of a package; a root that is not there is an empty tree.

    Args:
        package: name of the package.
        root: directory that holds its files; whoever filled it must have ended, and it must be no symlink.
        xattrs: further extended attributes by path, such as capabilities that an ordinary user cannot set on disk.
        owners: whose files are that are not root's, by path.

    Raises:
        PackageFormatError: a file cannot be part of a package, or a path in `xattrs` is not there.
    """
    extra = {path.strip("/"): dict(values) for path, values in (xattrs or {}).items()}
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise PackageFormatError("the place for its files is no directory", where=package)
    try:
        entries = tuple(_walk(root, extra)) if root.is_dir() else ()
    except OSError as error:
        raise PackageFormatError(f"its files cannot be read: {error}", where=package) from None
    if extra:
        raise PackageFormatError(
            f"{next(iter(extra))} is not in the package, so it cannot be given attributes", where=package
        )
    if owners:
        entries = tuple(_owned(entry, owners.get(entry.path)) for entry in entries)
    return OutputTree(package=package, root=root, entries=entries)


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


def _walk(root: Path, extra: dict[str, dict[str, bytes]]) -> Iterator[Entry]:
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
        entry = _entry(root, path, extra.pop(path, {}))
        yield entry
        if entry.kind is Kind.DIRECTORY:
            pending.append(iter(_names(root, path)))


def _names(root: Path, below: str) -> list[str]:
    with os.scandir(root / below) as scan:
        names = sorted((item.name for item in scan), key=os.fsencode)
    return [f"{below}/{name}" if below else name for name in names]


def _entry(root: Path, path: str, extra: Mapping[str, bytes]) -> Entry:
    on_disk = root / path
    info = on_disk.lstat()
    kind = _KINDS.get(stat.S_IFMT(info.st_mode))
    if kind is None:
        raise PackageFormatError("a socket cannot be part of a package", where=path)
    target = os.readlink(on_disk) if kind is Kind.SYMLINK else ""  # noqa: PTH115  # pathlib would tidy it up
    attributes = dict(extra)
    if kind in {Kind.FILE, Kind.DIRECTORY}:
        _make_readable(on_disk, info.st_mode)
    if kind is not Kind.SYMLINK:
        attributes = _read_xattrs(on_disk) | attributes
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


def _read_xattrs(path: Path) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {
            name: os.getxattr(path, name, follow_symlinks=False) for name in names if not name.startswith(_HOST_XATTRS)
        }
    except OSError:
        return {}  # the file system has none
