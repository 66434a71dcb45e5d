"""The pipeline library: what `uses:` names, in directories of one's own first, then among the built-in ones."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.errors import PipelineError, RecipeError, find_near
from melpy.recipe.load import parse_pipeline, read_text

if TYPE_CHECKING:
    from melpy.recipe.document import Document
    from melpy.recipe.step import PipelineModel

BESIDE = "pipelines"
"""Directory beside recipes whose pipelines they may use."""

_LONGEST = 200  # characters of a name; file names have 255 bytes
BUILT_IN = Path(__file__).parent.parent / "pipelines"


class Definition(Struct, frozen=True):
    """A pipeline definition.

    Attributes:
        name: what `uses:` calls it.
        file: where it was read from.
        model: what it says.
        document: its text and positions.
        built_in: it came with melpy.
        warnings: what is probably not meant.
    """

    name: str
    file: Path
    model: PipelineModel
    document: Document
    built_in: bool
    warnings: tuple[RecipeError, ...] = ()


class Library:
    """Finds and reads pipeline definitions, each once.

    Args:
        directories: directories of one's own, searched before the built-in one, in order.
    """

    def __init__(self, directories: tuple[Path, ...] = ()) -> None:
        self._directories = (*directories, BUILT_IN)
        self._definitions: dict[str, Definition] = {}

    def find(self, name: str) -> Definition:
        """Return the definition with this name.

        Raises:
            PipelineError: there is none, or the name leaves its directory.
            RecipeError: the definition is not valid.
        """
        if name not in self._definitions:
            self._definitions[name] = self._load(name)
        return self._definitions[name]

    def _load(self, name: str) -> Definition:
        if PurePosixPath(name).is_absolute() or ".." in name:
            raise PipelineError(
                f"pipeline {name!r} leaves its directory", hint="name it relative to a pipeline directory"
            )
        if len(os.fsencode(name)) > _LONGEST or "\0" in name:
            raise PipelineError("the name of a pipeline is too long or holds a NUL", hint="name a file of a pipeline")
        for directory in self._directories:
            file = directory / f"{name}.yaml"
            if file.is_file():
                return load_definition(name, file, built_in=directory is BUILT_IN)
        near = find_near(name, self.names)
        hint = f"did you mean {near!r}?" if near else "give a directory of pipelines with --pipeline-dir"
        raise PipelineError(f"no pipeline is called {name!r}", hint=hint)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all pipelines."""
        found = {
            file.relative_to(directory).with_suffix("").as_posix()
            for directory in self._directories
            for file in directory.rglob("*.yaml")
            if file.is_file()
        }
        return tuple(sorted(found))


def load_definition(name: str, file: Path, *, built_in: bool = False) -> Definition:
    """Read a pipeline definition.

    Raises:
        RecipeError: it is not valid.
    """
    model, document, warnings = parse_pipeline(read_text(file), str(file))
    if model.native and not built_in:
        place = document.place(("native",), key=True)
        hint = "only pipelines that come with melpy are native"
        ignored = RecipeError("`native` has no effect here", where=place, hint=hint, details=document.excerpt(place))
        warnings = (*warnings, ignored)
    return Definition(name, file, model, document, built_in, warnings)


def library_for(recipe: Path, directories: tuple[Path, ...]) -> Library:
    """Return the pipelines that a recipe may use: those of directories, those beside it, the built-in ones.

    Recipes that may use the same pipelines share them, so that each definition is read once.

    Args:
        recipe: the recipe's file.
        directories: directories that the caller names.
    """
    return _shared_library(find_directories(recipe.parent, directories))


def find_directories(parent: Path, directories: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the directories of pipelines for recipes of a directory, before the built-in one: those named first."""
    beside = parent / BESIDE
    return (*directories, *([beside] if beside not in directories and beside.is_dir() else []))


@lru_cache(maxsize=64)
def _shared_library(directories: tuple[Path, ...]) -> Library:
    return Library(directories)
