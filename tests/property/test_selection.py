"""Which builds are chosen: what holds for every graph, every choice and every filter."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from melpy.codec import decode, encode, replace
from melpy.errors import NothingSelectedError
from melpy.graph.model import BuildId, PackageSummary, Summary
from melpy.graph.selection import Filters, Name, Selection, Shard, find_named, find_shard, select_builds

Needed = dict[BuildId, tuple[BuildId, ...]]
Tree = tuple[list[Summary], Needed]
Choice = tuple[list[Summary], Needed, dict[BuildId, str], Filters]

NAMES = [f"{kind}-{letter}" for kind in ("lib", "py3", "app") for letter in "abcde"]
ARCHES = ("x86_64", "aarch64")
PATTERNS = ["py3-*", "lib-?", "*-[ab]", "app-c", "lib-a", "py3-e-dev"]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Draw recipes, for one or both architectures, and what they need; needs may have cycles."""
    recipes = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    summaries = [
        Summary(f"{name}.yaml", name, "1-r0", arch, (PackageSummary(name), PackageSummary(f"{name}-dev")))
        for name in recipes
        for arch in draw(st.sampled_from((ARCHES, ARCHES[:1], ARCHES[1:])))
    ]
    known = {summary.id for summary in summaries}
    needs = {}
    for build in known:
        names = draw(st.lists(st.sampled_from(recipes), max_size=3))
        needs[build] = tuple(need for name in names if (need := BuildId(name, build.arch)) in known)
    return summaries, needs


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    summaries, needs = draw(trees())
    ids = sorted(summary.id for summary in summaries)
    chosen = dict.fromkeys(draw(st.lists(st.sampled_from(ids), min_size=1, unique=True)), "named")
    filters = Filters(
        rdeps=draw(st.booleans()),
        exclude=tuple(draw(st.lists(st.sampled_from(PATTERNS), max_size=2))),
        only=draw(st.booleans()),
        quarantine=dict.fromkeys(draw(st.lists(st.sampled_from(ids), max_size=2)), "why"),
    )
    return summaries, needs, chosen, filters


def select(summaries: list[Summary], needs: Needed, chosen: dict[BuildId, str], filters: Filters) -> Selection:
    try:
        return select_builds(summaries, chosen, needs.__getitem__, filters)
    except NothingSelectedError:
        return Selection()


@given(choices())
def test_what_is_selected_has_what_it_needs(drawn: Choice) -> None:
    summaries, needs, chosen, filters = drawn
    found = select(summaries, needs, chosen, replace(filters, only=False))
    excluded = {build for build in needs if any(fnmatchcase(build.recipe, pattern) for pattern in filters.exclude)} | {
        build for build in needs if f"{build.recipe}-dev" in filters.exclude
    }
    for build in found.ids:
        assert set(needs[build]) - excluded <= found.ids
    assert not found.ids & excluded
    assert not {one.build for one in found.skipped} & excluded


@given(choices())
def test_rdeps_has_all_that_need_a_chosen_one(drawn: Choice) -> None:
    summaries, needs, chosen, filters = drawn
    found = select(summaries, needs, chosen, replace(filters, rdeps=True, exclude=()))
    asked = {one.build for one in found.builds if one.asked}
    skipped = {one.build for one in found.skipped}
    for build, its in needs.items():
        if asked.intersection(its):
            assert build in asked or build in skipped


@given(choices())
def test_without_rdeps_and_needs_nothing_else_is_selected(drawn: Choice) -> None:
    summaries, needs, chosen, filters = drawn
    found = select(summaries, needs, chosen, replace(filters, rdeps=False, only=True))
    assert found.ids <= chosen.keys()
    assert all(one.asked and one.reason == "named" for one in found.builds)


@given(choices(), st.integers(1, 6))
def test_each_build_is_in_one_shard_with_its_other_architectures(drawn: Choice, total: int) -> None:
    summaries, needs, chosen, filters = drawn
    filters = replace(filters, only=True)
    whole = select(summaries, needs, chosen, filters)
    parts = [
        select(summaries, needs, chosen, replace(filters, shard=Shard(number, total))) for number in range(1, total + 1)
    ]
    assert sorted(build for part in parts for build in part.ids) == sorted(whole.ids)
    reasons = {one.build: one.reason for one in whole.builds}
    assert all(one.reason == reasons[one.build] for part in parts for one in part.builds)
    for number, part in enumerate(parts, 1):
        assert {find_shard(build.recipe, total) for build in part.ids} <= {number}


@given(choices())
def test_a_quarantine_stops_a_build_and_all_that_need_it(drawn: Choice) -> None:
    summaries, needs, chosen, filters = drawn
    filters = replace(filters, exclude=())
    found = select(summaries, needs, chosen, filters)
    assert not found.ids & filters.quarantine.keys()
    for build in found.ids:
        assert not filters.quarantine.keys() & set(needs[build])
    told = {one.build: one.reason for one in found.skipped}
    assert all(reason == "why" for build, reason in told.items() if build in filters.quarantine)
    free = select(summaries, needs, chosen, replace(filters, quarantine={}))
    if found.builds:
        assert chosen.keys() - found.ids <= told.keys() | (chosen.keys() - free.ids)


@given(choices(), st.randoms(use_true_random=False))
def test_the_order_of_everything_is_of_no_account(drawn: Choice, random: object) -> None:
    summaries, needs, chosen, filters = drawn
    shuffle = random.shuffle  # type: ignore[attr-defined]  # hypothesis types no Random
    found = select(summaries, needs, chosen, filters)
    items, others = list(chosen.items()), list(summaries)
    shuffle(items)
    shuffle(others)
    mixed = {build: tuple(sorted(its, key=lambda need: (need.recipe[::-1], need))) for build, its in needs.items()}
    again = select(others, mixed, dict(items), replace(filters, exclude=filters.exclude[::-1]))
    assert again.builds == found.builds
    assert again.skipped == found.skipped


@given(trees(), st.permutations([Name("lib-*"), Name("*-a", "list:3"), Name("*"), Name("*-dev"), Name("lib-*", "b:1")]))
def test_the_order_of_names_is_of_no_account(drawn: Tree, names: list[Name]) -> None:
    summaries, _ = drawn
    used = [name for name in names if any(fnmatchcase(s.name, name.text) or name.text == "*-dev" for s in summaries)]
    found = find_named(summaries, used)
    assert found == find_named(summaries[::-1], used[::-1])
    assert found.keys() == {summary.id for summary in summaries}


@given(choices())
def test_a_selection_has_a_json_form(drawn: Choice) -> None:
    found = select(*drawn)
    assert decode(encode(found), Selection) == found
