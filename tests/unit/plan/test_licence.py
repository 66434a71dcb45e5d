"""Licence expressions, by SPDX 2.3, annex D."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing

from melpy.arch import parse_arch
from melpy.plan.library import Library
from melpy.plan.licence import combine_licences, parse_licence
from melpy.plan.model import Licence
from melpy.plan.planner import examine_recipe
from tests.factories.recipe import recipe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("MIT AND LicenseRef-own", "MIT AND LicenseRef-own"),
        ("LicenseRef-own.1 OR licenseref-other", "LicenseRef-own.1 OR LicenseRef-other"),
        ("DocumentRef-tool:LicenseRef-own AND MIT", "LicenseRef-tool-own AND MIT"),
        ("MIT and (Apache-2.0 or ISC)", "MIT AND (Apache-2.0 OR ISC)"),
        ("( GPL-2.0-only OR GPL-3.0-only )  AND\n MIT", "(GPL-2.0-only OR GPL-3.0-only) AND MIT"),
        ("((MIT))", "((MIT))"),
        ("MIT AND ISC OR Zlib", "MIT AND ISC OR Zlib"),
        ("EUPL-1.1+ OR GPL-2.0+", "EUPL-1.1+ OR GPL-2.0+"),
        ("GPL-2.0", "GPL-2.0"),
        ("GPL-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("LicenseRef-own WITH LLVM-exception", "LicenseRef-own WITH LLVM-exception"),
        ("MIT AND PROPRIETARY", "MIT AND LicenseRef-PROPRIETARY"),
        ("Custom_licence OR MIT", "LicenseRef-Custom-licence OR MIT"),
        ("MIT OR Apache-2.0 WITH own-exception", "MIT OR LicenseRef-Apache-2.0-WITH-own-exception"),
        ("NONE", "NONE"),
        ("noassertion", "NOASSERTION"),
        ("MIT AND NONE", "MIT AND LicenseRef-NONE"),
        ("", ""),
        (" ", ""),
    ],
)
def test_what_is_known_stays_and_the_rest_becomes_a_reference(text: str, expected: str) -> None:
    found = parse_licence(text)
    assert found.text == expected
    assert not any(problem.fatal for problem in found.problems)
    assert {name for name, _ in found.references} == set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", expected))


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("GPL-2.0 AND", 10, "ends after 'AND'"),
        ("GPL v2", 4, "expected AND, OR or WITH, found 'v2'"),
        ("AND MIT", 0, "expected a licence, found 'AND'"),
        ("MIT OR AND ISC", 7, "expected a licence, found 'AND'"),
        ("(MIT OR ISC", 0, "this parenthesis is not closed"),
        ("MIT)", 3, "expected AND, OR or WITH, found ')'"),
        ("()", 1, "expected a licence, found ')'"),
        ("MIT, ISC", 0, "not a licence id: 'MIT,'"),
        ("MIT/X11", 0, "not a licence id: 'MIT/X11'"),
        ("(MIT) WITH LLVM-exception", 6, "WITH stands after one licence and before one exception"),
        ("MIT WITH", 4, "WITH stands after one licence and before one exception"),
    ],
)
def test_what_is_no_expression_is_fatal_where_it_ends_being_one(text: str, offset: int, message: str) -> None:
    (problem,) = parse_licence(text).problems
    assert (problem.offset, problem.message, problem.fatal) == (offset, message, True)
    assert re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", parse_licence(text).text)


@pytest.mark.parametrize(
    ("text", "offset", "hint"),
    [
        ("MIT OR Apache2", 7, "did you mean 'Apache-2.0'?"),
        ("BSD", 0, "ids that begin so are BSD-4.3RENO, BSD-1-Clause, BSD-2-Clause, BSD-3-Clause"),
        ("MIT AND PROPRIETARY", 8, "for a licence of one's own, write LicenseRef-PROPRIETARY"),
        ("GPL-2.0", 0, "write GPL-2.0-only or GPL-2.0-or-later"),
        ("LGPL-2.1+", 0, "write LGPL-2.1-or-later"),
        ("GPL-2.0-with-classpath-exception", 0, "write GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GPL-2.0-only WITH Classpath", 18, "ids that begin so are Classpath-exception-2.0"),
        ("Classpath-exception-2.0", 0, "an exception stands after WITH"),
        ("MIT WITH ISC", 9, "a licence does not stand after WITH"),
    ],
)
def test_unknown_and_deprecated_ids_are_warned_about(text: str, offset: int, hint: str) -> None:
    (problem,) = parse_licence(text).problems
    assert (problem.offset, problem.hint, problem.fatal) == (offset, hint, False)


@pytest.mark.parametrize("text", ["MIT", "LicenseRef-own", "GPL-2.0-or-later", "MIT+", "NONE", "Net-SNMP", "xfig"])
def test_nothing_is_said_of_what_is_right(text: str) -> None:
    assert not parse_licence(text).problems


def test_several_entries_hold_together() -> None:
    assert combine_licences([Licence("MIT OR ISC")]) == "MIT OR ISC"
    assert combine_licences([Licence("MIT OR ISC"), Licence(""), Licence("Zlib")]) == "(MIT OR ISC) AND Zlib"
    assert combine_licences([Licence("(MIT OR ISC) AND Zlib"), Licence("Zlib")]) == "(MIT OR ISC) AND Zlib AND Zlib"
    assert combine_licences([Licence("NOASSERTION"), Licence("")]) == "NOASSERTION"
    assert combine_licences([Licence("NOASSERTION"), Licence("MIT")]) == "LicenseRef-NOASSERTION AND MIT"
    assert combine_licences([]) == ""


@given(
    st.lists(st.sampled_from("MIT ISC own GPL-2.0+ LicenseRef-x foo_bar LLVM-exception AND OR WITH ( ) , +".split()))
)
def test_the_library_reads_what_comes_out(words: list[str]) -> None:
    found = parse_licence(" ".join(words))
    if found.text:
        left = get_spdx_licensing().unknown_license_keys(found.text)
        assert {key.removesuffix("+") for key in left} <= {"MIT", "ISC", *(name for name, _ in found.references)}


def warnings(licence: str) -> tuple[list[str], list[str]]:
    text = f"package:\n  name: a\n  version: 1\n  epoch: 0\n  copyright:\n    - license: {licence}\n"
    _, faults = examine_recipe(recipe(text), parse_arch("x86_64"), Library())
    return [str(fault) for fault in faults.found], [str(fault) for fault in faults.warnings]


def test_a_recipe_is_complained_of_at_the_place() -> None:
    assert warnings("GPL-2.0 AND") == (["hello.yaml:6:26: ends after 'AND'"], [])
    assert warnings("GPL v2") == (["hello.yaml:6:20: expected AND, OR or WITH, found 'v2'"], [])
    assert warnings("MIT OR Apache2") == ([], ["hello.yaml:6:23: SPDX knows no licence 'Apache2'"])
    assert warnings("MIT OR ${{package.name}}") == ([], ["hello.yaml:6:16: SPDX knows no licence 'a'"])
    assert warnings("") == ([], ["hello.yaml:1:1: names no licence"])
    assert warnings("MIT") == ([], [])
