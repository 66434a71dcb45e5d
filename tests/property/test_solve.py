"""Laws of solutions: whatever is chosen satisfies what was asked, and does not depend on the index's order."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from melpy.apk.atom import parse_atom
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.errors import UnresolvableError
from melpy.solve.model import Solution
from melpy.solve.resolver import solve
from melpy.solve.universe import make_universe
from tests.factories.repository import make_index

NAMES = ["a", "b", "c", "d"]
ATOM = st.builds(
    lambda name, wanted: name + wanted,
    st.sampled_from([*NAMES, "v"]),
    st.sampled_from(["", "", "", "=1", ">1", "<2", "~2"]),
)
PACKAGE = st.builds(
    lambda name, version, depends, conflict, provides: IndexEntry(
        PackageInfo(
            name, version, "x86_64", depends=(*depends, *(f"!{other}" for other in conflict)), provides=tuple(provides)
        ),
        f"Q1{name}{version}",
        1,
    ),
    st.sampled_from(NAMES),
    st.sampled_from(["1", "2"]),
    st.lists(ATOM, max_size=2),
    st.lists(st.sampled_from(NAMES), max_size=1),
    st.lists(st.sampled_from(["v", "v=1", "v=2"]), max_size=1),
)


def find(world: list[str], entries: list[IndexEntry]) -> Solution | None:
    try:
        return solve(world, make_universe([("r", "", make_index(entries))]))
    except UnresolvableError:
        return None


def check(world: list[str], infos: list[PackageInfo]) -> bool:
    """Tell whether these packages together satisfy a world and each other."""
    if len({info.name for info in infos}) != len(infos):
        return False
    held = [{info.name, *(text.partition("=")[0] for text in info.provides if "=" in text)} for info in infos]
    if any(one & two for one, two in itertools.combinations(held, 2)):
        return False

    def provides(info: PackageInfo, text: str) -> bool:
        atom = parse_atom(text.removeprefix("!"))
        own = [(info.name, info.version)] + [
            (name, version) for name, _, version in (text.partition("=") for text in info.provides)
        ]
        return any(name == atom.name and atom.is_met_by(version) for name, version in own)

    for text in world:
        if not any(provides(info, text) for info in infos):
            return False
    for info in infos:
        for text in info.depends:
            if text.startswith("!"):
                if any(provides(other, text) for other in infos if other is not info):
                    return False
            elif not any(provides(other, text) for other in infos):
                return False
    return True


@given(st.lists(PACKAGE, max_size=7), st.lists(ATOM, min_size=1, max_size=3))
def test_what_is_chosen_satisfies_everything(entries: list[IndexEntry], world: list[str]) -> None:
    unique = list({(entry.info.name, entry.info.version): entry for entry in entries}.values())
    found = find(world, unique)
    if found is not None:
        assert check(world, [offer.entry.info for offer in found.offers])


@given(st.lists(PACKAGE, max_size=6), st.lists(ATOM, min_size=1, max_size=2))
def test_where_nothing_is_chosen_there_is_nothing(entries: list[IndexEntry], world: list[str]) -> None:
    unique = list({(entry.info.name, entry.info.version): entry for entry in entries}.values())
    if find(world, unique) is None:
        infos = [entry.info for entry in unique]
        for size in range(len(infos) + 1):
            for some in itertools.combinations(infos, size):
                assert not check(world, list(some))


@given(st.lists(PACKAGE, max_size=7), st.lists(ATOM, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_the_index_does_not_matter(
    entries: list[IndexEntry], world: list[str], shuffler: random.Random
) -> None:
    unique = list({(entry.info.name, entry.info.version): entry for entry in entries}.values())
    shuffled = unique.copy()
    shuffler.shuffle(shuffled)
    one, two = find(world, unique), find(world, shuffled)
    assert (one.offers if one else None) == (two.offers if two else None)
