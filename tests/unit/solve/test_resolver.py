"""World and universe become exact packages."""

from __future__ import annotations

import random

import pytest

from melpy.apk.model import Index, IndexEntry, PackageInfo
from melpy.cli.report import render_error
from melpy.errors import PackageFormatError, UnresolvableError
from melpy.solve.resolver import solve
from melpy.solve.universe import Universe, make_universe
from tests.factories.repository import make_index


def entry(name: str, depends: str = "", provides: str = "", install_if: str = "", priority: str = "") -> IndexEntry:
    """Return the package `name-version`, its lists separated by blanks."""
    base, _, version = name.partition("=")
    info = PackageInfo(
        base,
        version or "1-r0",
        "x86_64",
        depends=tuple(depends.split()),
        provides=tuple(provides.split()),
        install_if=tuple(install_if.split()),
        provider_priority=priority,
    )
    return IndexEntry(info, f"Q1{name}", 1)


def universe(*entries: IndexEntry) -> Universe:
    return make_universe([("https://example.org", "", make_index(entries))])


def order(world: str, *entries: IndexEntry) -> list[str]:
    """Return the packages as `name=version` in the order in which they are installed."""
    return [f"{offer.name}={offer.version}" for offer in solve(world.split(), universe(*entries)).offers]


def chosen(world: str, *entries: IndexEntry) -> set[str]:
    return set(order(world, *entries))


def complaint(world: str, *entries: IndexEntry, where: str = "hello.yaml") -> list[str]:
    with pytest.raises(UnresolvableError) as caught:
        solve(world.split(), universe(*entries), where=where)
    return render_error(caught.value)


A = [entry(f"a={version}") for version in ("1-r0", "1.9-r0", "1.10-r0", "2_rc1-r0")]


@pytest.mark.parametrize(
    ("world", "version"),
    [
        ("a", "2_rc1-r0"),
        ("a<2_alpha", "1.10-r0"),
        ("a~1", "1.10-r0"),
        ("a~1.9", "1.9-r0"),
        ("a=1-r0", "1-r0"),
        ("a<=1.9-r0", "1.9-r0"),
        ("a>=1.9 a<1.10", "1.9-r0"),
        ("a a<1.9", "1-r0"),
        ("a !a>1.9-r0", "1.9-r0"),
        ("a><Q1a=1.9-r0", "1.9-r0"),
    ],
)
def test_the_highest_version_that_fits(world: str, version: str) -> None:
    assert chosen(world, *A) == {f"a={version}"}


def test_an_empty_world_needs_nothing() -> None:
    assert chosen("", *A) == set()


def test_dependencies_constrain_each_other() -> None:
    assert chosen("b a", *A, entry("b", "a<1.10")) == {"a=1.9-r0", "b=1-r0"}


def test_an_older_version_is_taken_where_the_newest_cannot_be() -> None:
    packages = [entry("b=2", "missing"), entry("b=1", "a"), *A]
    assert chosen("b", *packages) == {"b=1", "a=2_rc1-r0"}


def test_dependencies_come_first() -> None:
    packages = [entry("app", "libb liba"), entry("liba", "base"), entry("libb", "liba"), entry("base")]
    assert order("app", *packages) == ["base=1-r0", "liba=1-r0", "libb=1-r0", "app=1-r0"]


def test_a_circle_is_cut_where_it_is_entered() -> None:
    packages = [entry("a", "b"), entry("b", "c"), entry("c", "a")]
    assert order("b", *packages) == ["c=1-r0", "b=1-r0", "a=1-r0"]


def test_a_package_may_need_what_it_provides() -> None:
    assert chosen("a", entry("a", "so:a.so.1 a cmd:a>=1", "so:a.so.1=1 cmd:a=2")) == {"a=1-r0"}


def test_virtual_names_find_their_provider() -> None:
    assert chosen("so:libz.so.1", entry("zlib", provides="so:libz.so.1=1.3")) == {"zlib=1-r0"}


@pytest.mark.parametrize(("wanted", "expected"), [("v>=2", "two=1-r0"), ("v<2", "one=1-r0"), ("v=1", "one=1-r0")])
def test_the_version_of_a_provide_counts(wanted: str, expected: str) -> None:
    assert chosen(wanted, entry("one", provides="v=1"), entry("two", provides="v=2")) == {expected}


def test_an_unversioned_provide_meets_no_version() -> None:
    assert complaint("v>=1", entry("one", provides="v"))[0] == "error: hello.yaml: no repository has 'v>=1'"


def test_the_highest_provided_version_wins() -> None:
    assert chosen("v", entry("a", provides="v=1"), entry("b", provides="v=2")) == {"b=1-r0"}


def test_the_highest_version_of_the_name_is_taken_whoever_provides_it() -> None:
    assert chosen("v", entry("a", provides="v=9"), entry("v=1")) == {"a=1-r0"}
    assert chosen("v", entry("a", provides="v=1"), entry("v=2")) == {"v=2"}


def test_provider_priority_decides() -> None:
    packages = [
        entry("a", provides="v"),
        entry("b", provides="v", priority="10"),
        entry("c", provides="v", priority="5"),
    ]
    assert chosen("v", *packages) == {"b=1-r0"}


def test_without_priorities_the_name_decides() -> None:
    assert chosen("v", entry("b", provides="v"), entry("a", provides="v")) == {"a=1-r0"}


def test_a_provider_that_is_taken_anyway_is_preferred() -> None:
    packages = [entry("a", provides="v"), entry("b", provides="v"), entry("app", "b v")]
    assert chosen("app", *packages) == {"app=1-r0", "b=1-r0"}


def test_versioned_provides_exclude_each_other() -> None:
    packages = [entry("a", provides="v=1"), entry("b", provides="v=1")]
    assert chosen("a", *packages) == {"a=1-r0"}
    lines = complaint("a b", *packages)
    assert lines[0] == "error: hello.yaml: these packages cannot be installed together"
    assert any("is the only one that may be v" in line for line in lines)


def test_unversioned_provides_go_together() -> None:
    assert chosen("a b", entry("a", provides="v"), entry("b", provides="v")) == {"a=1-r0", "b=1-r0"}


def test_a_package_excludes_providers_of_its_name_with_a_version() -> None:
    assert chosen("v b", entry("v"), entry("b", provides="v=1")) == {"b=1-r0"}
    assert complaint("v=1-r0 b", entry("v"), entry("b", provides="v=1"))


def test_two_versions_of_a_package_do_not_go_together() -> None:
    assert complaint("b c", *A, entry("b", "a=1-r0"), entry("c", "a=1.9-r0")) == [
        "error: hello.yaml: these packages cannot be installed together",
        "b-1-r0 needs a=1-r0",
        "c-1-r0 needs a=1.9-r0",
        "hint: loosen one of these constraints, or add a repository with --repository-append",
    ]


def test_conflicts_keep_packages_apart() -> None:
    packages = [entry("a", "!b"), entry("b"), entry("c", "v"), entry("d", provides="v")]
    assert chosen("a c", *packages, entry("b2", provides="v b")) == {"a=1-r0", "c=1-r0", "d=1-r0"}
    assert complaint("a b", *packages)[0].endswith("these packages cannot be installed together")


def test_a_conflict_of_a_package_that_is_not_taken_keeps_nothing_away() -> None:
    packages = [entry("a", "v"), entry("b", "!a"), entry("c", "!v"), entry("d", provides="v"), entry("e", provides="v")]
    assert chosen("a", *packages) == {"a=1-r0", "d=1-r0"}
    assert chosen("d e", *packages) == {"d=1-r0", "e=1-r0"}
    assert complaint("d e c", *packages)


def test_a_conflict_in_the_world_is_no_request() -> None:
    assert chosen("a !b", entry("a", "v"), entry("b", provides="v"), entry("c", provides="v")) == {"a=1-r0", "c=1-r0"}
    assert chosen("a !nothing", entry("a")) == {"a=1-r0"}


def test_a_package_does_not_conflict_with_its_own_provide() -> None:
    assert chosen("a", entry("a", "!v", "v=1"), entry("b", provides="v=1")) == {"a=1-r0"}


def test_a_versioned_conflict_keeps_other_versions() -> None:
    assert chosen("b a", *A, entry("b", "!a>=2_rc1-r0")) == {"b=1-r0", "a=1.10-r0"}


def test_install_if_follows_what_is_there() -> None:
    packages = [
        entry("app"),
        entry("docs"),
        entry("app-doc", install_if="app docs"),
        entry("app-doc-x", install_if="app-doc"),
    ]
    assert chosen("app", *packages) == {"app=1-r0"}
    assert chosen("app docs", *packages) == {"app=1-r0", "docs=1-r0", "app-doc=1-r0", "app-doc-x=1-r0"}


def test_install_if_looks_at_versions() -> None:
    packages = [entry("app=2"), entry("app-doc", install_if="app=1")]
    assert chosen("app", *packages) == {"app=2"}


@pytest.mark.parametrize("first", ["docs=1", "docs=2"])
def test_install_if_brings_its_dependencies(first: str) -> None:
    packages = [entry(first), entry("app-doc", "viewer", install_if="docs"), entry("viewer")]
    assert chosen("docs", *packages) == {first, "app-doc=1-r0", "viewer=1-r0"}


def test_tagged_packages_are_taken_only_where_the_tag_is_asked_for() -> None:
    both = make_universe(
        [("plain", "", make_index([entry("a=1"), entry("b", "a")])), ("edge", "edge", make_index([entry("a=2")]))]
    )
    assert solve(["a"], both).locked == ("a=1",)
    assert solve(["a@edge"], both).locked == ("a=2",)
    assert solve(["b", "a@edge"], both).locked == ("a=2", "b=1-r0")


def test_the_first_repository_has_a_package_that_several_have() -> None:
    both = make_universe([("one", "", make_index([entry("a")])), ("two", "", make_index([entry("a")]))])
    (offer,) = solve(["a"], both).offers
    assert offer.location == "one/x86_64/a-1-r0.apk"


def test_names_that_nothing_has_are_all_reported() -> None:
    assert complaint("buzybox gcc zzzz so:libq.so.1>=2", entry("busybox"), entry("gcc")) == [
        "error: hello.yaml: no repository has 'buzybox', 'zzzz', 'so:libq.so.1>=2'",
        (
            "hint: buzybox: did you mean 'busybox'?; zzzz: nothing has a similar name; "
            "so:libq.so.1: nothing has a similar name; "
            "correct it, or add a repository that has it with --repository-append"
        ),
    ]


def test_without_repositories() -> None:
    lines = complaint("a")
    assert lines[0] == "error: hello.yaml: no repository has 'a'"
    assert lines[1].startswith("hint: no repository has any package: name one with -r")


def test_the_chain_to_what_is_missing() -> None:
    assert complaint("app", entry("app", "lib"), entry("lib", "libbaes"), entry("libbase")) == [
        "error: hello.yaml: these packages cannot be installed together",
        "the request needs app",
        "app-1-r0 needs lib",
        "lib-1-r0 needs libbaes, which no repository has (near: libbase)",
        "hint: loosen one of these constraints, or add a repository with --repository-append",
    ]


def test_every_chain_that_takes_part_is_told_once() -> None:
    packages = [
        entry("app", "so:x lib"),
        entry("lib", "base=1-r0"),
        entry("x", "base=2-r0", "so:x=1"),
        entry("base=1-r0"),
    ]
    assert complaint("app", *packages, entry("base=2-r0"))[1:-1] == [
        "the request needs app",
        "app-1-r0 needs lib",
        "lib-1-r0 needs base=1-r0",
        "app-1-r0 needs so:x, which may be x-1-r0",
        "x-1-r0 needs base=2-r0",
    ]


def test_a_version_that_is_not_there() -> None:
    assert complaint("a>=3", *A) == [
        "error: hello.yaml: no repository has 'a>=3'",
        "hint: a: there is a-1-r0, a-1.10-r0, a-1.9-r0, a-2_rc1-r0",
    ]


def test_every_version_that_is_in_vain_is_told() -> None:
    packages = [entry("a=1", "b"), entry("a=2", "c"), entry("b", "zz"), entry("c", "d"), entry("d", "yy")]
    assert complaint("a", *packages)[1:-1] == [
        "the request needs a",
        "a-2 needs c",
        "c-1-r0 needs d",
        "d-1-r0 needs yy, which no repository has",
        "a-1 needs b",
        "b-1-r0 needs zz, which no repository has",
    ]


def test_an_older_version_is_found_however_late_the_newer_one_fails() -> None:
    packages = [entry("a=3", "b"), entry("a=2"), entry("b", "a=1"), entry("e")]
    assert chosen("a e", *packages) == {"a=2", "e=1-r0"}


def test_far_more_versions_than_can_be_tried_together() -> None:
    packages = [entry(f"{name}={version}") for name in "abcdefghij" for version in range(1, 31)]
    assert len(chosen("a b c d e f g h i j x", *packages, entry("x", "a=7 j<3"))) == 11
    assert complaint("a b c d e f g h i j x", *packages, entry("x", "a=99"))[1:-1] == [
        "x-1-r0 needs a=99, there is a-1, a-10, a-11, a-12, a-13"
    ]


def test_what_somebody_has_already_is_not_triggered_for_ever() -> None:
    assert chosen("a", entry("a", provides="doc"), entry("doc", install_if="a")) == {"a=1-r0", "doc=1-r0"}
    assert chosen("a", entry("a", provides="doc=5"), entry("doc", install_if="a")) == {"a=1-r0"}


def test_what_is_triggered_has_the_version_whose_conditions_hold() -> None:
    docs = [entry(f"hello-doc={version}-r0", install_if=f"docs hello={version}-r0") for version in (1, 2)]
    assert chosen("hello docs", entry("hello=1-r0"), entry("docs"), *docs) == {
        "hello=1-r0",
        "docs=1-r0",
        "hello-doc=1-r0",
    }


@pytest.mark.parametrize(
    ("world", "packages", "expected"),
    [
        (
            "v",
            [entry("y", provides="v=2"), entry("z", provides="v=1"), entry("x", "!y", install_if="y")],
            {"y=1-r0"},
        ),
        (
            "hello docs",
            [entry("hello=1"), entry("hello=2"), entry("docs"), entry("hello-doc", "hello<2", install_if="docs hello")],
            {"hello=2", "docs=1-r0"},
        ),
        (
            "ui openrc",
            [
                entry("ui", "polkit"),
                entry("openrc"),
                entry("polkit=1"),
                entry("polkit-elogind", provides="polkit=1"),
                entry("ui-openrc", "polkit-elogind", install_if="ui openrc"),
            ],
            {"ui=1-r0", "openrc=1-r0", "polkit-elogind=1-r0", "ui-openrc=1-r0"},
        ),
    ],
)
def test_what_is_triggered_makes_nothing_older(world: str, packages: list[IndexEntry], expected: set[str]) -> None:
    assert chosen(world, *packages) == expected


def test_a_chain_of_versions_that_are_all_in_vain_is_seen_at_once() -> None:
    chain = [entry(f"n{number}={version}", f"n{number + 1}") for number in range(30) for version in range(1, 6)]
    assert complaint("n0", *chain, entry("n30", "x>5"), entry("x=1"))[-2].startswith("n30-1-r0 needs x>5, there is x-1")
    assert chosen("n0", *chain, entry("n30", "x>5"), entry("x=1"), entry("n0=0.1")) == {"n0=0.1"}


def test_a_tag_reaches_what_was_answered_before() -> None:
    plain, edge = (
        [entry("d", "b"), entry("b", "c"), entry("a=2", "b"), entry("a=1", "b")],
        [entry("a=3", "b"), entry("c")],
    )
    assert choosy("d a@t", ("", plain), ("t", edge)) == {"d=1-r0", "b=1-r0", "c=1-r0@t", "a=3@t"}
    with pytest.raises(UnresolvableError) as caught:
        choosy("d a", ("", plain), ("t", edge))
    assert "b-1-r0 needs c, and only @t has c-1-r0, which nobody asks for with that tag" in caught.value.details


def test_a_long_chain_of_needs() -> None:
    packages = [entry(f"p{number}", f"p{number + 1}") for number in range(3000)]
    assert len(chosen("p0", *packages, entry("p3000"))) == 3001


def test_what_only_a_tagged_repository_has() -> None:
    tagged = make_universe([("r", "edge", make_index([entry("a")]))])
    with pytest.raises(UnresolvableError, match="no repository has 'a>0'") as caught:
        solve(["a>0"], tagged)
    assert caught.value.hint == "a: only @edge has it, so ask for a>0@edge"
    assert solve(["a>0@edge"], tagged).offers


def test_a_world_that_does_not_parse() -> None:
    assert complaint("a=>1", *A)[0] == "error: hello.yaml: invalid dependency 'a=>1'"


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_index_does_not_matter(seed: int) -> None:
    packages = [
        *A,
        entry("app", "v w a<2_rc1 so:x"),
        entry("p1", "q", provides="v so:x=1"),
        entry("p2", provides="v so:x=2"),
        entry("q=1"),
        entry("q=2", "!p2"),
        entry("w1", provides="w=1"),
        entry("w2", "app", provides="w=1"),
        entry("extra", install_if="app p2"),
    ]
    expected = order("app q", *packages)
    random.Random(seed).shuffle(packages)
    assert order("app q", *packages) == expected


def test_a_solution_names_packages_exactly() -> None:
    found = solve(["b"], universe(entry("b", "a"), *A))
    assert found.locked == ("a=2_rc1-r0", "b=1-r0")
    assert [offer.entry.checksum for offer in found.offers] == ["Q1a=2_rc1-r0", "Q1b"]


def test_of_equal_provides_the_newer_package_is_taken() -> None:
    old, new = entry("b=1-r0", provides="v=1"), entry("b=2-r0", provides="v=1")
    assert chosen("v", old, new) == chosen("v", new, old) == {"b=2-r0"}


def choosy(world: str, *repositories: tuple[str, list[IndexEntry]]) -> set[str]:
    """Return the packages that apk would choose from tagged repositories, as `name=version`, `@tag` after it."""
    found = make_universe([("r", tag, make_index(entries)) for tag, entries in repositories], "x86_64")
    solution = solve(world.split(), found, choosy=True)
    return {f"{offer.name}={offer.version}{'@' if offer.tag else ''}{offer.tag}" for offer in solution.offers}


def test_a_tag_is_for_what_asks_for_it_and_what_that_needs() -> None:
    plain = ("", [entry("a=1"), entry("b=1"), entry("c=1", depends="a")])
    edge = ("edge", [entry("a=2"), entry("b=2"), entry("c=2", depends="a>=2 b")])
    assert choosy("a b", plain, edge) == {"a=1", "b=1"}
    assert choosy("a@edge b", plain, edge) == {"a=2@edge", "b=1"}
    assert choosy("c@edge", plain, edge) == {"c=2@edge", "a=2@edge", "b=1"}


def test_what_is_installed_with_a_tagged_package_may_be_tagged_too() -> None:
    plain = ("", [entry("a=1")])
    edge = ("edge", [entry("a=2"), entry("a-doc=2", install_if="a")])
    assert choosy("a", plain, edge) == {"a=1"}
    assert choosy("a@edge", plain, edge) == {"a=2@edge", "a-doc=2@edge"}


def test_what_provides_a_name_without_a_version_is_for_the_user_to_choose() -> None:
    packages = [entry("one", provides="v"), entry("two", provides="v"), entry("user", depends="v")]
    with pytest.raises(UnresolvableError) as caught:
        choosy("user", ("", packages))
    assert render_error(caught.value) == [
        "error: some packages are to be chosen by you",
        "user-1-r0 needs v, which one, two may provide",
        "hint: ask for one of these packages by its name; melpy chooses none that gives itself no priority",
    ]
    assert choosy("user two", ("", packages)) == {"user=1-r0", "two=1-r0"}
    assert choosy("user", ("", [*packages, entry("three", provides="v", priority="1")])) == {
        "user=1-r0",
        "three=1-r0",
    }
    assert chosen("user", *packages) == {"user=1-r0", "one=1-r0"}  # a build environment has somebody choose


def test_what_is_at_odds_with_itself_is_for_nobody() -> None:
    for provides in ("a=2", "v=1 v=2", "a"):
        with pytest.raises(UnresolvableError):
            choosy("a", ("", [entry("a", provides=provides)]))


def test_versions_that_need_one_another_of_the_same_name_are_refused_and_not_tried_for_ever() -> None:
    found = complaint("d", entry("d=1", "d~2 !d"), entry("d=2", "d=1 d"))
    assert found[:3] == [
        "error: hello.yaml: these packages cannot be installed together",
        "d-1 needs d~2, but of itself d-2 needs d=1",
        "d-2 needs d=1, but of itself d-1 needs d~2",
    ]
    assert chosen("d", entry("d=1"), entry("d=2", "d=1")) == {"d=1"}


def test_packages_of_other_architectures_are_not_there() -> None:
    other = IndexEntry(PackageInfo("a", "2", "aarch64"), "Q1other", 1)
    everywhere = IndexEntry(PackageInfo("b", "2", "noarch"), "Q1noarch", 1)
    assert choosy("a b", ("", [entry("a=1"), other, everywhere])) == {"a=1", "b=2"}


def test_versions_of_published_indexes_may_be_none() -> None:
    packages = [entry("a", depends="!b=6.8.0p2-r4"), entry("b=6.8"), entry("c", depends="d=1.x"), entry("d=1.x")]
    assert choosy("a b", ("", packages)) == {"a=1-r0", "b=6.8"}
    assert choosy("c", ("", packages)) == {"c=1-r0", "d=1.x"}


def test_what_comes_with_others_comes_only_where_it_can() -> None:
    packages = [
        entry("a"),
        entry("a-one", install_if="a", provides="cmd:x=1"),
        entry("a-two", install_if="a", provides="cmd:x=1"),
        entry("a-doc", install_if="a"),
    ]
    assert chosen("a", *packages) == {"a=1-r0", "a-one=1-r0", "a-doc=1-r0"}
    assert chosen("a a-two", *packages) == {"a=1-r0", "a-two=1-r0", "a-doc=1-r0"}


def test_what_cannot_be_understood_is_not_there() -> None:
    newer = Index(("C:Q1b\nP:a\nV:2-r0\nA:x86_64\nX:a new kind of need", *make_index([entry("a")]).stanzas))
    found = make_universe([("r", "", newer)], "x86_64")
    assert [str(offer) for offer in solve(["a"], found).offers] == ["a-1-r0"]


def test_a_package_of_an_index_must_be_called_something() -> None:
    with pytest.raises(PackageFormatError, match="lacks its name, version or checksum"):
        make_universe([("r", "", Index(("C:Q1a\nP:\nV:2-r0\nA:x86_64",), where="index"))], "x86_64")


def test_a_package_comes_before_one_that_provides_its_name_without_a_version() -> None:
    assert chosen("which", entry("busybox", provides="which"), entry("which")) == {"which=1-r0"}
    assert chosen("which", entry("busybox", provides="which", priority="1"), entry("which")) == {"busybox=1-r0"}
