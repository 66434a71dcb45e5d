"""Debian's order of versions must be APK's order of the mapped ones."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from melpy.apk.atom import parse_atom
from melpy.apk.version import compare_versions, is_version
from melpy.bootstrap.version import map_version, readable_version
from melpy.bootstrap.versioncode import encode_digits, encode_parts
from tests.factories.debian import debian_key, part_key

# What apko and melange take; every number is below 2^63.
GRAMMAR = re.compile(r"[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc)[0-9]+)?(_(cvs|svn|git|hg|p)[0-9]+)?-r[0-9]+")


def is_read_by_all(version: str) -> bool:
    numbers = re.findall(r"[0-9]+", version)
    return bool(GRAMMAR.fullmatch(version)) and is_version(version) and all(int(number) < 2**63 for number in numbers)


def compare(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


TEXTS = ["+b", "+deb", "u", "~", "~rc", "~bpo", "+dfsg", "+ds", ".dfsg", "+really", "a", ".", "+", "cross"]
OTHERS = ["e+git", "Z", "+bcross", ".~", "~~"]


def versions(most: int) -> st.SearchStrategy[str]:
    numbers = st.integers(0, most).map(str)

    def part(pieces: list[str], count: int) -> st.SearchStrategy[str]:
        piece = st.tuples(st.sampled_from(pieces), st.one_of(st.just(""), numbers)).map("".join)
        return st.tuples(numbers, st.lists(piece, max_size=count).map("".join)).map("".join)

    epoch = st.sampled_from(["", "", "1:", "4:"])
    native = part([*TEXTS, *OTHERS], 4)
    upstream, revision = part([*TEXTS, *OTHERS, "-"], 4), part(TEXTS, 2)
    return st.tuples(epoch, st.one_of(native, st.tuples(upstream, st.just("-"), revision).map("".join))).map("".join)


@given(versions(30), versions(30))
@example("1.2.3-4", "1.2.3-4+b1")
@example("1.2.3-4+b1", "1.2.3-4.1")
@example("1.2.3-4+b1", "1.2.3-4a")
@example("1.2.3~rc1-1", "1.2.3-1")
@example("1.2.3-1", "1.2.3a-1")
@example("1.2.3a-1", "1.2.3a1-1")
@example("1.2.3+dfsg-1", "1.2.3+dfsg0-1")
@example("1.2.3+dfsg-1", "1.2.3.1-1")
@example("1.3.dfsg-1", "1.3.9-1")
@example("4+deb12u9", "4+deb13u1")
@example("1.2", "1.2-0~1")
@example("1.", "1.0")
@example("1.~1-1", "1.0-1")
@example("1-1", "2:1-1")
def test_order_is_kept(left: str, right: str) -> None:
    assert is_read_by_all(map_version(left))
    assert compare_versions(map_version(left), map_version(right)) == compare(debian_key(left), debian_key(right))


@given(versions(10**16), versions(10**16))
@example("0-0Z0Z0Z0e+git", "0-0Z0Z0Z0e+git1")
@example("1+git3356.gc9f02d85+~db20211214.g0a0added-4", "1+git3356.gc9f02d85+~db20211214.g0a0added-40")
@example("1+99999999999999-1", "1+100000000000000-1")
@example("1:0+deb+deb1-0+deb+deb", "0+deb+deb1-0+deb+deb1")
def test_no_length_turns_the_order_around(left: str, right: str) -> None:
    assert is_read_by_all(map_version(left))
    found = map_version(left), map_version(right)
    # Of versions that have become one but for the epoch, its last digit, the epoch decides.
    are_one = found[0][:-1] == found[1][:-1]
    assert are_one or compare_versions(*found) in {0, compare(debian_key(left), debian_key(right))}


rests = st.tuples(st.sampled_from("~aemZ+-."), st.text("0123456789aefmzAZ+.~-", max_size=12)).map("".join)


@given(rests, rests)
def test_codes_sort_as_parts_do(left: str, right: str) -> None:
    order = compare(part_key(left), part_key(right))
    digits, others = encode_digits(left), encode_digits(right)
    assert compare(digits, others) == order
    assert not order or not digits.startswith(others)
    (low, high), (other_low, other_high) = encode_parts(left), encode_parts(right)
    assert low < high
    if order:
        assert high <= other_low if order < 0 else other_high <= low
    else:
        assert (low, high) == (other_low, other_high)


# Of trixie, sid and their security, updates and backports, oldest first.
ASCENDING = """
0~20181009-2 0.0~git20170511.0.5fcc26b+dfsg-3 0.0~git20170511.0.5fcc26b+dfsg-4 0.13~~git20231028.g3dd5194+ds-4
0.13~~git20231028.g3dd5194+ds-4+b2 0.16.1+20180422git6becd92d7fce3fc411d7c-6+b4
0.16.1+20180422git6becd92d7fce3fc411d7c-6+b5 1:1.3.dfsg+really1.3.1-1+b1 2:1.24~2 1.85.0+dfsg-1 1.85.0+dfsg2-1
2.0.0~6.0.1+~3.0.4+~2.0.0+~1.0.0+~2.0.1-1 2.0.0~6.0.1+~3.0.4+~2.0.0+~1.0.0+~2.0.1-6 2.41-12 2.41-12+deb13u1
2.41-12+deb13u2 1:2.47.3-0+deb13u1 3.0~rc1-1 3.0~rc1+ds-1 3.0-1~bpo12+1 3.0-1~deb13u1 3.0-1 3.0-1+8+b1 3.0-1+b1 3.0-1+b2
3.0-1+deb12u1~bpo11+1 3.0-1+deb12u1 3.0-1.1 3.0-1.1+b1 3.0-2~deb13u1 3.0+ds-1 5.2.37-2 5.2.37-2+b10 10.0p1-7 10.0p2-1
14.2.0-19 14.2.0-19cross1 140.5.0esr-1~deb13u1 2026a-0+deb13u1 2026b-0+deb13u1 20250419 20250419+deb13u1
""".split()


def test_versions_of_the_archive_stay_apart_and_in_order() -> None:
    assert sorted(ASCENDING, key=debian_key) == ASCENDING
    mapped = [map_version(version) for version in ASCENDING]
    assert all(map(is_read_by_all, mapped))
    assert all(compare_versions(left, right) < 0 for left, right in pairwise(mapped))


@given(st.text("0123456789abzAZ.+~-:", min_size=1, max_size=60))
@example("9" * 5000)
@example("1+" + "9" * 5000 + "-" + "9" * 5000)
def test_whatever_it_is_it_becomes_a_version(text: str) -> None:
    assert is_read_by_all(map_version(text))
    assert is_version(readable_version(text))
    assert all(int(number) < 2**63 for number in re.findall(r"[0-9]+", readable_version(text)))


@pytest.mark.parametrize(
    ("debian", "apk"),
    [
        ("14.2.0-19", "14.2.0_p19-r0"),
        ("4:14.2.0-1", "14.2.0_p1-r4"),
        ("20250419", "20250419_p0-r0"),
        ("5.2.37-2+b10", "5.2.37_p2-r510200000000000000"),
        ("2.41-12+deb13u2", "2.41_p12-r611336022000000000"),
        ("1.0-2~deb13u1", "1.0_p1-r1051336012000000000"),
        ("2024.01.05-1", "2024.1.5_p1-r0"),
        ("2026b-0+deb13u1", "2026b_p0-r611336012000000000"),
        ("1.85.0+dfsg-1", "1.85.0x_p1-r0"),
        ("1.85.0+ds-1", "1.85.0y_p1-r0"),
    ],
)
def test_usual_versions_stay_readable(debian: str, apk: str) -> None:
    assert map_version(debian) == apk


@pytest.mark.parametrize(
    ("debian", "met", "missed"),
    [
        ("2.41-12+deb13u2", ">=2.38 >=2.41 >2.40 <2.42 ~2.41 ~2", "<2.41 ~2.4 >=2.41.1 ~2.41.1"),
        ("3.5.4-1~deb13u2", "~3.5 >=3.5.4 <3.6", "~3.4 >=3.5.5"),
        ("3.31.6-2", ">3.20 ~3.31.6", ">3.31.6.1"),
        ("1:2.47.3-0+deb13u1", ">=2.40 ~2.47", ">=3 <2"),
        ("1.85.0+dfsg3-1", "~1.85 ~1.85.0 >=1.85.0 <1.85.1", ">=1.85.1"),
        ("2.0~rc1-1", "<2.0 >=1.9", ">=2.0"),
        ("140.5.0esr-1~deb13u1", "~140.5 >=140.5.0 <140.6", "<140.5.0"),
    ],
)
def test_constraints_of_recipes_mean_upstreams_version(debian: str, met: str, missed: str) -> None:
    version = map_version(debian)
    assert [item for item in met.split() if not parse_atom(f"p{item}").is_met_by(version)] == []
    assert [item for item in missed.split() if parse_atom(f"p{item}").is_met_by(version)] == []


@pytest.mark.parametrize(
    ("debian", "apk"),
    [
        ("1:1.3.dfsg+really1.3.1-1+b1", "1.3.1-r1"),
        ("2:1.24~2", "1.24-r0"),
        ("3.39.0~rc1-1", "3.39.0_rc1-r1"),
        ("2026b-0+deb13u1", "2026b-r0"),
        ("1.85.0+dfsg3-1", "1.85.0-r1"),
    ],
)
def test_stand_ins_carry_upstreams_version(debian: str, apk: str) -> None:
    assert readable_version(debian) == apk
