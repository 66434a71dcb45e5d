"""What a build may use, by the settings and its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from melpy.engine.limit import Requests, find_limits, find_requests
from melpy.errors import SettingsError
from melpy.recipe.load import load_recipe
from melpy.recipe.model import Recipe
from melpy.sandbox.model import NO_LIMITS, Limits

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


def recipe(tmp_path: Path, text: str = RECIPE) -> Recipe:
    (tmp_path / "one.yaml").write_text(text)
    return load_recipe(tmp_path / "one.yaml")


def test_a_recipe_limits_its_time_only(tmp_path: Path) -> None:
    assert find_limits(recipe(tmp_path), NO_LIMITS) == Limits(5400, 0, 0, 0, 0)


def test_what_a_recipe_asks_for(tmp_path: Path) -> None:
    assert find_requests(recipe(tmp_path)) == Requests(1.5, 4 * 2**30, 10**10)


def test_what_is_stated_is_the_limit(tmp_path: Path) -> None:
    limits = Limits(10, 1, 2**30, 0, 100)
    assert find_limits(recipe(tmp_path), limits) == limits
    assert find_limits(recipe(tmp_path), Limits(seconds=0)).seconds == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10G", "ten", "resources.disk: not a size: 'ten'"),
        ('"1.5"', "many", "resources.cpu: not a number: 'many'"),
    ],
)
def test_the_line_of_a_recipe_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    asked = recipe(tmp_path, RECIPE.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        find_requests(asked)
    assert str(caught.value) == f"{tmp_path}/one.yaml: {message}"
    assert caught.value.hint
