"""Filters and tests of expressions."""

from __future__ import annotations

import pytest

from melpy.errors import FaultsError
from tests.factories.recipe import plan


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("package.version | part(0)", "1"),
        ("package.version | part(2)", "3"),
        ("package.version | part(7)", ""),
        ("package.version | parts(2)", "1.2"),
        ("package.version | parts(2, '')", "12"),
        ("package.full-version | mangle", "1_2_3_r4"),
        ("package.full-version | mangle('')", "123r4"),
        ("package.version | regex_replace('^(\\\\d+)\\\\.(\\\\d+).*', '$2-$1')", "2-1"),
        ("'new' if package.version is at_least('1.2.3') else 'old'", "new"),
        ("'new' if package.version is at_least('1.10') else 'old'", "old"),
        ("'old' if package.version is below('1.10') else 'new'", "old"),
        ("package.name | upper | replace('L', 'l')", "HEllO"),
        ("package.version.split('.') | last", "3"),
        ("package.version | split('.') | join('/')", "1/2/3"),
        ("'yes' if package.version is matching('^1\\\\.') else 'no'", "yes"),
        ("package.name.startswith('he')", "true"),
        ("vars.none | default('other')", "other"),
        ("range.key | default('none')", "none"),
        ("[1, 'a'] | tojson", '[1, "a"]'),
        ("'1.2.3' | replace('.', '-', 1)", "1-2.3"),
        ("1.25 | round(1) ~ ' ' ~ (10 | round(-1000000000))", "1.2 0"),
        ("[1, 2.5] | sum", "3.5"),
    ],
)
def test_filters_and_tests(expression: str, value: str) -> None:
    found = plan("pipeline:\n  - runs: |\n      echo [${{ " + expression + " }}]\n")
    assert found.packages[0].steps[0].script == f"echo [{value}]\n"


@pytest.mark.parametrize(
    "expression",
    [
        "[1, 2] | random",
        "[1, 2] | map('string')",
        "[1, 2]",
        "'x'.upper",
        "'x'.encode()",
        "'x'.format(1)",
        "'x'.zfill(1000000000)",
        "'%9d' | format(1)",
        "'x' | center(1000000000)",
        "[1] | batch(1000000000, 0) | list | length",
        "none",
        "package",
        "{'a': 1}.items()",
        "'abc' | list | map(attribute='__class__') | join",
        "range(3) | join",
        "'x' * 2000 ~ " + "'x' ~ " * 1000 + "'x'",
        "'\"'" + " | tojson" * 40,
        "('a.' * 100000) | mangle('b' * 100000)",
        "('a.' * 100000) | parts(100000, 'b' * 100000)",
        "('a' * 100000) | regex_replace('', 'b' * 100000)",
        "('a' * 100000) | list | map('replace', 'a', 'b' * 100000) | list",
        "('a' * 100000) | list | map('list') | sum(start=[])",
        "(9 ** 999) * (9 ** 999) // (7 ** 999)",
        "['a'] * 500000 + ['b'] * 500000",
    ],
)
def test_expressions_are_values_the_same_every_time(expression: str) -> None:
    with pytest.raises(FaultsError):
        plan("pipeline:\n  - runs: |\n      echo ${{ " + expression + " }}\n")


@pytest.mark.parametrize(
    "expression",
    ["9 ** (9 ** 9)", "2 ** 9999999", "'a' * 10 ** 7", "10 ** 7 * 'a'", "[1] * 10 ** 8", "'%1000000000d' % 1"],
)
def test_operators_make_nothing_huge(expression: str) -> None:
    with pytest.raises(FaultsError) as caught:
        plan("pipeline:\n  - runs: |\n      echo ${{ " + expression + " }}\n")
    assert "failed: " in caught.value.faults[0].message


def test_small_arithmetic() -> None:
    found = plan("pipeline:\n  - runs: echo ${{ 2 ** 10 + 7 % 4 }} ${{ 'ab' * 2 }}\n")
    assert found.packages[0].steps[0].script == "echo 1027 abab"
