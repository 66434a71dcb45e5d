"""Conditions."""

from __future__ import annotations

import pytest

from melpy.errors import TemplateError, UndefinedVariableError
from melpy.plan.condition import evaluate_condition
from melpy.plan.template import Spot
from melpy.recipe.document import parse_document

SPOT = Spot(parse_document("if: x\n", "x.yaml"), ("if",))
VARIABLES = {"foo.bar": "baz", "build.arch": "x86_64", "vars.quote": "it's", "vars.double": 'a"b', "vars.empty": ""}


def holds(text: str) -> bool:
    return evaluate_condition(text, VARIABLES, SPOT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (" \n", True),
        ("'foo' == 'foo'", True),
        ("'foo' != 'foo'", False),
        ("'foo'=='foo'", True),
        ("\t'foo'\n==\r'foo' ", True),
        ("'rabbit' == 'rabbit' && 'hare' == 'hare' && 'rabbit' != 'hare'", True),
        ("('rabbit' == 'rabbit' && 'hare' != 'hare') || 'lagomorph' == 'lagomorph'", True),
        ("'rabbit' == 'rabbit' && ('hare' != 'hare' || 'a' == 'b')", False),
        ("((('a' == 'a')))", True),
        ("${{foo.bar}} == 'baz'", True),
        ("'baz' == ${{ foo.bar }}", True),
        ("${{\tfoo.bar\t}} == 'baz'", True),
        ("${{\n  foo.bar\n}} == 'baz'", True),
        ("'${{foo.bar}}' == 'baz'", True),
        ('"${{foo.bar}}" == "baz"', True),
        ("'x-${{foo.bar}}' == 'x-baz'", True),
        ("${{foo.bar}} == ${{build.arch}}", False),
        ("${{vars.empty}} == ''", True),
        ('${{vars.quote}} == "it\'s"', True),
        ("'${{vars.quote}}' == \"it's\"", True),
        ("${{vars.double}} == 'a\"b'", True),
        ('"hello \\"world\\"" == "hello \\"world\\""', True),
        (r"'it\'s' == 'it\'s'", True),
        (r"'it\'s' == " + '"it\'s"', True),
        (r'"a\\b" == "a\\b"', True),
        (r'"a\\b" == "ab"', False),
        (r"'\n' == '" + "\n'", True),
        (r"'\q' == '\\q'", True),
        ("'a == b' == 'a == b'", True),
        ("'${{foo.bar | upper}}' == 'BAZ'", True),
        ("${{foo.bar | upper}} == 'BAZ'", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_and_binds_no_stronger_than_or() -> None:
    assert holds("'a' == 'a' || 'x' == 'y' && 'p' == 'q'") is False


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("'foo' == ", "expected a quoted text", 10),
        ("foo == 'foo'", "expected a quoted text", 1),
        ("'foo'", "expected `==` or `!=`", 6),
        ("'foo' = 'foo'", "expected `==` or `!=`", 7),
        ("'a' == 'a' garbage", "unexpected text after the condition", 12),
        ("'a' == 'a')", "unexpected text after the condition", 11),
        ("!('a' == 'b')", "expected a quoted text", 1),
        ("'a' == 'b' &&", "expected a quoted text", 14),
        ("'a' == 'b' || ", "expected a quoted text", 15),
        ("('a' == 'b'", r"expected `\)`", 12),
        ("()", "expected a quoted text", 2),
        ("'foo", "the quote is not closed", 1),
        ("'foo' == \"foo'", "the quote is not closed", 10),
        ("'foo\\'", "the quote is not closed", 1),
        ("${{foo.bar} == 'baz'", "is not closed", 1),
        ("true", "expected a quoted text", 1),
        ("1 == 1", "expected a quoted text", 1),
        ("${{foo.bar}}", "expected `==` or `!=`", 13),
        ("'a' == 'a' || foo", "expected a quoted text", 15),
        ("'a' == 'b' && foo", "expected a quoted text", 15),
    ],
)
def test_errors_say_where(text: str, message: str, column: int) -> None:
    block = "if: |-\n  " + text
    document = parse_document(block, "x.yaml")
    assert isinstance(document.data, dict)
    with pytest.raises(TemplateError, match=message) as caught:
        evaluate_condition(text, VARIABLES, Spot(document, ("if",)))
    assert str(caught.value.where) == f"x.yaml:2:{column + 2}"


@pytest.mark.parametrize("text", ["${{foo.baz}} == 'a'", "'${{foo.baz}}' == 'a'", "'a' == 'a' || ${{foo.baz}} == 'a'"])
def test_what_is_undefined_is_an_error_even_where_it_does_not_decide(text: str) -> None:
    with pytest.raises(UndefinedVariableError, match=r"undefined variable 'foo\.baz'") as caught:
        holds(text)
    assert caught.value.hint == "did you mean 'foo.bar'?"
