"""Jinja as recipes see it: in a sandbox, strict about names, the same every time, and bounded in what it can make.

Values are texts, numbers, truths, and lists of them; they have no attributes, and texts a few methods. Of Jinja's
filters those are left out that are random, show addresses, or make much out of little.

Imported only where there is an expression: Jinja takes 60 ms.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.nodes
import jinja2.sandbox
from jinja2.runtime import LoopContext

from melpy.plan.filter import FILTERS, LONGEST, TESTS, weigh

if TYPE_CHECKING:
    from collections.abc import Callable

_JINJA_FILTERS = """abs capitalize count d default first float int items last length list lower map max min reject
    rejectattr reverse select selectattr sort string title trim truncate unique upper urlencode wordcount""".split()
_MOST = 4 * LONGEST  # that all filters of an expression make together
_LARGEST = 4_096  # bits of a number
_DEEPEST = 60  # what is within what; each level is a parenthesis, for which CPython's parser takes twice as long


_METHODS = """count endswith find isdigit lower lstrip partition removeprefix removesuffix rpartition rsplit rstrip
    split startswith strip title upper""".split()  # of texts; none makes much out of little


class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """A sandbox whose operators cannot make more than fits, and whose values are nothing but values."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})
    spent = 0
    """What filters made since it was last set to 0."""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # whatever an expression holds
        """Refuse what would be too large, before it is made."""
        if operator == "%" and isinstance(left, str):
            raise ValueError("texts have no operator %")
        if operator == "*":
            many, times = (left, right) if isinstance(right, int) else (right, left)
            if isinstance(many, str | list | tuple) and isinstance(times, int) and weigh(many) * times > LONGEST:
                raise ValueError("the result would be too long")
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _LARGEST:
                raise ValueError("the result would be too large")
        elif operator == "+" and weigh(left) + weigh(right) > LONGEST:
            raise ValueError("the result would be too long")
        return super().call_binop(context, operator, left, right)

    def _generate(self, source: jinja2.nodes.Template, *arguments: Any, **named: Any) -> str:
        """Return the Python that a template becomes, unless Python would take minutes for it: it nests too deep."""
        level: list[jinja2.nodes.Node] = [source]
        for _ in range(_DEEPEST):
            level = [child for node in level for child in node.iter_child_nodes()]
            if not level:
                return super()._generate(source, *arguments, **named)
        raise jinja2.TemplateSyntaxError("nests too deep", 1)

    def charge(self, value: Any) -> Any:  # likewise
        """Count what a filter made, and return it.

        Raises:
            ValueError: it is too much, or all together is.
        """
        weight = weigh(value)
        self.spent += weight
        if weight > LONGEST or self.spent > _MOST:
            raise ValueError("the result would be too long")
        return value

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


def _charged(function: Callable[..., Any], environment: Environment) -> Callable[..., Any]:
    """Return a filter that the environment is charged for."""

    @functools.wraps(function)  # Jinja's marks of what a filter is to be given are among what is taken over
    def charged(*arguments: Any, **named: Any) -> Any:
        return environment.charge(function(*arguments, **named))

    return charged


def make_environment() -> Environment:
    """Return the environment of expressions and queries: filters and tests of Jinja and melpy, no functions."""
    environment = Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals.clear()
    chosen = {name: environment.filters[name] for name in _JINJA_FILTERS} | FILTERS
    environment.filters = {name: _charged(one, environment) for name, one in chosen.items()}
    environment.tests |= TESTS
    return environment
