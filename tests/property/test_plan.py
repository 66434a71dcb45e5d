"""Laws of templates, conditions, substitution and documents."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml
from hypothesis import given
from hypothesis import strategies as st

from melpy.errors import RecipeError
from melpy.plan.condition import evaluate_condition
from melpy.plan.substitution import replace_all
from melpy.plan.template import Spot, render, render_loosely
from melpy.recipe.document import parse_document

SPOT = Spot(parse_document("a: b\n", "x.yaml"), ("a",))
VARIABLES = {"vars.a": "a", "vars.b-c": 'it\'s "quoted" \\', "build.arch": "x86_64", "vars.empty": ""}


@dataclass(frozen=True)
class Expression:
    """A condition as it is written, and what it should mean."""

    text: str
    value: bool


def _quoted(text: str, quote: str) -> str:
    for plain, escaped in (("\\", "\\\\"), (quote, "\\" + quote), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return quote + text + quote


SPACE = st.text(" \t\r\n", max_size=2)
LITERAL = st.tuples(st.text("ab'\"\\ \n\t&|()=$", max_size=4), st.sampled_from("'\"")).map(
    lambda pair: (_quoted(*pair), pair[0])
)
REFERENCE = st.tuples(st.sampled_from(sorted(VARIABLES)), SPACE).map(
    lambda pair: ("${{" + pair[1] + pair[0] + pair[1] + "}}", VARIABLES[pair[0]])
)
VALUE = st.one_of(LITERAL, REFERENCE)


@st.composite
def _comparison(draw: st.DrawFn) -> Expression:
    left, right = draw(VALUE), draw(VALUE)
    operator, space = draw(st.sampled_from(["==", "!="])), draw(SPACE)
    return Expression(
        f"{space}{left[0]}{space}{operator}{space}{right[0]}{space}", (left[1] == right[1]) == (operator == "==")
    )


@st.composite
def _chain(draw: st.DrawFn, inner: st.SearchStrategy[Expression]) -> Expression:
    first, *rest = draw(st.lists(inner, min_size=1, max_size=4))
    text, value = f"({first.text})", first.value
    for item in rest:
        operator = draw(st.sampled_from(["&&", "||"]))
        text += f"{operator}({item.text})"
        value = (value and item.value) if operator == "&&" else (value or item.value)
    return Expression(text, value)


@st.composite
def _flat(draw: st.DrawFn) -> Expression:
    first, *rest = draw(st.lists(_comparison(), min_size=1, max_size=4))
    text, value = first.text, first.value
    for item in rest:
        operator = draw(st.sampled_from(["&&", "||"]))
        text += operator + item.text
        value = (value and item.value) if operator == "&&" else (value or item.value)
    return Expression(text, value)


EXPRESSION = st.recursive(st.one_of(_comparison(), _flat()), _chain, max_leaves=8)


@given(EXPRESSION)
def test_conditions_mean_what_they_say(expression: Expression) -> None:
    assert evaluate_condition(expression.text, VARIABLES, SPOT) is expression.value


@given(st.text("ab'\"=!&|(){}$ .\\", max_size=20))
def test_any_condition_is_true_false_or_a_fault(text: str) -> None:
    try:
        assert evaluate_condition(text, VARIABLES, SPOT) in {True, False}
    except RecipeError as error:
        assert error.where is not None  # noqa: PT017  # either outcome is fine


@given(st.text())
def test_text_without_references_is_left_alone(text: str) -> None:
    if "${{" not in text:
        assert render(text, {}, SPOT) == text == render_loosely(text, {})


@given(
    st.lists(st.one_of(st.sampled_from(sorted(VARIABLES)), st.text("ab {}$#%\n", max_size=5).map(lambda t: " " + t)))
)
def test_references_are_replaced_and_nothing_else(parts: list[str]) -> None:
    expected = [VARIABLES.get(part, part) for part in parts]
    written = ["${{" + part + "}}" if part in VARIABLES else part for part in parts]
    if all("${{" not in part for part in parts) and "$${{" not in "".join(written) and "${{{" not in "".join(written):
        assert render("".join(written), VARIABLES, SPOT) == "".join(expected)


@given(st.text("a.b1_|'\"()[]{}+-~ ", max_size=15))
def test_any_formula_has_a_value_or_a_fault(body: str) -> None:
    try:
        assert isinstance(render("${{" + body + "}}", VARIABLES, SPOT), str)
    except RecipeError as error:
        assert error.where is not None  # noqa: PT017  # either outcome is fine
    assert isinstance(render_loosely("${{" + body + "}}", VARIABLES), str)


@given(st.text("ab1.", max_size=8), st.text("ab1.", min_size=1, max_size=3), st.text("xy-", max_size=3))
def test_replacing_plain_text_is_pythons(text: str, pattern: str, replacement: str) -> None:
    assert replace_all(re.escape(pattern), replacement, text) == text.replace(pattern, replacement)


SCALAR = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufeff\u2028\u2029\ufffe\uffff")
)
DATA = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(SCALAR, inner, max_size=4)),
    max_leaves=12,
)


@given(DATA)
def test_documents_hold_what_was_written_and_know_where(data: object) -> None:
    text = yaml.safe_dump({"top": data}, allow_unicode=True, default_style='"', width=10_000)
    document = parse_document(text, "x.yaml")
    assert document.data == {"top": data}
    lines = text.splitlines()
    for mark in document.marks[0].values():
        assert 1 <= mark.line <= len(lines)
        assert 1 <= mark.column <= len(lines[mark.line - 1]) + 1
