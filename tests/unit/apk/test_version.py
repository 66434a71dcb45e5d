"""Validity and order of versions."""

from __future__ import annotations

import itertools

import pytest

from melpy.apk.version import check_version, compare_versions, is_melange_version, is_version, version_key
from melpy.errors import PackageFormatError

OLDEST_FIRST = [
    "0",
    "0.1_alpha",
    "0.1_alpha1",
    "0.1_alpha2",
    "0.1_alpha10",
    "0.1_beta",
    "0.1_pre3",
    "0.1_rc1_pre2",
    "0.1_rc1",
    "0.1_rc1-r1",
    "0.1",
    "0.1-r1",
    "0.1-r2",
    "0.1-r10",
    "0.1_cvs20200101",
    "0.1_svn5",
    "0.1_git20200101",
    "0.1_git20200102",
    "0.1_hg1",
    "0.1_p1",
    "0.1_p1-r3",
    "0.1_p2",
    "0.1a",
    "0.1b",
    "0.1.0",
    "0.1.1",
    "0.2",
    "0.9",
    "0.10",
    "0.11",
    "1",
    "1.2.3",
    "1.10",
    "2",
    "10",
    "20240101",
]


def test_order() -> None:
    by_text = sorted(OLDEST_FIRST)
    assert by_text != OLDEST_FIRST
    assert sorted(by_text, key=version_key) == OLDEST_FIRST
    for (i, left), (j, right) in itertools.product(enumerate(OLDEST_FIRST), repeat=2):
        assert compare_versions(left, right) == (i > j) - (i < j), (left, right)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1.0", "1.0-r0", -1),
        ("1", "1.0", -1),
        ("1.2_p", "1.2_p0", -1),
        ("1.2~abc", "1.2~abd", -1),
        ("1.2~abc", "1.2", 1),
        ("01", "1", 0),
        ("1.01", "1.1", -1),
        ("1.010", "1.01", 1),
        ("99999999999999999999", "99999999999999999998", 1),
    ],
)
def test_corner_cases(left: str, right: str, expected: int) -> None:
    assert compare_versions(left, right) == expected
    assert compare_versions(right, left) == -expected


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1.2.3", "1.2", True),
        ("1.2", "1.2", True),
        ("1.2-r5", "1.2", True),
        ("1.2_rc1", "1.2", True),
        ("1.2a", "1.2", True),
        ("1.20", "1.2", False),
        ("1", "1.2", False),
        ("1.3", "1.2", False),
        ("1.2.3-r1", "1.2.3-r1", True),
        ("1.2.3-r2", "1.2.3-r1", False),
    ],
)
def test_fuzzily_equal_is_what_goes_on_where_the_other_ends(left: str, right: str, equal: bool) -> None:
    assert (compare_versions(left, right, fuzzy=True) == 0) is equal


@pytest.mark.parametrize(
    "version",
    ["0", "1.2.3", "1.2.3-r4", "1a", "1.2z_alpha", "1_alpha_beta3_p", "1~abc123", "1_git5~0f-r12", "00303", "20240101"],
)
def test_versions(version: str) -> None:
    assert is_version(version)
    check_version(version)


@pytest.mark.parametrize(
    "version",
    [
        "",
        "v1",
        "1.",
        ".1",
        "1..2",
        "1.a",
        "1ab",
        "1A",
        "1_",
        "1_foo",
        "1_rc-1",
        "1-1",
        "1-r",
        "1-r1-r2",
        "1~",
        "1~G",
        "1 ",
        " 1",
        "1\n",
        "1.2.3-r1~a",
        "\u0661",
    ],
)
def test_not_versions(version: str) -> None:
    assert not is_version(version)
    with pytest.raises(PackageFormatError, match="invalid version"):
        check_version(version)


@pytest.mark.parametrize(
    ("left", "order", "right"),
    [
        ("1.0", -1, "1.0bc"),
        ("3:1.0", 1, "1.0bc"),
        ("23_foo", 1, "4_beta"),
        ("1_pfoo", -1, "1_p"),
        ("1.0bc", 0, "1.0bd"),
        ("", -1, "1"),
    ],
)
def test_what_is_no_version_is_compared_as_far_as_it_is_one(left: str, order: int, right: str) -> None:
    assert compare_versions(left, right) == order
    assert compare_versions(right, left) == -order


def test_numbers_that_python_does_not_read() -> None:
    large, larger = "1" * 5000, "1" * 4999 + "2"
    assert [compare_versions(large, larger), compare_versions(larger, large)] == [-1, 1]
    assert compare_versions(f"1.{large}", "1.9") == 1
    assert compare_versions(f"1_p{'0' * 5000}1", "1_p1") == 0


@pytest.mark.parametrize(
    "text", ["1", "1.2.3a_rc1_p2-r3", "1_alpha", "20240101", "1_git20240101", "9223372036854775807"]
)
def test_versions_of_melange(text: str) -> None:
    assert is_version(text)
    assert is_melange_version(text)


@pytest.mark.parametrize(
    "text", ["1.0_p1_git2", "1_p1_p2", "1_p1_alpha2", "1_alpha_beta", "1.0~abc", "1_alpha~ab1", "1.9223372036854775808"]
)
def test_versions_that_apk_alone_takes(text: str) -> None:
    assert is_version(text)
    assert not is_melange_version(text)
