"""What the parts of the schema are made of: scalars that keep their text, and the base of all mappings."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from melpy.bound import BoundError
from melpy.errors import hint_near
from melpy.quantity import parse_duration
from melpy.recipe.capability import CAPABILITIES

Value = TypeVar("Value")


class ValueFaultError(ValueError):
    """What is wrong with a value, and what to do about it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


_TRUE, _FALSE = {"true", "yes", "on", "y"}, {"false", "no", "off", "n"}
_LARGEST = 2**64 - 1
LARGEST_ID = 2**32 - 2
"""Largest user or group id; the next one means none."""
WHOLE = re.compile(r"[+-]?[0-9]+")
"""A whole number."""


def _boolean(value: object) -> object:
    """Read a boolean of YAML 1.1, as go-yaml does where one is meant."""
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, found {_describe(value)}")


def _integer(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and WHOLE.fullmatch(value):
        digits = value.lstrip("+-")
        if digits.startswith("0") and digits != "0":
            raise ValueFaultError(
                f"a number has no leading zeros, found {value!r}", "YAML takes such a number for octal"
            )
        if len(digits) > len(str(_LARGEST)) or int(digits) > _LARGEST:
            raise ValueFaultError(f"{value[:40]} is too large", f"the largest is {_LARGEST}")
        return int(value)
    raise ValueError(f"expected a whole number, found {_describe(value)}")


def _natural(value: object) -> object:
    number = _integer(value)
    assert isinstance(number, int)
    if number < 0:
        raise ValueError(f"expected a number that is not negative, found {number}")
    return number


def _id(value: object) -> object:
    number = _natural(value)
    assert isinstance(number, int)
    if number > LARGEST_ID:
        raise ValueFaultError(f"{number} is too large", f"the largest is {LARGEST_ID}")
    return number


def _text(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueFaultError("holds a NUL character", "no file, script or variable can hold one")
        return value
    raise ValueError(f"expected text, found {_describe(value)}")


def _duration(value: object) -> object:
    text = _text(value)
    assert isinstance(text, str)
    try:
        parse_duration(text or "0", go=True)
    except BoundError:
        raise ValueError(f"expected a duration such as 30m or 1h30m, found {text!r}") from None
    return text


def _priority(value: object) -> object:
    text = _text(value)
    assert isinstance(text, str)
    # Templates are looked at once they are rendered.
    if text and "${{" not in text and not WHOLE.fullmatch(text):
        raise ValueError(f"expected a whole number, found {text!r}")
    return text


def _environment_name(value: str) -> str:
    if not value or "=" in value or "\0" in value:
        raise ValueFaultError(f"no environment variable can be called {value!r}", "names hold no `=`")
    return value


def _capability(value: str) -> str:
    name = value.upper()
    if name not in CAPABILITIES and name != "ALL":
        raise ValueFaultError(
            f"no capability is called {value!r}", hint_near(name, CAPABILITIES, "Linux has those of capabilities(7)")
        )
    return name


def _some_text(value: str) -> str:
    if not value:
        raise ValueFaultError("is empty")
    return value


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else repr(value)


# An editor sees `version: 1.10` as a number, where its text is meant.
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Integer = Annotated[int, BeforeValidator(_integer)]
Natural = Annotated[int, BeforeValidator(_natural), WithJsonSchema({"type": "integer", "minimum": 0})]
Id = Annotated[int, BeforeValidator(_id), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": LARGEST_ID})]
Duration = Annotated[str, BeforeValidator(_duration)]
Priority = Annotated[str, BeforeValidator(_priority), WithJsonSchema({"type": ["string", "number", "null"]})]
SomeText = Annotated[Text, AfterValidator(_some_text)]
Capability = Annotated[Text, AfterValidator(_capability)]
TextMap = dict[str, Text]
Variables = dict[Annotated[str, AfterValidator(_environment_name)], Text]
"""Environment variables."""
TextList = list[Text]


def constant(value: Value, *, alias: str | None = None) -> Value:
    """Return a field whose default is `value` itself; pydantic would copy it for each part, half the time to load."""
    field: Value = Field(default_factory=lambda: value, alias=alias)
    return field


class Part(BaseModel):
    """Base of all parts: immutable, strict about keys, hyphens in YAML and underscores in Python."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        alias_generator=lambda name: name.removesuffix("_").replace("_", "-"),
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:  # whatever YAML holds
        if data is None:
            return {}
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data
