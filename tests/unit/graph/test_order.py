"""The order in which recipes are built."""

from __future__ import annotations

import random

import pytest

from melpy.cli.report import render_error
from melpy.errors import CycleError, RecipeError
from melpy.graph.order import build_graph, order_plans
from melpy.plan.model import PackagePlan, Plan, PlanEnvironment
from tests.factories.recipe import plan


def needs(name: str, *environment: str, packages: tuple[PackagePlan, ...] = (), **main: tuple[str, ...]) -> Plan:
    """Return the plan of a recipe whose environment names packages."""
    first = PackagePlan(name, runtime=main.get("runtime", ()), provides=main.get("provides", ()))
    return Plan(f"{name}.yaml", name, "1", 0, "x86_64", (first, *packages), PlanEnvironment(environment))


def order(*plans: Plan) -> list[str]:
    return [found.name for found in order_plans(plans)]


def reason(*plans: Plan, of: tuple[str, str]) -> str:
    text: str = build_graph(plans).edges[of]["edge"].reason
    return text


def test_without_needs_by_name() -> None:
    assert order(needs("c"), needs("a"), needs("b")) == ["a", "b", "c"]


@pytest.mark.parametrize("atom", ["z", "z>=1", "z=1-r0", "z~1"])
def test_by_environment(atom: str) -> None:
    plans = (needs("a", "busybox", atom), needs("z"))
    assert order(*plans) == ["z", "a"]
    assert reason(*plans, of=("z", "a")) == f"environment {atom}"


def test_by_a_steps_needs() -> None:
    text = "package: {name: %s, version: 1}\npipeline:\n  - needs: {packages: [%s]}\n    runs: make\n"
    assert order(plan(text % ("a", "z")), plan(text % ("z", "busybox"))) == ["z", "a"]


def test_by_runtime_of_a_subpackage() -> None:
    plans = (
        needs("a", packages=(PackagePlan("a-dev", runtime=("z-libs",)),)),
        needs("z", packages=(PackagePlan("z-libs"),)),
    )
    assert order(*plans) == ["z", "a"]
    assert reason(*plans, of=("z", "a")) == "runtime of a-dev z-libs"


def test_by_what_is_provided() -> None:
    assert order(needs("a", "so:z.so.1"), needs("z", provides=("so:z.so.1=1.2",))) == ["z", "a"]


def test_every_provider_comes_first() -> None:
    plans = (needs("a", "awk"), needs("y", provides=("awk",)), needs("z", provides=("awk=1",)))
    assert order(*plans) == ["y", "z", "a"]


def test_a_conflict_is_no_need() -> None:
    assert order(needs("a", "!z"), needs("z", "a")) == ["a", "z"]


def test_a_recipe_may_need_itself() -> None:
    assert order(needs("gcc", "gcc", "gcc-libs", packages=(PackagePlan("gcc-libs", runtime=("gcc",)),))) == ["gcc"]


def test_what_does_not_parse_is_left_to_the_solver() -> None:
    assert order(needs("a", "z=>1"), needs("z")) == ["a", "z"]


def test_a_circle_names_its_chain() -> None:
    plans = (
        needs("a", "b-dev"),
        needs("b", "c", packages=(PackagePlan("b-dev"),)),
        needs("c", runtime=("a>=1",)),
        needs("d"),
    )
    with pytest.raises(CycleError) as caught:
        order_plans(plans)
    lines = render_error(caught.value)
    chain = lines[0].removeprefix("error: these recipes need one another: ").split(" -> ")
    assert chain[0] == chain[-1]
    assert set(chain) == {"a", "b", "c"}
    assert sorted(lines[1:4]) == [
        "  a needs b: environment b-dev",
        "  b needs c: environment c",
        "  c needs a: runtime of c a>=1",
    ]
    assert [line.split()[2].rstrip(":") for line in lines[1:4]] == chain[1:]
    assert lines[4].startswith("hint: build one of them against a package from a repository")


def test_a_package_of_two_recipes() -> None:
    plans = (needs("a", packages=(PackagePlan("shared"),)), needs("b", packages=(PackagePlan("shared"),)))
    with pytest.raises(RecipeError) as caught:
        order_plans(plans)
    assert str(caught.value) == "b.yaml: package 'shared' is made by two recipes"
    assert caught.value.hint == "the other is a.yaml; a package can have one recipe only"


def test_two_recipes_of_one_name() -> None:
    with pytest.raises(RecipeError, match="package 'a' is made by two recipes"):
        order_plans((needs("a"), needs("a")))


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_recipes_does_not_matter(seed: int) -> None:
    plans = [needs("a", "f", "c"), needs("b", "d"), needs("c", "e"), needs("d"), needs("e", "f"), needs("f")]
    expected = order(*plans)
    random.Random(seed).shuffle(plans)
    assert order(*plans) == expected == ["d", "b", "f", "e", "c", "a"]
