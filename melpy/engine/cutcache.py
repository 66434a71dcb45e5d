"""Cuts of cycles, kept in melpy's cache: those of Wolfi's recipes take two seconds to find.

    <cache>/summaries/cuts.json

A cut stands by the digest of all that it follows from, so that what is kept is never out of date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.codec import Noun, decode, encode
from melpy.engine.treecache import DIRECTORY
from melpy.errors import ValueFormatError
from melpy.files import read_own_file, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.graph.cut import Cuts

_MOST = 200  # cuts that are kept, the last ones


class _Kept(Noun, frozen=True):
    cuts: dict[str, tuple[str, ...]]
    order: tuple[str, ...]


def load_cuts(cache: Path) -> Cuts:
    """Return the cuts that are kept; none where the file is damaged."""
    data = read_own_file(_find_file(cache))
    try:
        kept = decode(data, _Kept) if data else _Kept({}, ())
    except ValueFormatError:
        return {}
    return {key: kept.cuts[key] for key in kept.order if key in kept.cuts}


def write_cuts(cache: Path, cuts: Cuts) -> None:
    """Keep cuts, the newest last.

    Raises:
        OutputError: the cache cannot be written.
    """
    order = tuple(cuts)[-_MOST:]
    with replace_file(_find_file(cache), durable=False) as stream:
        stream.write(encode(_Kept({key: cuts[key] for key in order}, order)))


def _find_file(cache: Path) -> Path:
    return cache / DIRECTORY / "cuts.json"
