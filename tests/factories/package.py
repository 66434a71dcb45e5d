"""Looking into packages that a test has made."""

from __future__ import annotations

import gzip
import io
import posixpath
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

from melpy.apk.segment import read_segments
from melpy.rootfs.member import DataReader


def open_data(path: Path) -> tarfile.TarFile:
    """Open the data member of a package."""
    with path.open("rb") as stream:
        stream.seek(read_segments(stream, where=str(path)).data_offset)
        return tarfile.open(fileobj=io.BytesIO(gzip.decompress(stream.read())), mode="r:")


def walk_as_apko(path: Path) -> list[str]:
    """Return the paths that a walk through a package finds with apko's rules, which `melange lint` goes by.

    An entry stands in the list of its name's directory under its base name, and a directory's list is looked up by
    the path that the walk has come along. Source: apko, pkg/tarfs, and Go's io/fs.WalkDir, path.Dir and path.Base.
    """
    listed: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
    with path.open("rb") as stream:
        stream.seek(read_segments(stream, where=str(path)).data_offset)
        for member in DataReader(stream, sys.maxsize, 1 << 20).members():
            base = posixpath.basename(posixpath.normpath(member.path))
            listed[posixpath.dirname(member.path) or "."].append((base, member.type == tarfile.DIRTYPE))
    found: list[str] = []
    pending = ["."]
    while pending:
        directory = pending.pop()
        for name, is_directory in listed[directory]:
            found.append(posixpath.normpath(f"{directory}/{name}"))
            pending += [found[-1]] if is_directory else []
    return sorted(found)
