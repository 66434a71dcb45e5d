"""Jinja as recipes see it: in a sandbox, strict about names, the same every time, and bounded in what it can make.

Values are texts, numbers, truths, and lists of them; they have no attributes, and texts a few methods. Of Jinja's
filters those are left out that are random, show addresses, or make much out of little.

Imported only where there is an expression: Jinja takes 60 ms.
"""

from __future__ import annotations

from typing import Any

import jinja2
import jinja2.sandbox
from jinja2.runtime import LoopContext

from melpy.plan.filter import FILTERS, LONGEST, TESTS, weigh

_JINJA_FILTERS = """abs capitalize count d default first float int items last length list lower map max min reject
    rejectattr reverse round select selectattr sort string sum title trim truncate unique upper urlencode
    wordcount""".split()


_METHODS = """count endswith find isdigit lower lstrip partition removeprefix removesuffix rpartition rsplit rstrip
    split startswith strip title upper""".split()  # of texts; none makes much out of little


class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """A sandbox whose operators cannot make more than fits, and whose values are nothing but values."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # whatever an expression holds
        """Refuse what would be too large, before it is made."""
        if operator == "%" and isinstance(left, str):
            raise ValueError("texts have no operator %")
        if operator == "*":
            many, times = (left, right) if isinstance(right, int) else (right, left)
            if isinstance(many, str | list | tuple) and isinstance(times, int) and weigh(many) * times > LONGEST:
                raise ValueError("the result would be too long")
        whole = isinstance(left, int) and isinstance(right, int)
        if operator == "**" and whole and left.bit_length() * abs(right) > LONGEST:
            raise ValueError("the result would be too large")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:  # likewise
        """Return what is inside a value under a name, never an attribute of the value itself."""
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # likewise
        """Return what is inside a value, never an attribute of the value itself."""
        try:
            return obj[argument]
        except (LookupError, TypeError, AttributeError):
            if isinstance(obj, str) and argument in _METHODS:
                return getattr(obj, argument)
            return self.undefined(obj=obj, name=argument)


def make_environment() -> Environment:
    """Return the environment of expressions and queries: filters and tests of Jinja and melpy, no functions."""
    environment = Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _JINJA_FILTERS} | FILTERS
    environment.tests |= TESTS
    return environment
