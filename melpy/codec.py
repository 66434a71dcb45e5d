"""JSON of the frozen nouns, derived from their types: `encode` writes one, `decode` reads an equal one.

A noun is declared as `class Name(Noun, frozen=True)`. Keys are sorted, so that equal values have equal bytes. A path
is its text, and bytes are base64. Nouns that stand in a union are declared with `tag=` too, and have a key `type`.

JSON is UTF-8 and names of files are not always: Python has each byte that is not UTF-8 as a lone surrogate. A lone
surrogate is written as U+0000 and its number in four hex digits, and so is U+0000 itself, so no other text looks so.
A float is finite: JSON has no word for others.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import msgspec
from msgspec import Struct

from melpy.errors import ValueFormatError

if TYPE_CHECKING:
    from types import UnionType

    from melpy.errors import Place

Value = TypeVar("Value")

_ESCAPED = b"\\u0000"  # as JSON spells U+0000, which has no other spelling
_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")  # in MessagePack; in JSON msgspec writes such a number as null
_ODD = re.compile("[\0\ud800-\udfff]")
_WRITTEN = re.compile("\0([0-9a-f]{4})?")


class Noun(Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen value that has a JSON form: its class is made 50 times as fast as a data class."""


class PartNoun(Noun, frozen=True):
    """A noun that is compared by some of its fields: those that `uncounted` does not name."""

    uncounted: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._counted() == other._counted()

    def __hash__(self) -> int:
        return hash(self._counted())

    def _counted(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name not in self.uncounted)


def encode(value: object) -> bytes:
    """Return a noun, or a container of nouns, as JSON.

    Raises:
        ValueError: a number that is not finite.
        TypeError: a type that has no JSON.
    """
    try:
        data = _ENCODER.encode(value)
        if _ESCAPED not in data and (b"null" not in data or not _NOT_FINITE.search(_PACKER.encode(value))):
            return data
    except (UnicodeEncodeError, TypeError, OverflowError):
        pass  # a lone surrogate; a mapping whose keys are no texts; an integer of more than 64 bits
    # All of that is rare, and walking through a value here takes 40 times as long.
    return _ENCODER.encode(_spell(value))


@overload
def decode(data: bytes, kind: type[Value], where: Place | str | None = None) -> Value: ...


@overload
def decode(data: bytes, kind: UnionType, where: Place | str | None = None) -> Any: ...


def decode(data: bytes, kind: Any, where: Place | str | None = None) -> Any:
    """Return the value of a type that `encode` wrote.

    Args:
        data: the JSON.
        kind: the type: a noun, a container or a union of nouns.
        where: file or thing that errors are about.

    Raises:
        ValueFormatError: it is not JSON, or not such a value.
    """
    try:
        if _ESCAPED not in data:
            return _decoder(kind).decode(data)
        plain = _read_texts(msgspec.json.decode(data))
        return msgspec.convert(plain, kind, str_keys=True, dec_hook=_make_path)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        if not reason[:2].isupper():  # `JSON`
            reason = reason[:1].lower() + reason[1:]
        name = getattr(kind, "__name__", "value")
        raise ValueFormatError(f"is no {name} of this version of melpy: {reason}", where=where) from None


def replace(value: Value, /, **changes: Any) -> Value:
    """Return the same noun with other values of some fields. It does so for data classes too."""
    if isinstance(value, Struct):
        return msgspec.structs.replace(value, **changes)
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]  # noqa: TID251  # a data class, then


def asdict(value: object) -> dict[str, Any]:
    """Return the fields of a noun by name, nouns within it as mappings likewise, all else as it is.

    This is for forms that are fixed, such as digests and public JSON: it adds no tags, and escapes nothing.
    """
    plain = _plain(value)
    assert isinstance(plain, dict), value
    return plain


def _plain(value: object) -> object:
    if (names := _field_names(value)) is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value] if isinstance(value, list) else tuple(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value


def _plain_path(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON: {value!r}")


def _make_path(kind: type, value: object) -> object:
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


_PACKER = msgspec.msgpack.Encoder(enc_hook=_plain_path)
_ENCODER = msgspec.json.Encoder(enc_hook=_plain_path, order="sorted")


@lru_cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_make_path)


def _spell(value: object) -> object:
    """Return a value made of types that msgspec has an order for, with the texts that JSON has no form for written."""
    if isinstance(value, (str, PurePath)) and not isinstance(value, Enum):
        return _write_text(str(value))
    if isinstance(value, Mapping):
        return {_spell_key(key): _spell(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted(map(_spell, value), key=_ENCODER.encode)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number that has no JSON: {value}")
    names = _field_names(value)
    if names is None:
        return value
    config = getattr(value, "__struct_config__", None)
    tag = {config.tag_field: config.tag} if config and config.tag_field else {}
    return {**tag, **{name: _spell(getattr(value, name)) for name in names}}


def _field_names(value: object) -> tuple[str, ...] | None:
    """Return the names of the fields of a noun or a data class; None for anything else."""
    if isinstance(value, Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value))
    return None


def _spell_key(key: object) -> str:
    value = key.value if isinstance(key, Enum) else key
    if not isinstance(value, (str, int, PurePath)):
        raise TypeError(f"{type(value).__name__} is no key of JSON: {value!r}")
    return _write_text(str(value))


def _write_text(text: str) -> str:
    return _ODD.sub(lambda match: f"\0{ord(match[0]):04x}", text)


def _read_texts(value: object) -> object:
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, dict):
        return {_read_text(key): _read_texts(item) for key, item in value.items()}
    return [_read_texts(item) for item in value] if isinstance(value, list) else value


def _read_text(text: str) -> str:
    def read(match: re.Match[str]) -> str:
        if match[1] is None:
            raise ValueError("a text has U+0000 and no number after it")
        return chr(int(match[1], 16))

    return _WRITTEN.sub(read, text)
