"""Looking into packages that a test has made."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from melpy.apk.segment import read_segments


def open_data(path: Path) -> tarfile.TarFile:
    """Open the data member of a package."""
    with path.open("rb") as stream:
        stream.seek(read_segments(stream, where=str(path)).data_offset)
        return tarfile.open(fileobj=io.BytesIO(gzip.decompress(stream.read())), mode="r:")
