"""The generated tree that runs over trees are tested with is what it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import networkx as nx

from melpy.arch import ARCHES as ALL
from melpy.plan.library import Library
from melpy.plan.planner import is_for, plan_recipe
from melpy.recipe.load import find_recipes, load_recipe
from tests.factories.forest import ARCHES, RING, write_forest

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.plan.model import Plan
    from melpy.recipe.model import Recipe


def plan_of(recipe: Recipe) -> Plan:
    return plan_recipe(recipe, ALL["x86_64"], Library(()))


def test_the_tree_of_two_hundred(tmp_path: Path) -> None:
    found = write_forest(tmp_path / "tree")
    assert json.loads((tmp_path / "tree/expectation.json").read_text()) == asdict(found)
    recipes = {file.stem: load_recipe(file) for file in find_recipes([tmp_path / "tree/packages"])}
    assert len(recipes) == 200
    for name, one in recipes.items():
        own = [arch for arch in ARCHES if is_for(one, ALL[arch])]
        assert found.arches[name] == (["noarch"] if name in {"codegen", "data"} else own)
        assert plan_of(one).noarch is (found.arches[name] == ["noarch"])
    graph: nx.DiGraph[str] = nx.DiGraph((need, name) for name, needs in found.needs.items() for need in needs)
    (ring,) = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    assert ring == set(RING)
    assert nx.dag_longest_path_length(nx.condensation(graph)) >= 20
    # Without those for x86_64 alone, those that are built once, a broken one and two that need it.
    assert len(found.built) == 2 * 200 - 2 - 2 - 6
    # Needs by name are those of the plans.
    makers = {package.name: plan.name for plan in map(plan_of, recipes.values()) for package in plan.packages}
    for name, one in recipes.items():
        stated = {makers[need] for need in plan_of(one).environment.packages if need in makers} - {name}
        assert stated <= set(found.needs[name])
        if name not in {"by-pc", "by-so", "generated"}:  # whose needs are names that a build finds out
            assert stated == set(found.needs[name])


def test_a_tree_is_made_of_its_number(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        write_forest(tmp_path / name, 40, seed)
    one, again, two = (
        {file.name: file.read_text() for file in (tmp_path / name / "packages").iterdir()}
        for name in ("one", "again", "two")
    )
    assert one == again != two


def test_a_plain_tree(tmp_path: Path) -> None:
    found = write_forest(tmp_path / "tree", 30, plain=True)
    assert len(found.built) == 60
    assert found.ring == found.own == found.fails == found.outside == []
