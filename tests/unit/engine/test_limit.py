"""What a build may use, as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from melpy.engine.limit import Requests, find_limits, find_requests, parse_duration, parse_limits, parse_quantity
from melpy.errors import SettingsError
from melpy.recipe.load import load_recipe
from melpy.recipe.model import Recipe
from melpy.sandbox.model import Limits

RECIPE = """
package:
  name: one
  version: 1
  timeout: 1h30m
  resources:
    cpu: "1.5"
    memory: 4Gi
    disk: 10G
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [("1048576", 2**20), ("8Gi", 8 * 2**30), ("500M", 5e8), ("1.5Ki", 1536), ("2GB", 2e9), ("0", 0), ("3k", 3000)],
)
def test_a_quantity(text: str, value: float) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("2m3s", 123), ("0", 0)]
)
def test_a_duration(text: str, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "8Q", "Gi", "-1", "1 2", "0x10", "1e9", "8GiGi"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["", "h", "1d", "1h 30m", "-5s", "1h30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def recipe(tmp_path: Path, text: str = RECIPE) -> Recipe:
    (tmp_path / "one.yaml").write_text(text)
    return load_recipe(tmp_path / "one.yaml")


def stated(**texts: str) -> Limits:
    return parse_limits({key: (text, f"--{key}") for key, text in texts.items()})


def test_a_recipe_limits_its_time_only(tmp_path: Path) -> None:
    assert find_limits(recipe(tmp_path), stated()) == Limits(5400, 0, 0, 0, 0)


def test_what_a_recipe_asks_for(tmp_path: Path) -> None:
    assert find_requests(recipe(tmp_path)) == Requests(1.5, 4 * 2**30, 10**10)


def test_what_is_stated_is_the_limit(tmp_path: Path) -> None:
    limits = stated(timeout="10s", cpu="0.5", memory="1Gi", disk="0", processes="100")
    assert find_limits(recipe(tmp_path), limits) == Limits(10, 1, 2**30, 0, 100)
    assert find_limits(recipe(tmp_path), stated(timeout="0")).seconds == 0


def test_less_memory_than_any_program_needs_is_a_slip() -> None:
    with pytest.raises(SettingsError, match="less memory than any program needs: '8'"):
        stated(memory="8")


def test_who_said_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as flag:
        stated(memory="much")
    assert str(flag.value) == "--memory: not a quantity such as 8Gi or 500M: 'much'"
    with pytest.raises(SettingsError) as written:
        find_requests(recipe(tmp_path, RECIPE.replace("10G", "ten")))
    assert str(written.value) == f"{tmp_path}/one.yaml: resources.disk: not a quantity such as 8Gi or 500M: 'ten'"
