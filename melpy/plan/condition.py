"""Conditions: the `if` of steps and subpackages.

    expression := value ("==" | "!=") value, joined by && and || (same precedence, from the left), parentheses
    value      := '…' | "…" | ${{name}}

Quoted text may hold references, so that both of melange's ways to write a comparison mean the same here:
`'${{vars.x}}' == 'a'` and `${{vars.x}} == 'a'`. Everything is parsed, even what is not decisive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.errors import FaultsError, RecipeError, TemplateError
from melpy.plan.template import Spot, render

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPACE = re.compile(r"[ \t\r\n]*")
_BLANKS = re.compile(r"\s+")
_MANY_FAULTS = 20  # more say nothing new
_ESCAPES = {"\\\\": "\\", "\\'": "'", '\\"': '"', "\\n": "\n", "\\t": "\t"}
_ESCAPE = re.compile(r"\\[\\'\"nt]")
_MAX_DEPTH = 50  # parentheses within parentheses
_HINT = "write a condition as ${{build.arch}} == 'x86_64', joined by && and ||"


def evaluate_condition(text: str, variables: Mapping[str, str], spot: Spot) -> bool:
    """Tell whether a condition holds; an empty one does.

    Raises:
        UndefinedVariableError: it names something that does not exist.
        TemplateError: it does not parse.
        FaultsError: several of these.
    """
    if not text.strip():
        return True
    parser = _Parser(text, variables, spot)
    value = parser.expression()
    if parser.position < len(text):
        raise parser.fault("unexpected text after the condition")
    if parser.faults:
        raise FaultsError(parser.faults) if len(parser.faults) > 1 else parser.faults[0]
    return value


@dataclass
class _Parser:
    text: str
    variables: Mapping[str, str]
    spot: Spot
    position: int = 0
    depth: int = 0
    faults: list[RecipeError] = field(default_factory=list)

    def expression(self) -> bool:
        value = self.atom()
        while operator := self.accept("&&", "||"):
            right = self.atom()
            value = (value and right) if operator == "&&" else (value or right)
        return value

    def atom(self) -> bool:
        if self.accept("("):
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise self.fault("parentheses nest too deep")
            value = self.expression()
            self.depth -= 1
            if not self.accept(")"):
                raise self.fault("expected `)`")
            return value
        left = self.value()
        operator = self.accept("==", "!=")
        if not operator:
            raise self.fault("expected `==` or `!=`")
        right = self.value()
        return (left == right) == (operator == "==")

    def value(self) -> str:
        self.skip_space()
        start = self.position
        if self.text.startswith("${{", start):
            return self._reference(start)
        quote = self.text[start : start + 1]
        if quote not in {"'", '"'} or not quote:
            raise self.fault("expected a quoted text or ${{a variable}}")
        end = self._closing_quote(start, quote)
        self.position = end + 1
        self.skip_space()
        inner = _ESCAPE.sub(lambda match: _ESCAPES[match[0]], self.text[start + 1 : end])
        return self._render(inner, start + 1)

    def _reference(self, start: int) -> str:
        end = self.text.find("}}", start + 3)
        if end < 0:
            raise self.fault("`${{` is not closed")
        self.position = end + 2
        self.skip_space()
        return self._render(_BLANKS.sub(_joined, self.text[start : end + 2]), start)

    def _render(self, text: str, start: int) -> str:
        """Render what begins at a position; go on after a fault, so that all are reported."""
        if len(self.faults) >= _MANY_FAULTS:
            return ""
        try:
            return render(text, self.variables, self.spot.within(self.text, start))
        except RecipeError as error:
            found = error.faults if isinstance(error, FaultsError) else (error,)
            self.faults += found[: _MANY_FAULTS - len(self.faults)]
            return ""

    def _closing_quote(self, start: int, quote: str) -> int:
        position = start + 1
        while position < len(self.text):
            if self.text[position] == "\\":
                position += 1
            elif self.text[position] == quote:
                return position
            position += 1
        raise self.fault("the quote is not closed")

    def accept(self, *tokens: str) -> str:
        self.skip_space()
        for token in tokens:
            if self.text.startswith(token, self.position):
                self.position += len(token)
                self.skip_space()
                return token
        return ""

    def skip_space(self) -> None:
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def fault(self, message: str) -> RecipeError:
        return self.spot.at(self.text, self.position, TemplateError, message, _HINT)


def _joined(blanks: re.Match[str]) -> str:
    """Return blanks as they are, or one for what goes over the end of a line."""
    return " " if "\n" in blanks[0] or "\r" in blanks[0] else blanks[0]
