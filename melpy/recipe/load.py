"""Files become recipes: parsed, validated, all faults of a file at once."""

from __future__ import annotations

import copy
import os
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from melpy.bound import read_file, shorten
from melpy.errors import (
    FaultsError,
    Place,
    RecipeError,
    RecipeNotFoundError,
    UnknownKeyError,
    WrongTypeError,
    fault_position,
    find_near,
    hint_near,
    reason_of,
)
from melpy.recipe.document import MOST_FAULTS, Document, is_utf8, parse_document
from melpy.recipe.document import Path as DocumentPath
from melpy.recipe.model import Recipe, RecipeModel
from melpy.recipe.package import NAME
from melpy.recipe.step import PipelineModel, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

_LARGEST = 1 << 20  # bytes; the largest recipe of Wolfi has 68,000
_SHAPES = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
}


def find_recipes(paths: Iterable[Path], missing: list[RecipeNotFoundError] | None = None) -> tuple[Path, ...]:
    """Return recipe files: a file is itself, a directory its non-hidden `*.yaml`, sorted by name.

    Args:
        paths: files and directories.
        missing: receives what would be raised, so that the others are found all the same.

    Raises:
        RecipeNotFoundError: a path is not there, or a directory holds no recipe.
    """
    found: dict[tuple[int, int], Path] = {}  # by what they really are: the same file may be named twice
    for path in paths:
        try:
            files = _recipes_at(path)
        except RecipeNotFoundError as error:
            if missing is None:
                raise
            missing.append(error)
        else:
            for file in files:
                found.setdefault(_identity(file), file)
    return tuple(found.values())


def _recipes_at(path: Path) -> list[Path]:
    if path.is_dir():
        inside = _recipes_inside(path)
        if not inside:
            raise RecipeNotFoundError("this directory holds no recipe", where=str(path), hint="recipes end in .yaml")
        return inside
    if not path.exists():
        raise _not_found(path)
    return [path]


def _recipes_inside(directory: Path) -> list[Path]:
    """Return the recipes of a directory by name; of thousands none is opened."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(".yaml") and entry.is_file()]
    return [directory / name for name in sorted(names) if not name.startswith(".")]


def _identity(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_dev, info.st_ino


def _not_found(path: Path) -> RecipeNotFoundError:
    if path.is_symlink():
        return RecipeNotFoundError(f"is a link to {path.readlink()}, which is not there", where=str(path))
    with_suffix = path.with_name(f"{path.name}.yaml")
    parent = path.parent
    names = [item.name for item in parent.glob("*.yaml")] if parent.is_dir() else []
    near = with_suffix.name if with_suffix.exists() else find_near(path.name, names)
    hint = f"did you mean {parent / near}?" if near else None
    what = "no such recipe" if near or path.suffix in {".yaml", ".yml"} else "no such recipe or directory"
    return RecipeNotFoundError(what, where=str(path), hint=hint)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeNotFoundError: the file is not there.
        RecipeError: it cannot be read, or is not a valid recipe; a FaultsError holds all faults that were found.
    """
    return parse_recipe(read_text(path), path)


def parse_recipe(text: str, path: Path) -> Recipe:
    """Parse the text of a recipe; see `load_recipe`."""
    document = parse_document(text, str(path))
    model = _validate(RecipeModel, document)
    faults = [*_check_identity(model, document), *_check_steps(model, document)]
    if faults:
        raise FaultsError(faults)
    return Recipe(path, model, document)


def parse_pipeline(text: str, file: str) -> tuple[PipelineModel, Document, tuple[RecipeError, ...]]:
    """Parse a pipeline definition; what is probably not meant comes beside it.

    Raises:
        RecipeError: it is not valid.
    """
    document = parse_document(text, file)
    warnings: list[RecipeError] = []
    try:
        model = PipelineModel.model_validate(document.data)
    except ValidationError as error:
        # Definitions may say what a recipe may not, in steps too; melange passes it over.
        data = copy.deepcopy(document.data)
        for item in error.errors(include_url=False):
            path = _document_path(item["loc"])
            if path == ("uses",):
                message, hint = "a pipeline cannot be another one", "put a step that uses it under `pipeline`"
                raise _key_fault(message, path, document, hint) from None
            if item["type"] == "extra_forbidden":
                _remove(data, path)
                if path[-1] != "description":  # prose does no harm
                    warnings.append(_fault(item, PipelineModel, document))
        model = _validate(PipelineModel, document, data)
    faults = tuple(_check_pipeline(model.pipeline, ("pipeline",), document))
    if faults:
        raise FaultsError(faults)
    if not (model.runs or model.pipeline or model.native or model.needs.packages):
        place = document.place(())
        hint = "it needs `runs` or `pipeline`"
        warnings.append(RecipeError("this pipeline does nothing", where=place, hint=hint))
    return model, document, tuple(warnings)


def _remove(data: Any, path: DocumentPath) -> None:  # whatever YAML holds
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def read_text(path: Path) -> str:
    """Read a file that holds YAML.

    Raises:
        RecipeNotFoundError: it is not there.
        RecipeError: it is no regular file, not UTF-8, or cannot be read.
    """
    try:
        if path.is_dir():
            raise RecipeError("is a directory, not a file", where=str(path))
        if path.exists() and not path.is_file():
            raise RecipeError("is not a regular file", where=str(path))
        if not is_utf8(str(path)):
            raise RecipeError("has a name that is not UTF-8", where=repr(path.name))
        return read_file(path, _LARGEST).decode().replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise _not_found(path) from None
    except UnicodeDecodeError as error:
        place = Place(str(path), error.object.count(b"\n", 0, error.start) + 1, 1)
        raise RecipeError(f"is not UTF-8 at byte {error.start}", where=place, hint="save it as UTF-8") from None
    except OSError as error:
        raise RecipeError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def _validate(model: type[Model], document: Document, data: object = None) -> Model:
    """Validate a document, or other data for it."""
    if not isinstance(document.data, dict):
        found = "empty" if document.data is None else "a list" if isinstance(document.data, list) else "plain text"
        raise WrongTypeError(f"expected a mapping, the file is {found}", where=document.place(()))
    try:
        return model.model_validate(document.data if data is None else data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults = [_fault(item, model, document) for item in details[:MOST_FAULTS]]
        raise FaultsError(sorted(faults, key=fault_position)) from None


def _fault(item: ErrorDetails, model: type[BaseModel], document: Document) -> RecipeError:
    path = _document_path(item["loc"])
    name = path[-1] if path else ""
    if item["type"] == "extra_forbidden":
        place = document.place(path, key=True)
        known = _keys(_model_at(model, path[:-1]))
        near = hint_near(str(name), known, f"known here are {', '.join(sorted(known))}")
        return UnknownKeyError(f"unknown key {shorten(name)}", where=place, hint=near, details=document.excerpt(place))
    place = document.place(path, key=item["loc"][-1:] == ("[key]",))
    excerpt = document.excerpt(place)
    label = _label(path)
    if item["type"] == "missing":
        return RecipeError(f"{label} is missing", where=place, details=excerpt)
    shape = _SHAPES.get(item["type"])
    message = f"expected {shape}, found {_found(item['input'])}" if shape else item["msg"].removeprefix("Value error, ")
    hint = getattr(item.get("ctx", {}).get("error"), "hint", None)
    return WrongTypeError(f"{label}: {message}", where=place, hint=hint, details=excerpt)


def _found(value: object) -> str:
    shapes: dict[type, str] = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return shapes.get(type(value), shorten(value))


def _label(path: DocumentPath) -> str:
    label = ""
    for part in path:
        label += f"[{part}]" if isinstance(part, int) else f".{part}"
    return label.removeprefix(".")


def _document_path(loc: Sequence[int | str]) -> DocumentPath:
    """Return an error's location without the mark that pydantic adds for a mapping's key."""
    path = tuple(loc)
    return path[:-1] if path and path[-1] == "[key]" else path


def _model_at(model: type[BaseModel], path: DocumentPath) -> type[BaseModel] | None:
    """Follow a path of keys through the schema."""
    current: object = model
    for part in path:
        current = _inside(current, part)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _inside(schema: object, part: str | int) -> object:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        for name, field in schema.model_fields.items():
            if part in {field.alias, name}:
                return field.annotation
        return None
    arguments = typing.get_args(schema)
    if typing.get_origin(schema) in {list, dict, types.UnionType} and arguments:
        return arguments[-1]
    return None


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _check_identity(model: RecipeModel, document: Document) -> Iterator[RecipeError]:
    package = model.package
    if "${{" not in package.name and not NAME.fullmatch(package.name):
        place = document.place(("package", "name"))
        yield WrongTypeError(
            f"package.name: {package.name!r} is not a package name",
            where=place,
            hint="names begin with a letter or digit and go on with letters, digits, + _ . -",
            details=document.excerpt(place),
        )
    if not package.version:
        place = document.place(("package", "version"))
        yield RecipeError("package.version is empty", where=place, details=document.excerpt(place))


def _check_steps(model: RecipeModel, document: Document) -> Iterator[RecipeError]:
    yield from _check_pipeline(model.pipeline, ("pipeline",), document)
    yield from _check_pipeline(model.test.pipeline, ("test", "pipeline"), document)
    for index, subpackage in enumerate(model.subpackages):
        yield from _check_pipeline(subpackage.pipeline, ("subpackages", index, "pipeline"), document)
        yield from _check_pipeline(subpackage.test.pipeline, ("subpackages", index, "test", "pipeline"), document)


def _check_pipeline(steps: Sequence[Step], path: DocumentPath, document: Document) -> Iterator[RecipeError]:
    for index, step in enumerate(steps):
        here = (*path, index)
        if step.uses and step.runs:
            yield _key_fault("a step has either `uses` or `runs`, this one has both", (*here, "runs"), document)
        if step.with_ and not step.uses:
            yield _key_fault("`with` gives inputs to `uses`, which this step lacks", (*here, "with"), document)
        yield from _check_pipeline(step.pipeline, (*here, "pipeline"), document)


def _key_fault(message: str, path: DocumentPath, document: Document, hint: str | None = None) -> RecipeError:
    place = document.place(path, key=True)
    return RecipeError(message, where=place, hint=hint, details=document.excerpt(place))
