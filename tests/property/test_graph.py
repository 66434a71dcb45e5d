"""Graphs of random recipes: an order that holds, and cuts of which no member can be left out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import networkx as nx
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from melpy.apk.model import IndexEntry, PackageInfo
from melpy.arch import NOARCH
from melpy.codec import replace
from melpy.errors import CycleError, UnresolvableError
from melpy.graph.buildgraph import BuildGraph, make_graph
from melpy.graph.drawing import describe_graph
from melpy.graph.model import BuildId, PackageSummary, Summary
from melpy.solve.resolver import solve
from melpy.solve.universe import make_universe
from tests.checker.graph import Replay
from tests.factories.repository import make_index

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MOST = 9
NAMES = [f"r{number}" for number in range(MOST)]
PACKAGES = [*NAMES, *(f"{name}-dev" for name in NAMES)]
PROVIDED = ["awk", "sh"]
OUTSIDE = ["busybox", "make"]
ARCHES = ("x86_64", "aarch64")
ASKED = st.lists(st.sampled_from([*PACKAGES, *PROVIDED, *OUTSIDE]), max_size=3, unique=True).map(tuple)


@st.composite
def trees(draw: st.DrawFn) -> tuple[Summary, ...]:
    """Return recipes with a package of development files each, which ask for whatever there is."""
    found = []
    for name in NAMES[: draw(st.integers(1, MOST))]:
        packages = tuple(
            PackageSummary(
                package,
                tuple(draw(st.lists(st.sampled_from(["awk", "awk=2", "sh=1"]), max_size=1))),
                draw(ASKED),
                draw(st.integers(0, 2)),
            )
            for package in (name, f"{name}-dev")
        )
        found.append(Summary(f"{name}.yaml", name, "1-r0", "x86_64", packages, draw(ASKED)))
    return tuple(found)


def graph(tree: tuple[Summary, ...], offered: Collection[str] | None = None, first: Collection[str] = ()) -> BuildGraph:
    return make_graph(tree, outside=lambda name, _arch: offered is None or name in offered, first=first)


def build(name: str) -> BuildId:
    return BuildId(name, "x86_64")


# What follows finds needs in a way of its own: by names, one build at a time.


def closure(world: Collection[str], tree: tuple[Summary, ...], left_out: Collection[str] = ()) -> set[str]:
    """Return the recipes of the runtime closure of a world; those left out come from elsewhere, with their closure."""
    makers = {package.name: summary.name for summary in tree for package in summary.packages}
    packages = {package.name: package for summary in tree for package in summary.packages}
    seen: set[str] = set()
    todo = [answer for text in world for answer in answers(text, tree)]
    while todo:
        name = todo.pop()
        if name not in seen and makers[name] not in left_out:
            seen.add(name)
            todo += [answer for text in packages[name].runtime for answer in answers(text, tree)]
    return {makers[name] for name in seen}


def answers(name: str, tree: tuple[Summary, ...]) -> Iterator[str]:
    """Yield the package that answers a name: a package called so, else by version, priority and name."""
    every = [package for summary in tree for package in summary.packages]
    if name in {package.name for package in every}:
        yield name
        return
    found = [
        (-len(text.partition("=")[2]), -package.priority, package.name)
        for package in every
        for text in package.provides
        if text.partition("=")[0] == name
    ]
    if name == "awk" and len({bool(version) for version, *_ in found}) > 1:
        # An answer with a version and one without compare by priority alone, which is no order among three.
        assume(len(found) == 2)
        found = [(0, priority, package) for _, priority, package in found]
    if found:
        yield min(found)[-1]


def expected_needs(tree: tuple[Summary, ...], cut: Collection[str], members: Collection[str]) -> nx.DiGraph[str]:
    found: nx.DiGraph[str] = nx.DiGraph()
    for summary in tree:
        found.add_node(summary.name)
        needed = closure(summary.world, tree) - {summary.name}
        if summary.name in members:
            needed = needed & closure(summary.world, tree, cut) | needed - set(members)
        found.add_edges_from((summary.name, other) for other in needed)
    return found


@given(trees())
@settings(max_examples=120)
def test_needs_are_those_of_the_closure_and_the_order_holds(tree: tuple[Summary, ...]) -> None:
    found = graph(tree)
    whole = expected_needs(tree, (), ())
    for name in whole:
        assert {one.recipe for one in found.wants(build(name))} == set(whole.successors(name))
    groups = sorted(sorted(group) for group in nx.strongly_connected_components(whole) if len(group) > 1)
    assert sorted(sorted(one.recipe for one in cycle.members) for cycle in found.cycles) == groups
    # After the cut there is no circle, and all that is needed comes before.
    left = {
        one.recipe: expected_needs(tree, *({other.recipe for other in some} for some in (cycle.cut, cycle.members)))
        for cycle in found.cycles
        for one in cycle.members
    }
    places = {one.recipe: place for place, one in enumerate(found.order)}
    assert sorted(places) == sorted(whole)
    for summary in tree:
        needed = {one.recipe for one in found.needs(build(summary.name))}
        assert needed == set(left.get(summary.name, whole).successors(summary.name))
        assert all(places[other] < places[summary.name] for other in needed)
        for other in set(whole.successors(summary.name)):
            cycle = found.find_cycle(build(other))
            if cycle and build(summary.name) not in cycle.members:  # it waits for the whole cycle
                assert all(places[member.recipe] < places[summary.name] for member in cycle.members)


@given(trees())
@settings(max_examples=120)
def test_no_member_of_a_cut_can_be_left_out(tree: tuple[Summary, ...]) -> None:
    found = graph(tree)
    for cycle in found.cycles:
        members = {one.recipe for one in cycle.members}
        cut = {one.recipe for one in cycle.cut}
        assert cut <= members
        # Members see no package of the cut's own: of each recipe all packages come from one side.
        assert all(found.ancestors(one).isdisjoint(cycle.cut) for one in cycle.members)
        part = expected_needs(tree, cut, members).subgraph(members)
        assert nx.is_directed_acyclic_graph(part)
        for one in cut:
            less = expected_needs(tree, cut - {one}, members).subgraph(members)
            assert not nx.is_directed_acyclic_graph(less), one


@given(trees())
@settings(max_examples=60)
def test_what_a_build_sees_is_what_it_needs_and_they_need(tree: tuple[Summary, ...]) -> None:
    found = graph(tree)
    made: nx.DiGraph[BuildId] = nx.DiGraph()
    made.add_nodes_from(found.order)
    made.add_edges_from((one, other) for one in found.order for other in found.needs(one))
    whole: nx.DiGraph[BuildId] = nx.DiGraph()
    whole.add_nodes_from(found.order)
    whole.add_edges_from((one, other) for one in found.order for other in found.wants(one))
    for one in found.order:
        assert found.ancestors(one) == nx.descendants(made, one)
        assert found.settled(one) == nx.descendants(whole, one)
        assert found.descendants(one) == nx.ancestors(whole, one)
        assert sorted(found.dependents(one)) == sorted(made.predecessors(one))
        assert set(found.reduced(one)) == set(nx.transitive_reduction(made).successors(one))
        for other in found.wants(one):
            edges = found.reasons(one, other)
            assert edges[0].asks[0].text in found.summaries[one].world
            assert min(len(edge.asks) for edge in edges) == len(edges[0].asks)


@given(trees(), st.sets(st.sampled_from([*PACKAGES, *PROVIDED])))
@settings(max_examples=120)
def test_a_cut_has_only_what_outside_offers(tree: tuple[Summary, ...], offered: set[str]) -> None:
    refused: CycleError | None = None
    found: BuildGraph | None = None
    try:
        found = graph(tree, offered)
    except CycleError as error:
        refused = error
    if refused:
        assert refused.missing
        for name, names in refused.missing.items():
            assert names
            assert not offered & set(names), name
        chain = refused.edges
        assert chain[0].dependent == chain[-1].dependency
        assert all(one.dependency == other.dependent for one, other in pairwise(chain))
        return
    assert found
    for cycle in found.cycles:
        cut = {one.recipe for one in cycle.cut}
        for one in cycle.members:
            for text in found.summaries[one].world:
                for answer in answers(text, tree):
                    if answer.removesuffix("-dev") in cut - {one.recipe}:
                        assert text in offered


@given(trees(), st.sets(st.sampled_from(NAMES)))
@settings(max_examples=100)
def test_pinned_members_are_in_the_cut(tree: tuple[Summary, ...], first: set[str]) -> None:
    found = graph(tree, first=first)
    for cycle in found.cycles:
        assert {one for one in cycle.members if one.recipe in first} <= set(cycle.cut)


@given(trees(), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_the_recipes_does_not_matter(tree: tuple[Summary, ...], random: object) -> None:
    shuffled = list(tree)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis has no type for it
    found, other = graph(tree), graph(tuple(shuffled))
    assert (found.order, found.cycles) == (other.order, other.cycles)


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.tuples(st.sampled_from(["", "awk", "awk=1", "awk=2", "awk=2-r1", "b", "b=3"]), st.integers(0, 2)),
        min_size=1,
    ),
    st.sampled_from(["awk", "awk=1", "awk>1", "b", "b>=2"]),
)
@example({"a": ("b", 0), "b": ("", 0)}, "b")
def test_a_name_is_answered_as_the_resolver_answers_it(packages: dict[str, tuple[str, int]], text: str) -> None:
    entries = [
        IndexEntry(
            PackageInfo(
                name, "2-r0", "x86_64", provides=(provided,) if provided else (), provider_priority=str(priority)
            ),
            f"Q1{name}",
            1,
        )
        for name, (provided, priority) in packages.items()
        if provided.partition("=")[0] != name
    ]
    tree = [
        Summary(name, name, "2-r0", "x86_64", (PackageSummary(name, entry.info.provides, (), packages[name][1]),))
        for entry in entries
        for name in [entry.info.name]
    ]
    asker = Summary("asker", "asker", "1-r0", "x86_64", (PackageSummary("asker"),), (text,))
    needed = [one.recipe for one in graph((*tree, asker)).needs(build("asker"))]
    try:
        solution = solve([text], make_universe([("https://example.org", "", make_index(entries))]))
    except UnresolvableError:
        solution = None
    assert needed == ([offer.name for offer in solution.offers] if solution else [])


@st.composite
def mixed_trees(draw: st.DrawFn) -> tuple[Summary, ...]:
    """Return recipes for two architectures, some of which are built once for both, in an environment of the first."""
    found: list[Summary] = []
    for one in draw(trees()):
        places = draw(st.sampled_from([ARCHES, ARCHES[:1], ARCHES[1:], (NOARCH,)]))
        found += [replace(one, arch=arch, noarch=ARCHES if arch == NOARCH else ()) for arch in places]
    return tuple(draw(st.permutations(found)))


def add_runtime(summary: Summary) -> Summary:
    """Return a recipe whose packages need its environment."""
    packages = [replace(package, runtime=(*package.runtime, *summary.world)) for package in summary.packages]
    return replace(summary, packages=tuple(packages))


@given(mixed_trees())
@settings(max_examples=120)
def test_what_is_built_once_is_in_the_environments_of_all_architectures(tree: tuple[Summary, ...]) -> None:
    found = graph(tree)
    for summary in tree:
        arch = summary.arches[0]
        own = tuple(one for one in tree if arch in one.arches)  # what environments of the architecture may have
        makers = {one.name: one.id for one in own}
        # What packages were built with for another architecture comes before, too.
        before = tuple(add_runtime(one) if one.arches[0] != arch else one for one in own)
        needed = {makers[name] for name in closure(summary.world, before)} - {summary.id}
        assert set(found.wants(summary.id)) == needed
        cycle = found.find_cycle(summary.id)
        assert {one.arch for one in (cycle.members if cycle else ())} <= {arch, NOARCH}
    assert sorted(found.order) == sorted(one.id for one in tree)
    places = {one: place for place, one in enumerate(found.order)}
    assert all(places[other] < places[one] for one in found.order for other in found.needs(one))
    assert Replay(describe_graph(found)).check() == []
