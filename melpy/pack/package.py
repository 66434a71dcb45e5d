"""An output tree and what is known about it become one APK, the same bytes every time."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tarfile
import tempfile
from typing import IO, TYPE_CHECKING, Any

from melpy.apk.acceptance import find_line_problem
from melpy.apk.archive import LEVEL, Member, control_checksum, sign_package, write_data, write_flat
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.pkginfo import render_pkginfo
from melpy.build.model import Entry, Kind, OutputTree
from melpy.errors import PackageFormatError, reason_of
from melpy.files import output_error, replace_file
from melpy.pack.acceptance import check_acceptance
from melpy.pack.content import INPUTS_FILE, content_digest, render_inputs
from melpy.pack.model import ControlFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.apk.signature import Signer

_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.CHARACTER_DEVICE: tarfile.CHRTYPE,
    Kind.BLOCK_DEVICE: tarfile.BLKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
}
_CHECKSUM = "APK-TOOLS.checksum.SHA1"


def installed_size(tree: OutputTree) -> int:
    """Return the bytes that a package's files and link targets hold; hard links count once."""
    sizes = {entry.inode if entry.kind is Kind.FILE else entry.path: entry.size for entry in tree}
    return sum(sizes.values())


def write_package(
    tree: OutputTree,
    info: PackageInfo,
    destination: Path,
    *,
    mtime: int,
    signer: Signer | None = None,
    control: Sequence[ControlFile] = (),
    inputs: Mapping[str, object] | None = None,
    level: int = LEVEL,
    durable: bool = True,
) -> IndexEntry:
    """Write the package `info.file_name` into a directory and return its index entry.

    The file appears whole or not at all. The size and the data's digest in `info` are filled in here. Where `inputs`
    are given, they are put into `.melpy.json` together with the package's content digest.

    Raises:
        OutputError: the directory cannot be written.
        PackageFormatError: a file cannot be packed, or apk would not install the package as it is.
    """
    check_acceptance(tree, info, control)
    path = destination / info.file_name
    digests: dict[str, str] = {}
    with _scratch_file(destination) as data:
        digest = write_data(_members(tree, digests), data, mtime=mtime, level=level)
        if inputs is not None:
            text = render_inputs(inputs, content_digest(tree, info, control, digests))
            control = (*control, ControlFile(INPUTS_FILE, text))
        info = dataclasses.replace(info, installed_size=max(1, installed_size(tree)), datahash=digest.sha256)
        segment = write_flat(_control_files(info, control), mtime=mtime)
        head = sign_package(segment, signer, mtime)
        data.seek(0)
        with replace_file(path, durable=durable) as stream:
            stream.write(head)
            shutil.copyfileobj(data, stream, 1 << 20)
    entry = IndexEntry(info, control_checksum(segment), len(head) + digest.size)
    problem = find_line_problem(entry)
    if problem:
        path.unlink()
        raise PackageFormatError(problem, where=tree.package, hint="let it depend on less, or provide less")
    return entry


def _scratch_file(destination: Path) -> IO[bytes]:
    try:
        destination.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=destination)
    except OSError as error:
        raise output_error(destination, error) from None


def _control_files(info: PackageInfo, control: Sequence[ControlFile]) -> Iterator[tuple[str, bytes, int]]:
    yield ".PKGINFO", render_pkginfo(info).encode(), 0o644
    yield from ((file.name, file.content, file.mode) for file in sorted(control, key=lambda file: file.name))


def _members(tree: OutputTree, digests: dict[str, str]) -> Iterable[Member]:
    """Yield the members of a tree, noting the SHA-256 of each file."""
    first_names: dict[tuple[int, int], str] = {}
    for entry in tree:
        if entry.kind is Kind.FILE:
            first = first_names.setdefault(entry.inode, entry.path)
            yield _file(tree, entry, digests) if first == entry.path else _hard_link(entry, first)
        else:
            yield _other(entry)


def _file(tree: OutputTree, entry: Entry, digests: dict[str, str]) -> Member:
    sha1, sha256 = hashlib.sha1(), hashlib.sha256()
    try:
        with tree.open(entry) as stream:
            while piece := stream.read(1 << 20):
                sha1.update(piece)
                sha256.update(piece)
    except OSError as error:
        raise PackageFormatError(f"{entry.path} cannot be read: {reason_of(error)}", where=tree.package) from None
    digests[entry.path] = sha256.hexdigest()
    return Member(
        entry.path,
        tarfile.REGTYPE,
        entry.mode,
        size=entry.size,
        **_owner(entry),
        records={_CHECKSUM: sha1.hexdigest()} | _xattr_records(entry),
        open=lambda: tree.open(entry),
    )


def _owner(entry: Entry) -> dict[str, Any]:
    return {"uid": entry.uid, "gid": entry.gid, "uname": entry.user, "gname": entry.group}


def _hard_link(entry: Entry, first: str) -> Member:
    # apk gives every name to its owner, which takes the capabilities of the file, and sets those that the name has.
    return Member(entry.path, tarfile.LNKTYPE, entry.mode, link=first, **_owner(entry), records=_xattr_records(entry))


def _other(entry: Entry) -> Member:
    records = _xattr_records(entry)
    if entry.kind is Kind.SYMLINK:
        records[_CHECKSUM] = hashlib.sha1(entry.target.encode(errors="surrogateescape")).hexdigest()
    return Member(
        entry.path,
        _TYPES[entry.kind],
        0o777 if entry.kind is Kind.SYMLINK else entry.mode,
        link=entry.target,
        **_owner(entry),
        device=entry.device,
        records=records,
    )


def _xattr_records(entry: Entry) -> dict[str, str]:
    return {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in entry.xattrs}
