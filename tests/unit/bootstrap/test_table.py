from __future__ import annotations

import pytest

from melpy.apk.atom import parse_atom
from melpy.apk.version import is_version
from melpy.bootstrap.table import known_suites, load_table, parse_table, recipe_digest
from melpy.errors import SeedError


@pytest.mark.parametrize("suite", known_suites())
def test_the_tables_that_melpy_ships_are_valid(suite: str) -> None:
    table = load_table(suite)
    assert {"build-base", "busybox", "wolfi-base", "wolfi-baselayout", "ca-certificates-bundle"} <= set(table.names)
    for name, made in table.names.items():
        assert made.depends or is_version(made.version), name
        assert all(parse_atom(item).name == item for item in made.depends)
    assert table.packages["bash"].links["usr/bin/sh"] == "bash"


@pytest.mark.parametrize("suite", known_suites())
def test_added_files_stay_in_the_package(suite: str) -> None:
    table = load_table(suite)
    changes = [path for change in table.packages.values() for path in (*change.links, *change.files)]
    made = [path for name in table.names.values() for path in (*name.links, *name.files, *name.directories)]
    for path in (*changes, *made):
        assert not path.startswith("/")
        assert ".." not in path.split("/")


def test_an_unknown_key_is_an_error_that_says_where() -> None:
    with pytest.raises(SeedError, match="not valid") as caught:
        parse_table(b"packages: {bash: {linkz: {a: b}}}", where="x.yaml")
    assert caught.value.where == "x.yaml"
    assert any("packages.bash.linkz" in line for line in caught.value.details)


def test_what_is_not_yaml_is_an_error() -> None:
    with pytest.raises(SeedError, match="not YAML"):
        parse_table(b"a: [", where="x.yaml")


def test_an_unknown_suite_has_a_hint() -> None:
    with pytest.raises(SeedError) as caught:
        recipe_digest("trixy")
    assert caught.value.hint == "did you mean 'trixie'?"


def test_modes_are_octal() -> None:
    table = parse_table(b'names: {a: {version: 1-r0, directories: {tmp: "1777"}}}', where="x")
    assert table.names["a"].directories == {"tmp": 0o1777}


@pytest.mark.parametrize("suite", known_suites())
def test_the_base_layout_provides_what_wolfis_does(suite: str) -> None:
    provides = load_table(suite).names["wolfi-baselayout"].provides
    assert provides == ("merged-bin", "merged-lib", "merged-sbin", "merged-usrsbin", "merged-varrun")


@pytest.mark.parametrize("suite", known_suites())
def test_wolfis_environment_for_python_has_a_shell_and_a_compiler(suite: str) -> None:
    assert {"busybox", "build-base"} <= set(load_table(suite).names["py3-build-base"].depends)
