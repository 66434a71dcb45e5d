"""Every noun comes back from its JSON equal, with odd names too."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from melpy.codec import Noun, asdict, decode, encode
from melpy.errors import ValueFormatError
from tests.factories.noun import TEXTS, find_nouns, make_noun

NOUNS = find_nouns()
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("kind", NOUNS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@settings(max_examples=10, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_noun_comes_back_equal(kind: type[Noun], data: st.DataObject) -> None:
    value = data.draw(make_noun(kind))
    written = encode(value)
    json.loads(written)  # it is JSON for others as well
    back = decode(written, kind)
    assert type(back) is kind
    assert back == value
    assert asdict(back) == asdict(value)  # fields that do not count for == come back too
    assert encode(back) == written


@given(TEXTS)
@settings(max_examples=500)
def test_a_text_comes_back_equal(text: str) -> None:
    written = encode(text)
    assert decode(written, str) == text
    written.decode()  # it is UTF-8


@given(TEXTS, TEXTS)
@settings(max_examples=500)
def test_two_texts_are_two(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(st.dictionaries(TEXTS, st.integers(0, 9), min_size=2), st.randoms())
def test_equal_mappings_have_equal_bytes(value: dict[str, int], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert encode(dict(items)) == encode(value)


@given(st.frozensets(TEXTS), st.randoms())
def test_equal_sets_have_equal_bytes(value: frozenset[str], random: Any) -> None:
    items = list(value)
    random.shuffle(items)
    assert encode(frozenset(items)) == encode(value)
    assert decode(encode(value), frozenset[str]) == value


@given(st.binary(max_size=40))
def test_malformed_bytes_are_one_kind_of_error(data: bytes) -> None:
    for kind in NOUNS[:5]:
        with contextlib.suppress(ValueFormatError):
            decode(data, kind)
