"""Sizes, durations and numbers, as people write them."""

from __future__ import annotations

import pytest

from melpy.bound import BoundError
from melpy.quantity import parse_count, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1048576", 2**20),
        ("8Gi", 8 * 2**30),
        ("64GiB", 64 * 2**30),
        ("500M", 5 * 10**8),
        ("5 kB", 5000),
        ("1.5Ki", 1536),
        ("1.5GB", 1_500_000_000),
        ("2TB", 2 * 10**12),
        ("0", 0),
        ("3k", 3000),
        ("9007199254740993", 9007199254740993),  # a float has no such number
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "GB", "8Q", "Gi", "-1", "1 2", "0x10", "1e9", "8GiGi", "1XB", "lots", "\u0663"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BoundError, match=r"^not a size: "):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", 90),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("2m3s", 123),
        ("0", 0),
        ("2d", 172800),
        ("1w", 604800),
    ],
)
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "h", "1y", "1h 30m", "-5s", "1h30", "soon"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BoundError, match=r"^not a duration: "):
        parse_duration(text)


def test_durations_of_recipes_are_those_of_go() -> None:
    assert [parse_duration(text, go=True) for text in ("24h", "0", "1.5m")] == [86400, 0, 90]
    for text in ("1d", "90", "1w", "1h1d"):
        with pytest.raises(BoundError, match=f"^not a duration: '{text}'$"):
            parse_duration(text, go=True)


def test_numbers() -> None:
    assert [parse_count(text) for text in ("2", "0.5", "0")] == [2, 0.5, 0]
    for text in ("", "-1", "1e3", "two", "1."):
        with pytest.raises(BoundError, match=r"^not a number: "):
            parse_count(text)


@pytest.mark.parametrize("text", ["9" * 30, "9" * 60 + "Ti"])
def test_quantities_out_of_all_bounds(text: str) -> None:
    for parse in (parse_size, parse_duration) if text.isdigit() else (parse_size,):
        with pytest.raises(BoundError, match=r"^is too large: "):
            parse(text)
