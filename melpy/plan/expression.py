"""Jinja as recipes see it: in a sandbox, strict about names, and bounded in what one operator can make.

Imported only where there is an expression: Jinja takes 60 ms.
"""

from __future__ import annotations

from typing import Any

import jinja2
import jinja2.sandbox

from melpy.plan.filter import FILTERS, TESTS

_LONGEST = 1_000_000
"""How long a text that an operator makes may be, and how large a number may be in bits."""


class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """A sandbox whose operators cannot make more than fits."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # whatever an expression holds
        """Refuse what would be too large, before it is made."""
        if operator == "%" and isinstance(left, str):
            raise ValueError("texts have no operator %")
        if operator == "*":
            text, times = (left, right) if isinstance(right, int) else (right, left)
            if isinstance(text, str | list | tuple) and isinstance(times, int) and len(text) * times > _LONGEST:
                raise ValueError("the result would be too long")
        whole = isinstance(left, int) and isinstance(right, int)
        if operator == "**" and whole and left.bit_length() * abs(right) > _LONGEST:
            raise ValueError("the result would be too large")
        return super().call_binop(context, operator, left, right)


def make_environment() -> Environment:
    """Return the environment of expressions and queries: Jinja's filters and tests and melpy's, no functions."""
    environment = Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters |= FILTERS
    environment.tests |= TESTS
    return environment
