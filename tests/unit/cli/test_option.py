"""Options that several commands share."""

from __future__ import annotations

import click
import pytest

from melpy.cli.option import COUNT, WORKERS


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (COUNT, "0", "'0' is not a whole number of at least 1"),
        (COUNT, "-2", "'-2' is not a whole number of at least 1"),
        (COUNT, "many", "'many' is not a whole number of at least 1"),
        (WORKERS, "65", "'65' is not a whole number from 1 to 64"),
        (WORKERS, "1.5", "'1.5' is not a whole number from 1 to 64"),
    ],
)
def test_a_wrong_number(kind: click.IntRange, text: str, told: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert caught.value.message == told


def test_a_number() -> None:
    assert (COUNT.convert("1", None, None), COUNT.convert(300, None, None)) == (1, 300)
    assert WORKERS.convert("64", None, None) == 64
