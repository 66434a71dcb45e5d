"""Options that several commands share."""

from __future__ import annotations

from typing import Any

import click
import pytest

from melpy.cli.option import Count


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (Count(1), "0", "'0' is not a whole number of at least 1"),
        (Count(1), "-2", "'-2' is not a whole number of at least 1"),
        (Count(0), "many", "'many' is not a whole number of at least 0"),
        (Count(1, 64), "65", "'65' is not a whole number from 1 to 64"),
        (Count(1, 64), "1.5", "'1.5' is not a whole number from 1 to 64"),
    ],
)
def test_a_wrong_number(kind: Count, text: Any, told: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert caught.value.message == told


def test_a_number() -> None:
    given: tuple[Any, ...] = ("1", 300)
    assert [Count(1).convert(value, None, None) for value in given] == [1, 300]
