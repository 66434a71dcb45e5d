"""Recipe files that made the packages of a repository, so that pruning leaves packages of other directories alone.

    <out-dir>/logs/recipes.json

Packages do not say which file they were made of: a clone has its recipes elsewhere. What is not known here was made
by an older melpy, or on another machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from melpy.codec import Noun, decode, encode
from melpy.errors import ValueFormatError
from melpy.files import read_own_file, replace_file
from melpy.graph.model import BuildId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.graph.model import Summary

_FILE = "logs/recipes.json"


class _Kept(Noun, frozen=True):
    """Absolute paths of recipes, by architecture and name of the recipe's main package."""

    recipes: dict[str, dict[str, str]]


def load_makers(out_dir: Path) -> dict[BuildId, Path]:
    """Return the recipe file of each build that a repository has packages of, as far as that is known."""
    data = read_own_file(out_dir / _FILE)
    try:
        kept = decode(data, _Kept) if data else _Kept({})
    except ValueFormatError:
        return {}
    return {BuildId(name, arch): Path(file) for arch, one in kept.recipes.items() for name, file in one.items()}


def write_makers(out_dir: Path, summaries: Iterable[Summary]) -> None:
    """Remember the recipe files of builds; those of others stay remembered.

    Raises:
        OutputError: the repository cannot be written.
    """
    known = load_makers(out_dir)
    found = known | {one.id: Path(one.file).absolute() for one in summaries}
    if found == known:
        return
    recipes: dict[str, dict[str, str]] = {}
    for build, file in sorted(found.items()):
        recipes.setdefault(build.arch, {})[build.recipe] = str(file)
    with replace_file(out_dir / _FILE, durable=False) as stream:
        stream.write(encode(_Kept(recipes)))


def is_inside(file: Path, directories: Iterable[Path]) -> bool:
    """Tell whether a recipe file is directly in one of some directories."""
    return file.parent.resolve() in [directory.resolve() for directory in directories]


def find_elsewhere(build: BuildId, makers: Mapping[BuildId, Path], directories: Iterable[Path]) -> Path | None:
    """Return a recipe of this name in another directory that packages were made of; None where there is none."""
    inside = {directory.resolve() for directory in directories}
    for parent in dict.fromkeys(file.parent for file in makers.values()):
        file = parent / f"{build.recipe}.yaml"
        if parent.resolve() not in inside and file.is_file():
            return file
    return None
