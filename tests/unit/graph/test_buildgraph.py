"""The graph of builds: what each needs, and the order."""

from __future__ import annotations

import random

import pytest

from melpy.cli.report import render_error
from melpy.errors import CycleError, RecipeError
from melpy.graph.buildgraph import BuildGraph
from melpy.graph.model import PackageSummary
from tests.factories.graph import build, for_both, graph, names, order, package, summary


def reason(found: BuildGraph, dependent: str, dependency: str) -> list[str]:
    return [edge.reason for edge in found.reasons(build(dependent), build(dependency))]


def test_without_needs_by_name() -> None:
    assert order(graph(summary("c"), summary("a"), summary("b"))) == ["a", "b", "c"]


@pytest.mark.parametrize("atom", ["z", "z>=1", "z=1-r0", "z~1"])
def test_by_environment(atom: str) -> None:
    found = graph(summary("a", f"busybox {atom}"), summary("z"))
    assert order(found) == ["z", "a"]
    assert reason(found, "a", "z") == [f"environment {atom}"]


def test_a_constraint_that_no_recipe_meets_comes_from_outside() -> None:
    found = graph(summary("a", "z>=2"), summary("z"))
    assert order(found) == ["a", "z"]
    assert found.from_outside(build("a")) == ("z",)


def test_constraints_on_one_name_have_one_answer() -> None:
    found = graph(summary("a", "z<1 z"), summary("b", "z>=1 z y"), summary("z"), summary("y"))
    assert found.needs(build("a")) == ()
    assert found.from_outside(build("a")) == ("z",)
    assert names(found.needs(build("b"))) == ["y", "z"]


def test_by_the_runtime_closure_of_an_environment() -> None:
    found = graph(
        summary("a", "m-dev"),
        summary("m", "", package("m-dev", "y-libs")),
        summary("y", "", package("y-libs", "z")),
        summary("z"),
    )
    assert order(found) == ["z", "y", "m", "a"] or order(found) == ["m", "y", "z", "a"]
    assert names(found.needs(build("a"))) == ["m", "y", "z"]
    assert found.needs(build("m")) == ()
    assert reason(found, "a", "z") == ["environment m-dev; runtime of m-dev y-libs; runtime of y-libs z"]


def test_runtime_dependencies_alone_are_no_cycle() -> None:
    found = graph(summary("a", runtime="b"), summary("b", runtime="a"), summary("c", "a"))
    assert order(found) == ["a", "b", "c"]
    assert found.cycles == ()
    assert names(found.needs(build("c"))) == ["a", "b"]


def test_an_environment_reaches_what_a_circle_of_runtime_dependencies_needs() -> None:
    found = graph(summary("a", runtime="b"), summary("b", runtime="a z"), summary("c", "a"), summary("z"))
    assert names(found.needs(build("c"))) == ["a", "b", "z"]


def test_by_what_is_provided() -> None:
    assert order(graph(summary("a", "so:z.so.1"), summary("z", provides="so:z.so.1=1.2"))) == ["z", "a"]


@pytest.mark.parametrize(
    ("world", "chosen"),
    [
        ("awk", "z"),  # the highest version of the name
        ("awk<3", "y"),
        ("shell", "ash"),  # by priority
        ("awk>9", None),
        ("which", "which"),  # a package of that name before one that provides it without a version
    ],
)
def test_the_provider_is_the_one_that_the_resolver_would_choose(world: str, chosen: str | None) -> None:
    found = graph(
        summary("a", world),
        summary("y", provides="awk=2"),
        summary("z", provides="awk=3"),
        summary("ash", "", PackageSummary("ash-sh", ("shell",), (), 20)),
        summary("bash", "", PackageSummary("bash-sh", ("shell",), (), 10)),
        summary("busybox", provides="which"),
        summary("which"),
    )
    assert names(found.needs(build("a"))) == ([chosen] if chosen else [])


def test_generated_names_of_packages_as_they_were_built() -> None:
    recipes = (summary("a", "curl"), summary("curl"), summary("zlib"))
    built = {
        ("curl", "x86_64"): package("curl", "so:libz.so.1"),
        ("zlib", "x86_64"): package("zlib", "", "so:libz.so.1=1.3"),
    }
    assert names(graph(*recipes).needs(build("a"))) == ["curl"]
    found = graph(*recipes, provides=built)
    assert names(found.needs(build("a"))) == ["curl", "zlib"]
    assert reason(found, "a", "zlib") == ["environment curl; runtime of curl so:libz.so.1"]


def test_a_conflict_is_no_need() -> None:
    assert order(graph(summary("a", "!z"), summary("z", "a"))) == ["a", "z"]


def test_a_recipe_may_need_itself() -> None:
    found = graph(summary("gcc", "gcc gcc-libs make", package("gcc-libs", "gcc")), summary("make"))
    assert order(found) == ["make", "gcc"]
    assert found.cycles == ()
    assert names(found.needs(build("gcc"))) == ["make"]
    assert found.from_outside(build("gcc")) == ("gcc", "gcc-libs")


def test_what_does_not_parse_is_left_to_the_solver() -> None:
    assert order(graph(summary("a", "z=>1"), summary("z"))) == ["a", "z"]


def test_architectures_have_graphs_of_their_own() -> None:
    found = graph(
        *(summary(name, world, arch=arch) for arch in ("x86_64", "aarch64") for name, world in (("a", "z"), ("z", ""))),
    )
    assert [str(one) for one in found.order] == ["z/x86_64", "a/x86_64", "z/aarch64", "a/aarch64"]
    assert found.ancestors(build("a", "aarch64")) == {build("z", "aarch64")}


def test_relations() -> None:
    found = graph(summary("a", "b"), summary("b", "c d"), summary("c", "d"), summary("d"), summary("e"))
    assert names(found.ancestors(build("a"))) == ["b", "c", "d"]
    assert names(found.dependents(build("d"))) == ["b", "c"]
    assert found.dependents(build("e")) == ()
    assert [edge.reason for edge in found.find_chain(build("a"), build("d"))] == ["environment b", "environment d"]
    assert found.find_chain(build("d"), build("a")) == ()
    assert found.summaries[build("b")].world == ("c", "d")


def test_names_that_nothing_offers() -> None:
    found = graph(summary("a", "b nowhere far"), summary("b"), outside=lambda name, _arch: name == "far")
    assert found.from_outside(build("a")) == ("far", "nowhere")
    assert found.lacking(build("a")) == ("nowhere",)


def test_a_package_of_two_recipes() -> None:
    with pytest.raises(RecipeError) as caught:
        graph(summary("a", "", package("shared")), summary("b", "", package("shared")))
    assert str(caught.value) == "b.yaml: package 'shared' is made by two recipes"
    assert caught.value.hint == "the other is a.yaml; a package can have one recipe only"


def test_two_recipes_of_one_name() -> None:
    with pytest.raises(RecipeError, match="package 'a' is made by two recipes"):
        graph(summary("a"), summary("a"))


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_recipes_does_not_matter(seed: int) -> None:
    recipes = [
        summary("a", "f c"),
        summary("b", "d g"),
        summary("c", "e"),
        summary("d"),
        summary("e", "f"),
        summary("f"),
        summary("g", "h"),
        summary("h", "g b"),
    ]
    expected = graph(*recipes)
    random.Random(seed).shuffle(recipes)
    found = graph(*recipes)
    assert order(found) == order(expected)
    assert found.cycles == expected.cycles


def test_a_cycle_is_cut_at_what_outside_offers() -> None:
    recipes = (summary("a", "b-dev"), summary("b", "c", package("b-dev")), summary("c", "a>=1"), summary("d", "c"))
    found = graph(*recipes, outside=lambda name, _arch: name == "c")
    (cycle,) = found.cycles
    assert names(cycle.cut) == ["c"]
    assert names(cycle.members) == ["a", "b", "c"]
    assert [member.recipe for member in cycle.members] == ["b", "a", "c"]
    assert [(edge.dependent.recipe, edge.reason) for edge in cycle.chain] == [
        ("a", "environment b-dev"),
        ("b", "environment c"),
        ("c", "environment a>=1"),
    ]
    assert order(found) == ["b", "a", "c", "d"]
    assert found.needs(build("b")) == ()
    assert found.from_outside(build("b")) == ("c",)
    assert names(found.wants(build("b"))) == ["c"]
    assert names(found.settled(build("b"))) == ["a", "c"]
    assert names(found.needs(build("d"))) == ["c"]  # no member of the cycle: it comes after it
    assert found.find_cycle(build("a")) == cycle
    assert found.find_cycle(build("d")) is None


def test_what_a_package_from_outside_needs_comes_with_it() -> None:
    # The tool from outside brings a library of its own; the library is built with the tool.
    found = graph(
        summary("tool", "lib", runtime="lib"),
        summary("app", "tool"),
        summary("lib", "app", runtime="app"),
        outside=lambda name, _arch: name == "tool",
    )
    (cycle,) = found.cycles
    assert names(cycle.cut) == ["tool"]
    assert order(found) == ["app", "lib", "tool"]
    assert found.from_outside(build("app")) == ("app", "lib", "tool")


def test_a_recipe_on_a_circle_that_is_no_member_is_not_cut() -> None:
    # The package of meta needs a member when it is installed; meta itself can be built first, and meta-dev is visible.
    found = graph(
        summary("app", "meta meta-dev"),
        summary("lib", "app"),
        summary("meta", "", package("meta-dev"), runtime="lib"),
        outside=lambda name, _arch: name in {"meta", "lib"},
    )
    (cycle,) = found.cycles
    assert names(cycle.members) == ["app", "lib"]
    assert names(cycle.cut) == ["lib"]
    assert order(found) == ["meta", "app", "lib"]
    assert found.from_outside(build("app")) == ("lib",)


def test_a_recipe_that_needs_itself_through_another_package() -> None:
    recipes = (summary("a", "b"), summary("b", runtime="a"))
    found = graph(*recipes, outside=lambda name, _arch: name == "a")
    assert order(found) == ["b", "a"]
    assert found.cycles == ()
    (chain,) = found.find_returns()
    assert [str(edge.dependent) for edge in chain] == ["a/x86_64", "b/x86_64"]
    with pytest.raises(CycleError) as caught:
        graph(*recipes, outside=lambda _name, _arch: False)
    assert render_error(caught.value)[:-1] == [
        "error: these recipes need one another: a -> b -> a",
        "  a needs b: environment b",
        "  b needs a: runtime of b a",
        "  no repository offers a, which a makes",
    ]


def test_pinned_builds_are_cut_first() -> None:
    recipes = (summary("a", "b"), summary("b", "a"), summary("c", "b"))
    assert names(graph(*recipes, first=("b", "c", "unknown")).cycles[0].cut) == ["b"]
    assert names(graph(*recipes, first=("a",)).cycles[0].cut) == ["a"]
    assert names(graph(*recipes, first=("a", "b")).cycles[0].cut) == ["a", "b"]


def test_a_cycle_that_cannot_be_cut_names_chain_and_names() -> None:
    recipes = (summary("a", "b-dev"), summary("b", "c", package("b-dev")), summary("c", "a>=1"), summary("d"))
    with pytest.raises(CycleError) as caught:
        graph(*recipes, outside=lambda _name, _arch: False)
    assert render_error(caught.value) == [
        "error: these recipes need one another: a -> b -> c -> a",
        "  a needs b: environment b-dev",
        "  b needs c: environment c",
        "  c needs a: environment a>=1",
        "  no repository offers a, which a makes",
        "  no repository offers b-dev, which b makes",
        "  no repository offers c, which c makes",
        "hint: name a repository with -r that has the packages of one of them, or take one of these dependencies away",
    ]


def test_a_pinned_build_that_outside_lacks_is_an_error() -> None:
    recipes = (summary("a", "b"), summary("b", "a"))
    with pytest.raises(CycleError) as caught:
        graph(*recipes, outside=lambda name, _arch: name == "a", first=("b",))
    assert "  no repository offers b, which b makes" in render_error(caught.value)


def test_only_the_part_that_cannot_be_cut_is_named() -> None:
    recipes = (summary("a", "b"), summary("b", "a c"), summary("c", "d"), summary("d", "c a"))
    with pytest.raises(CycleError) as caught:
        graph(*recipes, outside=lambda name, _arch: name in {"a", "b"})
    lines = render_error(caught.value)
    assert lines[0] == "error: these recipes need one another: c -> d -> c"
    assert [line for line in lines if "no repository" in line] == [
        "  no repository offers c, which c makes",
        "  no repository offers d, which d makes",
    ]


def test_packages_for_every_architecture_are_built_once() -> None:
    """Its environment is that of one; in environments of the others it needs what these have.

    What it was built with comes before, there too: scanning may find that it is needed.
    """
    found = graph(
        *for_both("tool"),
        *for_both("lib"),
        summary("words", "tool", arch="noarch", runtime="lib"),
        *for_both("reader", "words"),
    )
    words = build("words", "noarch")
    assert [str(one) for one in found.order] == [
        "lib/x86_64",
        "tool/x86_64",
        "lib/aarch64",
        "tool/aarch64",
        "words/noarch",
        "reader/x86_64",
        "reader/aarch64",
    ]
    assert found.needs(words) == (build("tool"),)
    assert set(found.needs(build("reader"))) == {words, build("lib")}
    foreign = [build(name, "aarch64") for name in ("lib", "tool")]
    assert set(found.needs(build("reader", "aarch64"))) == {words, *foreign}
    (edge,) = found.reasons(build("reader", "aarch64"), foreign[1])
    assert edge.reason == "environment words; environment of words tool"
    for arch in ("x86_64", "aarch64"):
        assert found.from_outside(build("reader", arch)) == ()
    assert set(found.dependents(words)) == {build("reader"), build("reader", "aarch64")}
    (edge,) = found.reasons(build("reader", "aarch64"), words)
    assert edge.reason == "environment words"
    chain = found.find_chain(build("reader", "aarch64"), build("tool"))
    assert [str(edge.dependency) for edge in chain] == ["words/noarch", "tool/x86_64"]


def test_a_cycle_through_packages_for_every_architecture() -> None:
    """It holds builds of the environment's architecture alone; others come after it as a whole."""
    both = [*for_both("egg", "hen"), summary("hen", "egg", arch="noarch")]
    found = graph(*both)
    (cycle,) = found.cycles
    assert set(cycle.members) == {build("egg"), build("hen", "noarch")}
    assert found.needs(build("egg", "aarch64")) == (build("hen", "noarch"),)
    assert found.order[-1] == build("egg", "aarch64")
    pinned = graph(*both, first=("hen",))
    assert pinned.cycles[0].cut == (build("hen", "noarch"),)
    # Only the first architecture's members take the name from outside.
    assert graph(*both, first=("hen",), outside=lambda _name, arch: arch == "x86_64").cycles[0].cut
    with pytest.raises(CycleError):
        graph(*both, outside=lambda _name, arch: arch == "aarch64")


def test_a_package_for_every_architecture_has_one_recipe() -> None:
    with pytest.raises(RecipeError, match="package 'words' is made by two recipes"):
        graph(summary("words", arch="noarch"), summary("other", "", package("words"), arch="aarch64"))


def test_what_packages_for_every_architecture_were_built_with_is_not_in_environments_of_others() -> None:
    """It only comes before: nothing has to be offered outside for that."""
    both = [*for_both("perl", "make"), summary("words", "perl tar", arch="noarch"), *for_both("make", "words")]
    found = graph(*both, outside=lambda name, arch: name == "make" and arch == "x86_64")
    ours, foreign = found.cycles
    assert {str(one) for one in ours.members} == {"make/x86_64", "perl/x86_64", "words/noarch"}
    assert {str(one) for one in foreign.members} == {"make/aarch64", "perl/aarch64"}
    assert (ours.cut, foreign.cut) == ((build("make"),), (build("perl", "aarch64"),))
    assert found.from_outside(build("make", "aarch64")) == ()  # neither `perl` nor `tar`
    # A build that needs itself in this way alone does not need itself.
    alone = graph(*for_both("perl", "words"), summary("words", "perl tar", arch="noarch"))
    assert [{str(one) for one in cycle.members} for cycle in alone.cycles] == [{"perl/x86_64", "words/noarch"}]
    assert alone.find_returns() == ()
    assert alone.needs(build("perl", "aarch64")) == (build("words", "noarch"),)
