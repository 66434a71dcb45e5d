"""Codes, exit statuses, and how errors read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from melpy import errors
from melpy.cli.report import render_error, short_list
from melpy.errors import FaultsError, MelpyError, Place, RecipeError, UnknownKeyError, WrongTypeError, find_near
from melpy.text import size_text

CLASSES: list[type[MelpyError]] = [
    item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, MelpyError)
]
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"


def test_codes_are_unique_and_kebab_case() -> None:
    codes = [item.code for item in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_exit_statuses_are_unique_and_fit_a_shell() -> None:
    # FaultsError has the status of the faults it holds.
    statuses = [item.exit_status for item in CLASSES if item is not FaultsError]
    assert len(set(statuses)) == len(statuses)
    assert all(0 < status < 126 for status in statuses)


# The root is never raised itself, and several faults at once have the status of what they are.
@pytest.mark.parametrize(
    "item", [item for item in CLASSES if item not in {MelpyError, FaultsError}], ids=lambda item: str(item.code)
)
def test_every_error_is_explained_and_documented(item: type[MelpyError]) -> None:
    assert item.__doc__
    assert "code" in vars(item)
    if not REFERENCE.exists():
        pytest.skip("docs/reference/errors.md is not written yet")
    rows = [line for line in REFERENCE.read_text().splitlines() if line.startswith("|") and item.code in line]
    status = str(item.exit_status)
    assert any(re.search(rf"`?{re.escape(item.code)}`?\s*\|", row) and status in row for row in rows), item.code


@pytest.mark.parametrize(
    ("place", "text"),
    [(Place("a.yaml"), "a.yaml"), (Place("a.yaml", 3), "a.yaml:3:0"), (Place("a.yaml", 3, 4), "a.yaml:3:4")],
)
def test_places(place: Place, text: str) -> None:
    assert str(place) == text


def test_an_error_reads_place_message_details_hint() -> None:
    error = MelpyError("is wrong", where="thing", hint="mend it", details=["first", "second"])
    assert render_error(error) == ["error: thing: is wrong", "first", "second", "hint: mend it"]
    assert render_error(MelpyError("is wrong")) == ["error: is wrong"]


def test_faults_of_one_kind_keep_its_exit_status() -> None:
    same = FaultsError([UnknownKeyError("a"), UnknownKeyError("b")])
    mixed = FaultsError([UnknownKeyError("a"), WrongTypeError("b")])
    assert (same.exit_status, mixed.exit_status) == (UnknownKeyError.exit_status, RecipeError.exit_status)
    assert render_error(mixed) == ["error: a", "error: b", "2 errors"]
    assert render_error(FaultsError([WrongTypeError("b")])) == ["error: b"]


@pytest.mark.parametrize(
    ("name", "near"),
    [("pipelin", "pipeline"), ("pakage", "package"), ("zzz", None), ("", None), ("package", "package")],
)
def test_near_names(name: str, near: str | None) -> None:
    assert find_near(name, ["package", "pipeline", "vars"]) == near


NAMES = [
    "autoconf/make",
    "busybox",
    "clean",
    "git-checkout",
    "libcrypt-dev",
    "libfoo-dev",
    "openssl",
    "openssl-dev",
    "package.version",
    "py3-requests",
    "runs",
]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("autoconf/mkae", "autoconf/make"),
        ("autoconfmake", "autoconf/make"),
        ("autoconf-make", "autoconf/make"),
        ("bussybox", "busybox"),
        ("Busybox", "busybox"),
        ("git-chekcout", "git-checkout"),
        ("openssl-dve", "openssl-dev"),
        ("libcrypt-dve", "libcrypt-dev"),
        ("package.versoin", "package.version"),
        ("py3-reqeusts", "py3-requests"),
        ("run", "runs"),
        # Far names are no names: what they share is what many names share.
        ("scan", None),
        ("libfobar-dev", None),
        ("libcurl-dev", None),
        ("py3-numpy", None),
        ("ls", None),
        ("x" * 5000, None),
    ],
)
def test_near_names_are_near(name: str, near: str | None) -> None:
    assert find_near(name, NAMES) == near


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2_000_000_000_000, "2000.0 GB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_long_lists_are_counted() -> None:
    assert short_list(["a", "b", "c"], 3) == "a b c"
    assert short_list(["a", "b", "c", "d"], 2) == "a b … 2 more"
