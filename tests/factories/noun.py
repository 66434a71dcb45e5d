"""Strategies for the nouns of melpy, derived from the types of their fields."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import types
import typing
from collections import abc
from pathlib import PurePath
from typing import Any

from hypothesis import strategies as st

import melpy
from melpy.codec import Noun

# JSON's own characters, those that make a template, a NUL, and bytes that are not UTF-8 as Python has them.
TEXTS = st.text(st.sampled_from(list('ab/."\\ü€\n\0{}0\udc80\udcff\ud800\udfff')) | st.characters(), max_size=8)
_REPEATED: dict[Any, Any] = {
    dict: dict,
    abc.Mapping: dict,
    list: list,
    set: set,
    frozenset: frozenset,
    abc.Set: frozenset,
    abc.Sequence: tuple,
}
_DEEPEST = 3  # nouns within nouns, where one holds others of its own kind
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=8),
    type(None): st.none(),
}


def find_nouns() -> list[type[Noun]]:
    """Return every noun of melpy, of all modules."""
    for module in pkgutil.walk_packages(melpy.__path__, "melpy."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return sorted(_below(Noun), key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def _below(kind: type[Noun]) -> set[type[Noun]]:
    return {found for one in kind.__subclasses__() for found in ({one} if one.__annotations__ else set()) | _below(one)}


def make_noun(kind: type[Noun], depth: int = 0) -> st.SearchStrategy[Any]:
    """Return a strategy for a noun, which stands so deep in others."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: _make_value(hints[name], depth) for name in kind.__struct_fields__})


def _make_value(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if typing.get_origin(kind):
        return _make_container(kind, depth)
    if issubclass(kind, PurePath):
        return TEXTS.map(lambda text: kind(text.replace("\0", "")))
    if issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    if issubclass(kind, Noun):
        return st.deferred(lambda: make_noun(kind, depth + 1))
    assert issubclass(kind, tuple), kind  # a NamedTuple
    return st.builds(kind, *(_make_value(item, depth) for item in typing.get_type_hints(kind).values()))


def _make_container(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, items = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return st.sampled_from(items)
    make = tuple if items[-1] is Ellipsis else _REPEATED.get(origin)
    if make and depth >= _DEEPEST:
        return st.just(make())
    made = [_make_value(item, depth) for item in items if item is not Ellipsis]
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(made)
    if make is None:
        return st.tuples(*made)
    if make is dict:
        return st.dictionaries(*made, max_size=3)
    return st.lists(*made, max_size=3, unique=make in {set, frozenset}).map(make)
