"""Which builds are chosen, the reasons that are given, and what is told where there are none."""

from __future__ import annotations

import pytest

from melpy.cli.report import render_error
from melpy.errors import MelpyError, NothingSelectedError, RecipeNotFoundError
from melpy.graph.model import BuildId, PackageSummary, Summary
from melpy.graph.selection import Filters, Name, Selection, Shard, find_named, find_shard, select_builds

NEEDS = {
    "app": ("libz", "tool"),
    "libz": ("libc",),
    "tool": ("libc",),
    "libc": (),
    "py3-one": ("tool",),
    "ring": ("wheel",),
    "wheel": ("ring", "wheel"),
}


def summary(name: str, arch: str = "x86_64") -> Summary:
    packages = (PackageSummary(name), PackageSummary(f"{name}-dev"))
    return Summary(f"packages/{name}.yaml", name, "1-r0", arch, packages)


TREE = [summary(name, arch) for name in NEEDS for arch in ("x86_64", "aarch64")]


def needs(build: BuildId) -> list[BuildId]:
    return [BuildId(name, build.arch) for name in (*NEEDS[build.recipe], "not-of-this-tree")]


def named(*texts: str) -> dict[BuildId, str]:
    return {build: reason for build, reason in find_named(TREE, map(Name, texts)).items() if build.arch == "x86_64"}


def select(*texts: str, **filters: object) -> Selection:
    return select_builds(TREE, named(*texts), needs, Filters(**filters))  # type: ignore[arg-type]  # a test's own


def reasons(found: Selection) -> dict[str, str]:
    return {one.build.recipe: one.reason for one in found.builds}


def message(error: MelpyError) -> str:
    return "\n".join(render_error(error))


def test_what_a_chosen_one_needs_comes_along() -> None:
    found = select("app")
    assert reasons(found) == {
        "app": "named",
        "libz": "needed by app",
        "tool": "needed by app",
        "libc": "needed by libz",
    }
    assert [one.build.recipe for one in found.builds if one.asked] == ["app"]
    assert reasons(select("app", only=True)) == {"app": "named"}


def test_a_cycle_comes_along_whole() -> None:
    assert reasons(select("ring")) == {"ring": "named", "wheel": "needed by ring"}
    assert reasons(select("ring", rdeps=True)) == {"ring": "named", "wheel": "needs ring"}


def test_a_package_stands_for_its_recipe() -> None:
    assert find_named(TREE, [Name("libz-dev", "list.txt:3")]) == {
        BuildId("libz", arch): "named, as it makes libz-dev (list.txt:3)" for arch in ("x86_64", "aarch64")
    }
    assert named("py3-*") == {BuildId("py3-one", "x86_64"): "matches py3-*"}
    assert named("*z-dev") == {BuildId("libz", "x86_64"): "matches *z-dev, as it makes libz-dev"}


def test_a_name_is_named_though_a_glob_matches_it_as_well() -> None:
    assert named("lib*", "libz")[BuildId("libz", "x86_64")] == "named"


def test_rdeps() -> None:
    found = select("tool", rdeps=True, only=True)
    assert reasons(found) == {"tool": "named", "app": "needs tool", "py3-one": "needs tool"}
    assert reasons(select("tool", rdeps=True))["libz"] == "needed by app"
    assert reasons(select("libc", rdeps=True, only=True))["app"] == "needs libz"


def test_what_a_repository_has_need_not_come_along() -> None:
    """It is all the same needed: a chosen one has those dependents that it has."""

    def is_had(build: BuildId) -> bool:
        return build.recipe in {"libz", "tool"}

    assert reasons(select("app", is_had=is_had)) == {"app": "named"}
    assert reasons(select("libz", is_had=is_had)) == {"libz": "named", "libc": "needed by libz"}
    assert reasons(select("libz", rdeps=True, is_had=is_had)).keys() == {"libz", "app", "libc"}


def test_changed_and_missing() -> None:
    changed = {BuildId("libz", "x86_64"): "packages/libz/fix.patch"}
    found = select("*", changed=changed, since="v1", rdeps=True, only=True)
    assert reasons(found) == {"libz": "changed since v1: packages/libz/fix.patch", "app": "needs libz"}
    missing = {BuildId("libc", "x86_64"): "libc-dev-1-r0"}
    assert reasons(select("*", missing=missing)) == {"libc": "no index has libc-dev-1-r0"}


def test_exclude_wins() -> None:
    assert reasons(select("app", exclude=("lib*",))) == {"app": "named", "tool": "needed by app"}
    assert reasons(select("libc", rdeps=True, only=True, exclude=("tool", "libz"))) == {"libc": "named"}
    assert reasons(select("*", exclude=("app-dev", "r*", "w*"), only=True)).keys() == {
        "libz",
        "libc",
        "tool",
        "py3-one",
    }
    found = select("app", exclude=("*-dev", "nothing"))
    assert "app" in reasons(found)  # a glob is about recipes
    assert found.unmatched == ("*-dev", "nothing")


def test_shards_are_the_same_everywhere() -> None:
    """CI jobs on other machines and of other releases divide alike."""
    names = ("curl", "glibc", "openssl", "zlib", "py3-yaml")  # first 8 bytes of sha256sum, modulo 4, and 1
    assert [find_shard(name, 4) for name in names] == [1, 1, 3, 1, 4]
    assert {find_shard(f"recipe-{number}", 4) for number in range(40)} == {1, 2, 3, 4}


def test_a_quarantine() -> None:
    quarantine = {BuildId("libz", "x86_64"): "quarantined until 2027-01-01: no", BuildId("libz", "aarch64"): "no"}
    found = select("app", "py3-one", quarantine=quarantine)
    assert reasons(found).keys() == {"py3-one", "tool", "libc"}
    assert [(one.build.recipe, one.reason) for one in found.skipped] == [
        ("app", "needs libz, which is quarantined"),
        ("libz", "quarantined until 2027-01-01: no"),
    ]
    found = select("app", "tool", quarantine=quarantine, only=True)
    assert reasons(found) == {"tool": "named"}
    assert [one.build.recipe for one in found.skipped] == ["app"]
    assert reasons(select("app", quarantine=quarantine, exclude=("libz",))).keys() == {"app", "tool", "libc"}


def test_an_unknown_name() -> None:
    with pytest.raises(RecipeNotFoundError) as caught:
        find_named(TREE, [Name("lbiz"), Name("app")])
    assert message(caught.value) == "error: there is no recipe and no package 'lbiz'\nhint: did you mean 'libz'?"
    with pytest.raises(RecipeNotFoundError) as caught:
        find_named(TREE, [Name("ruby-*", "list.txt:3")])
    assert message(caught.value) == (
        "error: list.txt:3: no recipe or package matches 'ruby-*'\n"
        "hint: names are looked for in the directories given, else in packages/ or here; paths have a / or end in .yaml"
    )


def test_all_unknown_names_are_told_together() -> None:
    with pytest.raises(RecipeNotFoundError) as caught:
        find_named(TREE, [Name("zzzz"), Name("lbiz", "list.txt:3")])
    assert message(caught.value) == (
        "error: 2 names match no recipe and no package\n"
        "  list.txt:3: lbiz, did you mean 'libz'?\n"
        "  zzzz\n"
        "hint: names are looked for in the directories given, else in packages/ or here; paths have a / or end in .yaml"
    )


QUARANTINED = """\
error: no build is selected: the quarantine stops all
  app/x86_64: needs libc, which is quarantined
  libc/x86_64: quarantined until 2027-01-01: no
  libz/x86_64: needs libc, which is quarantined
  tool/x86_64: needs libc, which is quarantined
hint: --no-quarantine builds them all the same"""
NOTHING: dict[str, tuple[dict[str, object], str]] = {
    "changed": (
        {"changed": {}, "since": "v1"},
        """\
error: no build is selected: nothing changed since v1 in 1 build: app/x86_64
hint: changes of recipes, their directories and pipelines count, committed or not""",
    ),
    "missing": (
        {"missing": {}},
        """\
error: no build is selected: the indexes have all packages of 1 build: app/x86_64
hint: without --missing they are chosen""",
    ),
    "exclude": (
        {"exclude": ("a*",)},
        "error: no build is selected: --exclude a* leaves out 1 build: app/x86_64\nhint: exclude fewer",
    ),
    "shard": (
        {"shard": Shard(1 + find_shard("app", 2) % 2, 2)},
        "error: no build is selected: part 1/2 has none of 1 build: app/x86_64\nhint: the other parts have them",
    ),
    "quarantine": ({"quarantine": {BuildId("libc", "x86_64"): "quarantined until 2027-01-01: no"}}, QUARANTINED),
}


@pytest.mark.parametrize("filters", NOTHING)
def test_nothing_selected_says_why(filters: str) -> None:
    stated, told = NOTHING[filters]
    with pytest.raises(NothingSelectedError) as caught:
        select("app", **stated)
    assert message(caught.value) == told
    assert caught.value.exit_status == 19


def test_nothing_is_meant_for_an_architecture() -> None:
    with pytest.raises(NothingSelectedError, match="no build is selected"):
        select_builds([], {}, needs, Filters())
