"""What recipes ask for, reduced to names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.atom import parse_atom

if TYPE_CHECKING:
    from collections.abc import Iterable


def reduce_requests(requests: Iterable[str]) -> tuple[str, ...]:
    """Return the names in atoms, `foo` for `foo>=1.2`, sorted; conflicts ask for nothing.

    Raises:
        PackageFormatError: one is not an atom.
    """
    atoms = (parse_atom(request) for request in requests)
    return tuple(sorted({atom.name for atom in atoms if not atom.conflict}))
