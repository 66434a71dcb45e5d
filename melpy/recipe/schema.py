"""JSON schemas of recipes and pipeline definitions, generated from the models; editors check and complete with them."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any

from melpy.recipe.model import RecipeModel
from melpy.recipe.step import PipelineModel

if TYPE_CHECKING:
    from pydantic import BaseModel

SCHEMAS: dict[str, type[BaseModel]] = {"recipe": RecipeModel, "pipeline": PipelineModel}
"""What there are schemas of."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `recipe` or `pipeline` files."""
    model = SCHEMAS[kind]
    schema = model.model_json_schema(by_alias=True)
    models = {found.__name__: found for found in _models(model)}
    _describe(schema, model)
    for name, part in schema["$defs"].items():
        _describe(part, models[name])
    title = {"recipe": "melpy recipe", "pipeline": "melpy pipeline definition"}[kind]
    return {"$schema": _DIALECT, **schema, "title": title}


def key_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return what is said about each key of a part, by the key as recipes write it."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.startswith("melpy."):
            found |= _attribute_docs(base.__module__).get(base.__name__, {})
    return {field.alias or name: found.get(name, "") for name, field in model.model_fields.items()}


@functools.cache
def _attribute_docs(module: str) -> dict[str, dict[str, str]]:
    """Return the strings below attributes, by class and attribute."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    docs: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for attribute, text in zip(node.body, node.body[1:], strict=False):
            if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name):
                value = text.value if isinstance(text, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    docs.setdefault(node.name, {})[attribute.target.id] = value.value
    return docs


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a model and all that it is made of."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        current = waiting.pop()
        waiting += getattr(current, "__args__", ())
        if hasattr(current, "model_fields") and current not in found:
            found.add(current)
            waiting += [field.annotation for field in current.model_fields.values()]
    return found


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    docs = key_docs(model)
    part.pop("title", None)
    for key, value in part.get("properties", {}).items():
        value.pop("title", None)
        value.pop("default", None)
        nullable = _or_null(value) if key not in part.get("required", ()) else value
        part["properties"][key] = {"description": docs[key], **nullable}


def _or_null(value: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that may be left empty, as recipes do."""
    if "$ref" in value:
        return {"anyOf": [value, {"type": "null"}]}
    kind = value.get("type")
    nullable = {**value, "type": [kind, "null"]} if isinstance(kind, str) else value
    return {**nullable, "enum": [*value["enum"], None]} if "enum" in value else nullable
