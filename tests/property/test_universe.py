"""Universes one above the other answer like one that is made of the same indexes in the same order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from melpy.apk.model import Index, IndexEntry, PackageInfo
from melpy.apk.stanza import find_identity
from melpy.environment.model import VisiblePackage
from melpy.environment.shelf import Shelf
from melpy.errors import UnresolvableError
from melpy.solve.resolver import solve
from melpy.solve.universe import LayeredUniverse, Universe, make_universe
from tests.factories.repository import make_index

NAMES = ["a", "b", "c", "v"]
PACKAGE = st.builds(
    lambda name, version, arch, depends, provides, install_if, checksum: IndexEntry(
        PackageInfo(
            name,
            version,
            arch,
            depends=tuple(depends),
            provides=tuple(provides),
            install_if=tuple(install_if),
        ),
        checksum,
        1,
    ),
    st.sampled_from(NAMES[:3]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["x86_64", "x86_64", "noarch", "aarch64"]),
    st.lists(st.sampled_from([*NAMES, "a>1", "!b", "b@edge", "=="]), max_size=2),
    st.lists(st.sampled_from(["v", "v=1", "a=3"]), max_size=1),
    st.lists(st.sampled_from(["a", "b=1", "!c"]), max_size=2),
    # Few checksums, one of them in two spellings: the same package under several names, and its like.
    st.sampled_from(["Q1AAAA", "Q1AAAB", "Q1AAA=", "Q1AAB=", "Q1AQAA", "Q1AgAA", "Q1AwAA", "Q1BAAA"]),
)
REPOSITORY = st.tuples(st.sampled_from(["", "", "edge"]), st.lists(PACKAGE, max_size=5))


def find(world: list[str], universe: Universe, *, choosy: bool) -> list[tuple[str, str]] | None:
    try:
        return [(str(offer), offer.location) for offer in solve(world, universe, choosy=choosy).offers]
    except UnresolvableError:
        return None


def check_same(one: Universe, other: Universe) -> None:
    for name in NAMES:
        assert one.providers(name) == other.providers(name)
    assert list(one.triggered_by(NAMES)) == list(other.triggered_by(NAMES))
    assert bool(one) == bool(other)
    assert other.names <= one.names


@given(
    st.lists(REPOSITORY, max_size=4),
    st.lists(st.sampled_from([*NAMES, "a>1", "a@edge", "!c"]), min_size=1, max_size=3),
    st.booleans(),
)
def test_layers_answer_like_one_universe(
    repositories: list[tuple[str, list[IndexEntry]]], world: list[str], choosy: bool
) -> None:
    sources = [(f"r{number}", tag, make_index(entries)) for number, (tag, entries) in enumerate(repositories)]
    whole = make_universe(sources, "x86_64")
    layered = LayeredUniverse([make_universe([source], "x86_64") for source in sources])
    check_same(layered, whole)
    assert find(world, layered, choosy=choosy) == find(world, whole, choosy=choosy)


@given(
    st.lists(st.lists(PACKAGE, max_size=4), min_size=1, max_size=3),
    st.lists(PACKAGE, max_size=4),
    st.lists(st.sampled_from([*NAMES, "a>1", "!c"]), min_size=1, max_size=3),
    st.data(),
)
def test_a_part_of_what_was_built_here_answers_like_an_index_of_that_part(
    built: list[list[IndexEntry]], others: list[IndexEntry], world: list[str], data: st.DataObject
) -> None:
    """Whatever else was seen before, in whichever order, and whichever other parts others see."""
    shelf = Shelf()
    stanzas: dict[VisiblePackage, str] = {}
    for entries in built:
        index = make_index(entries)
        for package in shelf.add("own", index, "x86_64"):
            stanzas.setdefault(package, _find_stanza(index, package))
        shelf.find_universe(tuple(stanzas)).triggered_by(NAMES)
        shelf.find_universe(tuple(stanzas)).providers("a")
    visible = tuple(data.draw(st.lists(st.sampled_from(list(stanzas)), unique=True))) if stanzas else ()
    foreign = ("r", "", make_index(others))
    layered = LayeredUniverse([shelf.find_universe(visible), make_universe([foreign], "x86_64")])
    own = Index(tuple(stanzas[package] for package in visible), where="index")
    whole = make_universe([("own", "", own), foreign], "x86_64")
    check_same(layered, whole)
    assert find(world, layered, choosy=False) == find(world, whole, choosy=False)


def _find_stanza(index: Index, package: VisiblePackage) -> str:
    suits = {"x86_64", "noarch", ""}  # what is for another architecture may say the same of itself otherwise
    return next(text for text in index.stanzas if _name(text) == package and find_identity(text)[3] in suits)


def _name(stanza: str) -> VisiblePackage:
    checksum, name, version, _ = find_identity(stanza)
    return VisiblePackage(name, version, checksum)
