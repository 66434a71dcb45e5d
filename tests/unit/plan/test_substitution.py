"""Go's regular expressions."""

from __future__ import annotations

import pytest

from melpy.plan.substitution import PatternError, replace_all


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "expected"),
    [
        # the commonest of real recipes
        (r"^ruby(\d\.\d+)-.*", "$1", "ruby3.2-erubi", "3.2"),
        (r"^php-(\d+\.\d+)-.*$", "$1", "php-8.3-redis", "8.3"),
        (r"\.", "_", "1.2.3", "1_2_3"),
        (r"^(\d+\.\d+)\.\d+$", "$1", "1.2.3", "1.2"),
        (r"^(\d+).*", "$1", "17.0.2", "17"),
        (r"^(\d+)\.(\d+).*", "$1.$2", "1.2.3", "1.2"),
        (r"^(\d+)\.(\d+).*", "$1-$2", "1.2.3", "1-2"),
        (r"^(\d+).*", "${1}.0.0", "3.4", "3.0.0"),
        (r"\.(\d+)$", "-$1", "1.30.4.1", "1.30.4-1"),
        (r"_", "", "1_2_3", "123"),
        (r"^(\d)\.(\d\d)\.(\d)$", "${1}${2}0${3}00", "3.46.1", "3460100"),
        # templates
        (r"(\d+)", "$1x", "12", ""),
        (r"(\d+)", "${1}x", "12", "12x"),
        (r"(\d+)", r"/usr/lib/llvm-\$1", "22", r"/usr/lib/llvm-\22"),
        (r"(\d+)", r"\1", "22", r"\1"),
        (r"(\d+)", "$$1", "22", "$1"),
        (r"(\d+)", "$", "22", "$"),
        (r"(\d+)", "$ 1", "22", "$ 1"),
        (r"(\d+)", "$2", "22", ""),
        (r"(\d+)", "$0$0", "22", "2222"),
        (r"(\d+)", "${{host.triplet.gnu}}", "22", "${{host.triplet.gnu}}"),
        (r"(\d+)", "${1", "22", "${1"),
        (r"(a)|(b)", "[$1$2]", "ab", "[a][b]"),
        (r"(?P<major>\d+)\.(?P<minor>\d+)", "$minor.$major", "1.2", "2.1"),
        (r"(?P<major>\d+)\.(?P<minor>\d+)", "${minor}_${major}", "1.2", "2_1"),
        (r"(?<major>\d+).*", "${major}", "1.2", "1"),
        (r"(?P<major>\d+).*", "$major_x", "1.2", ""),
        # no match leaves the text
        (r"^x", "y", "1.2", "1.2"),
        # an empty match right after another is passed over
        (r"(.*)", "${1}t", "3.14", "3.14t"),
        (r"b*", "x", "abc", "xaxcx"),
        (r"", "-", "ab", "-a-b-"),
        # `$` is the end of the text, never before a last newline
        (r"a$", "b", "a\n", "a\n"),
        (r"(?m)a$", "b", "a\na", "b\nb"),
        (r"[$]1", "x", "$1", "x"),
        (r"\$1", "x", "$1", "x"),
        (r"a\z", "b", "aa", "ab"),
        # classes
        (r"[[:digit:]]+", "n", "a12", "an"),
        (r"[^[:alnum:]]", "", "a-b.c", "abc"),
        (r"[[:alpha:]_]+", "w", "ab_1", "w1"),
        (r"\d", "n", "\u0661", "\u0661"),
        (r"\w+", "w", "ä", "ä"),
        (r"[]a]", "x", "]ab", "xxb"),
        (r"\pL+", "w", "ä1", "w1"),
        (r"\s", "x", "a\vb c", "a\vbxc"),
        (r"(?i)RC", "c", "1rc1", "1c1"),
        (r"(?U)a+", "b", "aa", "bb"),
        (r"\Q.\E", "_", "1.2", "1_2"),
        (r"(?s)a.b", "x", "a\nb", "x"),
        (r"\x{41}", "b", "A", "b"),
        (r"é", "e", "ééa", "eea"),
        # alternatives from the left, as Perl's
        (r"a|ab", "x", "ab", "xb"),
    ],
)
def test_replacing(pattern: str, replacement: str, text: str, expected: str) -> None:
    assert replace_all(pattern, replacement, text) == expected


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("a(", 0),
        ("a[", 1),
        ("*", 0),
        ("(?P<a", 0),
        ("a{2,1}", 1),
        ("a{1001}", 1),
        ("a**", 1),
        (r"x\Z", 1),
        (r"x\C", 1),
        (r"(a)\1", 3),
        ("(?=a)", 0),
        ("[[:no:]]", 1),
        (r"\p{No}\p{Nope}", 6),
    ],
)
def test_patterns_that_are_none(pattern: str, position: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError) as caught:
        replace_all(pattern, "", "text")
    assert caught.value.position == position
    assert capfd.readouterr().err == ""


def test_patterns_that_backtracking_would_not_survive() -> None:
    assert replace_all("^(a+)+$", "x", "a" * 10_000 + "b") == "a" * 10_000 + "b"
