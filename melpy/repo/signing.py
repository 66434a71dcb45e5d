"""Packages and indexes signed anew: the signature is replaced, or another one stands beside it.

What is signed stays byte for byte the same, so that an index that names a package goes on naming it. Several signatures
are files of one gzip member: apk looks for one by a key that it trusts (apk-tools 3, apk-v2(5)).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from melpy.apk.archive import write_flat
from melpy.apk.index import read_index, split_signatures
from melpy.apk.model import LARGEST_INDEX
from melpy.apk.segment import make_entry, read_segments
from melpy.bound import open_file, read_file
from melpy.errors import PackageFormatError, RepositoryError, reason_of
from melpy.files import replace_file, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from melpy.apk.signature import Signer

LOST_HINT = "where clients know no other key: melpy sign-index --add --signing-key KEY INDEX"
"""What to do when an index has lost a signature."""


def sign_package_file(path: Path, signer: Signer, *, keep: bool) -> None:
    """Sign a package; with `keep`, beside the signatures that others gave it.

    Raises:
        PackageFormatError: it is no package.
        OutputError: it cannot be written.
        RepositoryError: it cannot be read.
    """
    try:
        with open_file(path) as stream:
            segments = read_segments(stream, where=str(path))
            info = make_entry(segments, 0, where=str(path)).info
            head = _member(segments.signatures if keep else (), signer, segments.control, mtime=info.build_date)
            stream.seek(segments.data_offset)
            with replace_file(path) as target:
                target.write(head + segments.control)
                shutil.copyfileobj(stream, target)
    except OSError as error:
        raise _unreadable(path, error) from None


def sign_index_file(path: Path, signer: Signer, *, keep: bool) -> None:
    """Sign an index; with `keep`, beside the signatures that others gave it.

    Raises:
        PackageFormatError: it is no index.
        OutputError: it cannot be written.
        RepositoryError: it cannot be read.
    """
    try:
        data = read_file(path, LARGEST_INDEX)
    except OSError as error:
        raise _unreadable(path, error) from None
    read_index(data, keyring=None, where=str(path))
    signatures, body = split_signatures(data, str(path))
    write_file(path, _member(signatures if keep else (), signer, body, mtime=0) + body)


def has_signature(path: Path) -> bool:
    """Tell whether an index is signed.

    Raises:
        PackageFormatError: it is no index.
        RepositoryError: it cannot be read.
    """
    try:
        return bool(split_signatures(read_file(path, LARGEST_INDEX), str(path))[0])
    except OSError as error:
        raise _unreadable(path, error) from None


def find_signers(data: bytes, where: str) -> list[str]:
    """Return the names of the keys that signed an index, unchecked; none where it is no index."""
    try:
        signatures, _ = split_signatures(data, where)
    except PackageFormatError:
        return []
    return [name.split(".", 3)[-1] for name, _ in signatures]


def find_lost(old: bytes, new: bytes, where: str) -> tuple[str, ...]:
    """Return the names of the keys that signed an index, and not the one that takes its place."""
    kept = find_signers(new, where)
    return tuple(name for name in find_signers(old, where) if name not in kept)


def is_same_index(old: bytes, new: bytes, where: str) -> bool:
    """Tell whether an index is another one with, at most, further signatures: signing twice gives the same bytes."""
    if old == new:
        return True
    try:
        (has, old_body), (wanted, new_body) = split_signatures(old, where), split_signatures(new, where)
    except PackageFormatError:
        return False
    return old_body == new_body and bool(wanted) and set(wanted) <= set(has)


def _member(others: Iterable[tuple[str, bytes]], signer: Signer, signed: bytes, *, mtime: int) -> bytes:
    """Return the signature member; the signer's own comes last and takes the place of an earlier one."""
    kept = [(name, content, 0o644) for name, content in others if name.split(".", 3)[3:] != [signer.key_name]]
    return write_flat([*kept, (signer.member_name, signer.sign(signed), 0o644)], mtime=mtime)


def _unreadable(path: Path, error: OSError) -> RepositoryError:
    return RepositoryError(f"cannot be read: {reason_of(error)}", where=str(path))
