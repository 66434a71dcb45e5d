"""JSON of the nouns: what one of each kind of value looks like, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import Field, dataclass, fields
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from msgspec import Struct, field

from melpy import events
from melpy.codec import Noun, PartNoun, asdict, decode, encode, replace
from melpy.errors import ValueFormatError
from melpy.plan.git import GitSource, Patience
from melpy.plan.model import FetchPatience, PlanStep, Source
from melpy.sandbox.model import Limits, Mount
from tests.factories.noun import find_nouns


class Colour(StrEnum):
    RED = "red"


class Pair(NamedTuple):
    name: str
    number: int


class Round(Noun, frozen=True, tag="round"):
    radius: float


class Square(Noun, frozen=True, tag="square"):
    side: int
    inner: Round | None = None


class Everything(Noun, frozen=True):
    text: str
    number: int
    share: float
    flag: bool
    nothing: str | None
    data: bytes
    path: Path
    inside: PurePosixPath
    colour: Colour
    pair: Pair
    names: tuple[str, ...]
    counts: Mapping[str, int]
    sizes: Mapping[Path, int]
    chosen: AbstractSet[str]
    shapes: tuple[Round | Square, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)


VALUE = Everything(
    text="ü\n",
    number=-1,
    share=0.5,
    flag=True,
    nothing=None,
    data=b"\xff\0",
    path=Path("/a b"),
    inside=PurePosixPath("home/build"),
    colour=Colour.RED,
    pair=Pair("p", 2),
    names=("b", "a"),
    counts={"z": 1, "a": 2},
    sizes={Path("/x"): 3, Path("/a"): 4},
    chosen=frozenset({"two", "one"}),
    shapes=(Round(1.0), Square(2, Round(0.25))),
)


def test_one_of_each_kind() -> None:
    written = (
        '{"chosen":["one","two"],"colour":"red","counts":{"a":2,"z":1},"data":"/wA=","flag":true,'
        '"inside":"home/build","more":{},"names":["b","a"],"nothing":null,"number":-1,"pair":["p",2],"path":"/a b",'
        '"shapes":[{"radius":1.0,"type":"round"},{"inner":{"radius":0.25,"type":"round"},"side":2,"type":"square"}],'
        '"share":0.5,"sizes":{"/a":4,"/x":3},"text":"ü\\n"}'
    )
    assert encode(VALUE).decode() == written
    assert decode(written.encode(), Everything) == VALUE


def test_a_name_that_is_not_utf_8_has_a_form_of_its_own() -> None:
    mount = Mount(Path("/caf\udce9"), PurePosixPath("/café"))
    written = '{"source":"/caf\\u0000dce9","target":"/café","writable":false}'
    assert encode(mount).decode() == written
    assert decode(written.encode(), Mount) == mount


@pytest.mark.parametrize("text", ["\\udce9", "\0dce9", "dce9", "\\u0000dce9", "%E9", "caf\ufffd", "\ud800\udc00", "\0"])
def test_no_ordinary_text_looks_like_another_name(text: str) -> None:
    assert decode(encode(text), str) == text
    assert encode(text) != encode("\udce9")


def test_a_plan_step() -> None:
    written = encode(PlanStep("make", script="make", inputs=(("a", "b"),)))
    assert written == (
        b'{"environment":[],"inputs":[["a","b"]],"label":"make","native":"","network":false,"script":"make",'
        b'"workdir":"/home/build"}'
    )


def test_sources_and_events_say_which_they_are() -> None:
    sources = (Source("https://x/a"), GitSource("https://x/g"))
    assert decode(encode(sources), tuple[Source | GitSource, ...]) == sources
    warning = events.Warning("one", "odd", "look")
    assert encode(warning) == b'{"hint":"look","job":"one","text":"odd","type":"Warning"}'
    assert decode(encode(warning), events.AnyEvent) == warning


def test_every_event_is_told_apart() -> None:
    kinds = {kind for kind in find_nouns() if issubclass(kind, events.Event)} - {events.Event}
    assert kinds == set(events.AnyEvent.__args__)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "input data was truncated"),
        (b"[]", "expected `object`, got `array`"),
        (b"{", "input data was truncated"),
        (b'{"seconds":"1"}', "expected `float | null`, got `str` - at `$.seconds`"),
        (b'{"memory":1.5}', "expected `int`, got `float` - at `$.memory`"),
        (b'{"second":1}', "object contains unknown field `second`"),
        (b'{"a\\u0000":1}', "a text has U+0000 and no number after it"),
        (b'{"memory":1}\xff', "JSON is malformed: trailing characters (byte 13)"),
        (b'{"\xff":1}', "invalid UTF-8"),
        (b'{"a":' * 100_000, "unknown field `a`"),
        (b'{"a":"\\u0000dce9","b":' + b"[" * 100_000, "nested too deep"),
    ],
)
def test_malformed_json_is_one_kind_of_error(data: bytes, message: str) -> None:
    with pytest.raises(ValueFormatError) as caught:
        decode(data, Limits, "limits.json")
    assert caught.value.where == "limits.json"
    assert caught.value.message.startswith("is no Limits of this version of melpy: ")
    assert message.lower() in caught.value.message.lower()


@pytest.mark.parametrize("data", [b'{"source":1,"target":"/"}', b'{"source":"/","target":["/"]}'])
def test_a_path_is_a_text(data: bytes) -> None:
    with pytest.raises(ValueFormatError, match=r"expected `(Path|PurePosixPath)`, got"):
        decode(data, Mount)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_without_json_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="has no JSON"):
        encode(Limits(seconds=number))


def test_large_numbers() -> None:
    assert decode(encode(Limits(memory=2**70)), Limits) == Limits(memory=2**70)


def test_fields_that_do_not_count() -> None:
    patient, usual = Source("x", patience=FetchPatience(9.0)), Source("x")
    assert patient == usual
    assert hash(patient) == hash(usual)
    assert decode(encode(patient), Source).patience == FetchPatience(9.0)
    assert usual != Source("y")
    assert usual != GitSource("x")
    assert GitSource("x", patience=Patience(9)) == GitSource("x")
    assert len({patient, usual, Source("y")}) == 2


def test_a_noun_is_replaced_in_part_and_stays_frozen() -> None:
    limits = Limits(memory=1)
    assert replace(limits, processors=2) == Limits(memory=1, processors=2)
    with pytest.raises(AttributeError):
        limits.memory = 2  # type: ignore[misc]  # that is the test
    with pytest.raises(TypeError):
        replace(limits, colour=1)


def test_data_classes_are_replaced_and_taken_apart_likewise() -> None:
    @dataclass(frozen=True)
    class Old:
        limits: Limits
        names: tuple[str, ...]

    old = Old(Limits(), ("a",))
    assert replace(old, names=()) == Old(Limits(), ())
    assert asdict(old) == {"limits": asdict(Limits()), "names": ("a",)}
    assert [item.name for item in fields(old)] == ["limits", "names"]


def test_a_form_that_is_fixed_has_no_tags() -> None:
    assert "type" not in asdict(Source("x"))
    assert asdict(VALUE)["shapes"] == ({"radius": 1.0}, {"side": 2, "inner": {"radius": 0.25}})


def test_public_nouns_have_types_that_can_be_read() -> None:
    assert len(NOUNS) > 90
    for kind in NOUNS:
        with pytest.raises(ValueFormatError):
            decode(b"0", kind)


NOUNS: list[Any] = find_nouns()


def all_structs(kind: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for below in kind.__subclasses__():
        yield below
        yield from all_structs(below)


def test_defaults_are_of_the_right_library() -> None:
    found = [kind for kind in all_structs() if kind.__module__.startswith("melpy.")]
    assert len(found) > len(NOUNS)
    for kind in found:
        assert not [default for default in kind.__struct_defaults__ if isinstance(default, Field)], kind
        assert kind.__struct_config__.frozen, kind


def test_uncounted_fields_exist() -> None:
    for kind in PartNoun.__subclasses__():
        assert kind.uncounted
        assert set(kind.uncounted) <= set(kind.__struct_fields__)
