"""Debian's order of versions, written down here from deb-version(7), must be APK's order of the mapped ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from melpy.apk.version import compare_versions, is_version
from melpy.bootstrap.version import map_version, readable_version


def debian_order(left: str, right: str) -> int:
    """Compare as `dpkg --compare-versions` does, the epoch aside."""
    (left_upstream, left_revision), (right_upstream, right_revision) = split(left), split(right)
    return compare_part(left_upstream, right_upstream) or compare_part(left_revision, right_revision)


def split(version: str) -> tuple[str, str]:
    upstream, dash, revision = re.sub(r"^[0-9]+:", "", version).rpartition("-")
    return (upstream, revision) if dash else (revision, "")


def compare_part(left: str, right: str) -> int:
    while left or right:
        left_text, left_number, left = first_pieces(left)
        right_text, right_number, right = first_pieces(right)
        a = ([weight(char) for char in left_text] + [0], left_number)
        b = ([weight(char) for char in right_text] + [0], right_number)
        if a != b:
            return 1 if a > b else -1
    return 0


def first_pieces(part: str) -> tuple[str, int, str]:
    match = re.match(r"([^0-9]*)([0-9]*)", part)
    assert match
    return match[1], int(match[2] or 0), part[match.end() :]


def weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


pieces = st.sampled_from(["+b", "+deb", "u", "~", "~rc", "+dfsg", ".dfsg", "+really", "a", "Z", ".", "+", "-", "cross"])
numbers = st.one_of(st.integers(0, 30), st.integers(0, 10**8)).map(str)


@st.composite
def versions(draw: st.DrawFn) -> str:
    upstream = draw(numbers) + "".join(
        draw(pieces) + draw(st.one_of(st.just(""), numbers)) for _ in range(draw(st.integers(0, 4)))
    )
    revision = draw(numbers) + "".join(
        draw(pieces.filter(lambda piece: piece != "-")) + draw(numbers) for _ in range(draw(st.integers(0, 2)))
    )
    return draw(st.sampled_from([f"{upstream}-{revision}", upstream.replace("-", "+")]))


# +b is Debian's sign of a rebuild: it stands after a number at the end, and counts from 1.
REBUILT = re.compile(r"(?:(?!\+b).)*-(?:(?!\+b).)*[0-9]\+b[1-9][0-9]*")
existing = versions().filter(lambda version: "+b" not in version or REBUILT.fullmatch(version) is not None)


@given(existing, existing)
@example("1.2.3-4", "1.2.3-4+b1")
@example("1.2.3-4+b1", "1.2.3-4.1")
@example("1.2.3~rc1-1", "1.2.3-1")
@example("1.2.3-1", "1.2.3a-1")
@example("1.2.3+dfsg-1", "1.2.3.1-1")
@example("1.3.dfsg-1", "1.3.9-1")
@example("4+deb12u9", "4+deb13u1")
@example("1.2", "1.2-0~1")
@example("1.", "1.0")
def test_order_is_kept(left: str, right: str) -> None:
    assert is_version(map_version(left))
    assert compare_versions(map_version(left), map_version(right)) == debian_order(left, right)


@given(st.text("0123456789abzAZ.+~-:", min_size=1, max_size=30))
def test_whatever_it_is_it_becomes_a_version(text: str) -> None:
    assert is_version(map_version(text))
    assert is_version(readable_version(text))


@pytest.mark.parametrize(
    ("debian", "apk"),
    [
        ("14.2.0-19", "14.2.0_p19-r0"),
        ("2:1.24~2", "1.24_rc2_p2_p0-r0"),
        ("20250419", "20250419_p0-r0"),
        ("5.2.37-2+b10", "5.2.37_p2-r10"),
        ("2024.01.05-1", "2024.1.5_p1-r0"),
    ],
)
def test_usual_versions_stay_readable(debian: str, apk: str) -> None:
    assert map_version(debian) == apk


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
