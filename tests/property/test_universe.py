"""Universes one above the other answer like one that is made of the same indexes in the same order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from melpy.apk.model import IndexEntry, PackageInfo
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
    for name in NAMES:
        assert layered.providers(name) == whole.providers(name)
    assert list(layered.triggered_by(NAMES)) == list(whole.triggered_by(NAMES))
    assert bool(layered) == bool(whole)
    assert whole.names <= layered.names
    assert find(world, layered, choosy=choosy) == find(world, whole, choosy=choosy)
