"""Arguments of `melpy build`: paths, names, lists and standard input; and which recipes have to be read for them."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.cli.report import render_error
from melpy.engine.quarantine import load_quarantine
from melpy.engine.selection import Arguments, SelectionOptions, choose, find_candidates, read_arguments, select
from melpy.errors import MelpyError, RecipeNotFoundError, UsageError
from melpy.graph.model import BuildId, PackageSummary, Summary
from melpy.graph.selection import Filters, Name
from tests.factories.graph import summary

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOM = {"curl": (), "zlib": (), "py3-a": ("zlib",), "py3-b": ()}


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a directory with recipes in `packages/`, and the files of `curl` in a directory of this name."""
    for name in ROOM:
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / f"packages/{name}.yaml").write_text("")
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/one.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summaries(files: Iterable[Path], *arches: str) -> list[Summary]:
    return [
        Summary(str(file), file.stem, "1-r0", arch, (PackageSummary(file.stem), PackageSummary(f"{file.stem}-dev")))
        for file in files
        for arch in arches or ["x86_64"]
    ]


def chosen(*texts: str, stdin: str = "", only: bool = False) -> dict[str, str]:
    arguments = read_arguments(texts, io.StringIO(stdin))
    files = find_candidates(arguments, only=only, default=[Path("packages")])
    return {build.recipe: reason for build, reason in choose(arguments, summaries(files)).items()}


def message(error: MelpyError) -> str:
    return "\n".join(render_error(error))


def test_a_path_is_a_path_and_all_else_a_name() -> None:
    assert read_arguments(["packages", "packages/curl.yaml", "curl", "py3-*", "./alone"]) == Arguments(
        ((Path("packages/curl.yaml"), ""),), (Path("packages"), Path("alone")), (Name("curl"), Name("py3-*"))
    )


def test_a_name_wins_over_the_directory_of_its_files(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room / "packages")
    assert read_arguments(["curl"]).names == (Name("curl"),)
    assert read_arguments(["curl/"]).directories == (Path("curl"),)


def test_a_directory_stands_for_its_recipes() -> None:
    assert chosen("packages/") == dict.fromkeys(ROOM, "in packages")
    assert chosen("alone", "packages/curl.yaml") == {"one": "in alone", "curl": "named"}


def test_with_names_a_directory_is_where_they_are_looked_for() -> None:
    assert chosen("packages", "py3-*") == {"py3-a": "matches py3-*", "py3-b": "matches py3-*"}
    assert chosen("packages/zlib.yaml", "curl") == {"zlib": "named", "curl": "named"}
    assert chosen("curl-dev") == {"curl": "named, as it makes curl-dev"}  # in the default directory


def test_lists() -> None:
    Path("list.txt").write_text("# of the nightly run\n\ncurl  # first\npackages/zlib.yaml\n")
    assert chosen("@list.txt") == {"zlib": "named (list.txt:4)", "curl": "named (list.txt:3)"}
    assert chosen("-", stdin="curl\r\npy3-*\n")["py3-a"] == "matches py3-* (standard input:2)"
    assert chosen("zlib", "@list.txt") == {"zlib": "named (list.txt:4)", "curl": "named (list.txt:3)"}


def test_the_rest_of_a_directory_is_read_for_what_is_needed() -> None:
    arguments = read_arguments(["packages/curl.yaml"])
    assert [path.stem for path in find_candidates(arguments)] == ["curl", "py3-a", "py3-b", "zlib"]
    assert find_candidates(arguments, only=True) == (Path("packages/curl.yaml"),)


MISTAKES = {
    "typing mistake in a path": (["packages/crul.yaml"], "packages/crul.yaml: no such recipe", "packages/curl.yaml"),
    "no such directory": (["pakages/"], "pakages: no such recipe or directory", None),
    "directory without recipes": (["packages/curl/"], "packages/curl: this directory holds no recipe", "end in .yaml"),
    "name": (["packages", "crul"], "there is no recipe and no package 'crul'", "did you mean 'curl'?"),
    "list that is not there": (["@none.txt"], "none.txt: this list cannot be read: no such file", None),
    "path of a list": (["@bad.txt"], "bad.txt:2: packages/no.yaml: no such recipe", None),
    "name of a list": (["@names.txt"], "names.txt:1: there is no recipe and no package 'zlip'", "did you mean 'zlib'?"),
    "list of a list": (["@nested.txt"], "nested.txt:1: a list cannot name another list: @names.txt", "both lists"),
    "empty list": (["@empty.txt"], "empty.txt: this list of recipes is empty", "in each line"),
    "empty input": (["-"], "standard input: this list of recipes is empty", "in each line"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str) -> None:
    Path("bad.txt").write_text("curl\npackages/no.yaml\n")
    Path("names.txt").write_text("zlip\n")
    Path("nested.txt").write_text("@names.txt\n")
    Path("empty.txt").write_text("# nothing\n")
    arguments, said, hint = MISTAKES[mistake]
    with pytest.raises((RecipeNotFoundError, UsageError)) as caught:
        chosen(*arguments)
    told = message(caught.value)
    assert told.startswith(f"error: {said}")
    assert not hint or hint in told


def test_names_without_a_directory(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room / "packages/curl")
    with pytest.raises(RecipeNotFoundError) as caught:
        chosen("zlib")
    assert message(caught.value) == (
        "error: no directory is known that 'zlib' could be in\n"
        "hint: name the directory of its recipes too: melpy build packages/ zlib"
    )


def test_select() -> None:
    """All of it together: needs, indexes and the quarantine list."""
    Path("quarantine.toml").write_text('[[quarantine]]\nrecipe = "curl"\nreason = "why"\nuntil = 2027-01-31\n')
    arguments = read_arguments(["packages"])
    found = select(
        arguments,
        SelectionOptions(missing=True, filters=Filters(exclude=("py3-b",))),
        summaries(find_candidates(arguments), "x86_64", "aarch64"),
        lambda build: [BuildId(need, build.arch) for need in ROOM[build.recipe]],
        is_offered=lambda name, version, arch: (name, version, arch) == ("py3-a", "1-r0", "x86_64") or name == "zlib",
        quarantine=load_quarantine(Path("quarantine.toml"), date(2027, 1, 1)),
    )
    assert {str(one.build): one.reason for one in found.builds} == {
        "py3-a/aarch64": "no index has py3-a-1-r0",
        "py3-a/x86_64": "no index has py3-a-dev-1-r0",
        "zlib/aarch64": "no index has zlib-dev-1-r0",
        "zlib/x86_64": "no index has zlib-dev-1-r0",
    }
    assert {str(one.build): one.reason for one in found.skipped} == {
        f"curl/{arch}": "quarantined until 2027-01-31: why" for arch in ("x86_64", "aarch64")
    }


def test_what_is_built_once_counts_for_all_architectures() -> None:
    """It is missing where one index lacks it, and a quarantine for one architecture stops it for all."""
    Path("quarantine.toml").write_text(
        '[[quarantine]]\nrecipe = "ill"\nreason = "why"\nuntil = 2027-01-31\narch = "aarch64"\n'
    )
    found = select(
        Arguments(names=(Name("*"),)),
        SelectionOptions(missing=True),
        [summary(name, arch="noarch") for name in ("ill", "lacking", "whole")],
        lambda _build: (),
        is_offered=lambda name, _version, arch: name == "whole" or arch == "x86_64",
        quarantine=load_quarantine(Path("quarantine.toml"), date(2027, 1, 1)),
    )
    assert {str(one.build): one.reason for one in found.builds} == {"lacking/noarch": "no index has lacking-1-r0"}
    assert [str(one.build) for one in found.skipped] == ["ill/noarch"]
