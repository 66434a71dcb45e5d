"""What was read of packages before, so that what has not changed is not read again.

A file is not opened again while its size, its times and its inode are as they were: the time of its last change of any
kind (ctime) cannot be set. A memory belongs to one index. It is kept in melpy's cache, is taken for true only where
nobody else can write it, and can be thrown away at any time. It is a text: a line with a mark (another one where melpy
writes stanzas otherwise) and a CRC-32 of the rest, one with the lengths of three parts, then these parts: what the
index was made by and the files with their stamps; how much of each file says what the index says of it, and the digest
of that; the stanzas.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from typing import TYPE_CHECKING

from melpy import __version__
from melpy.apk.model import STANZA_FORM
from melpy.codec import Noun
from melpy.errors import OutputError
from melpy.files import read_own_file, replace_file
from melpy.repo.model import IndexReport, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from melpy.repo.model import IndexSpec

_MARK = f"melpy-index-2-{__version__}-{STANZA_FORM}".encode()
_SETTLED = 100_000_000
"""Nanoseconds after a change in which another one may leave the same time behind."""

CHANGING = "changing"
"""The stamp of a file that must be looked into."""


class Memory(Noun, frozen=True):
    """What an index was made from.

    Attributes:
        listing: what it was made by, and the files with their stamps.
        heads: a line with size and digest of the head of each file, in the same order.
        stanzas: what the index says of each, in the same order, an empty line between two.
    """

    listing: str = ""
    heads: str = ""
    stanzas: str = ""

    def records(self) -> Mapping[str, Record]:
        """Return what is known of each file, by its path."""
        found = {}
        files = self.listing.split("\n")[1:-1]
        for line, head, stanza in zip(files, self.heads.split("\n"), self.stanzas.split("\n\n"), strict=False):
            stamp, _, file = line.partition(" ")
            size, _, digest = head.partition(" ")
            found[file] = Record(file, stamp, int(size), digest, stanza)
        return found


def make_listing(made_by: str, stamps: Mapping[str, str]) -> str:
    """Return the first part of a memory: what decides whether an index is still right."""
    return "".join((made_by, "\n", *[f"{stamp} {file}\n" for file, stamp in stamps.items()]))


def make_memory(made_by: str, records: Sequence[Record]) -> Memory:
    """Return the memory of what an index is made from."""
    return Memory(
        make_listing(made_by, {record.file: record.stamp for record in records}),
        "\n".join([f"{record.head} {record.digest}" for record in records]),
        "\n\n".join([record.stanza for record in records]),
    )


def load_memory(path: Path) -> Memory:
    """Read a memory; one that is not there, is damaged or may be somebody else's is empty."""
    head, _, body = read_own_file(path).partition(b"\n")
    mark, _, checksum = head.rpartition(b" ")
    if mark != _MARK or checksum != b"%08x" % zlib.crc32(body):
        return Memory()
    lengths, _, body = body.partition(b"\n")
    if sum(map(int, lengths.split())) != len(body) or lengths.count(b" ") != 2:
        return Memory()
    parts = []
    start = 0
    for length in map(int, lengths.split()):
        parts.append(body[start : start + length].decode("utf-8", "surrogateescape"))
        start += length
    return Memory(*parts)


def save_memory(path: Path, memory: Memory) -> None:
    """Keep a memory; where that cannot be, everything is read again next time."""
    if memory.listing.count("\n") != memory.heads.count("\n") + 2:
        return  # a path with a line break in it
    parts = [part.encode("utf-8", "surrogateescape") for part in (memory.listing, memory.heads, memory.stanzas)]
    body = b" ".join(b"%d" % len(part) for part in parts) + b"\n" + b"".join(parts)
    try:
        with replace_file(path, 0o600, durable=False) as stream:
            stream.write(b"%b %08x\n%b" % (_MARK, zlib.crc32(body), body))
    except OutputError:
        return


def stamp_files(directory: str, files: Sequence[str]) -> dict[str, str]:
    """Return the stamp of each file: size, times and inode; or `CHANGING`, for what may change within its time."""
    stamps = {}
    recent = settled_before()
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for file in files:
            stamps[file] = stamp_file(os.stat(file, dir_fd=descriptor), recent)
    except OSError:
        # Whoever reads it says what is wrong with it.
        return dict.fromkeys(files, CHANGING)
    finally:
        os.close(descriptor)
    return stamps


def stamp_file(info: os.stat_result, recent: int) -> str:
    """Return the stamp of a file; `recent` is what `settled_before` said before it was looked at."""
    changed = info.st_ctime_ns
    return f"{info.st_size}:{info.st_mtime_ns}:{changed}:{info.st_ino}" if changed < recent else CHANGING


def settled_before() -> int:
    """Return the time, in nanoseconds since 1970, before which a change has left a time of its own behind."""
    return time.time_ns() - _SETTLED


def memory_path(spec: IndexSpec) -> Path | None:
    """Return where the memory of an index is kept, if it is."""
    name = hashlib.sha256(os.fsencode(spec.path.resolve())).hexdigest()[:32]
    return spec.memory / name if spec.memory else None


def describe_making(spec: IndexSpec) -> str:
    """Return what an index was made by, its own bytes included, as memories have it; with `?` it is never the same."""
    try:
        digest = hashlib.blake2b(spec.path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        digest = "none"
    signed_by = spec.signed_by or "?" if spec.signer else "nobody"
    return f"{digest} {spec.arch or 'any'} {signed_by}"


def recall_index(spec: IndexSpec, directory: str, files: Sequence[str]) -> IndexReport | None:
    """Return what is known of an index that is right as it is, without opening any package; None where it is not.

    Args:
        spec: how it is made.
        directory: what the files are relative to.
        files: the packages that it is of.
    """
    path = memory_path(spec)
    memory = load_memory(path) if path else Memory()
    made_by = describe_making(spec)
    # The files are looked at only where all else is the same.
    if not memory.listing.startswith(f"{made_by}\n") or made_by.endswith("?"):
        return None
    stamps = stamp_files(directory, files)
    if CHANGING in stamps.values() or memory.listing != make_listing(made_by, stamps):
        return None
    return IndexReport(spec.path, len(files), read=0, written=False, signed=spec.signer is not None)
