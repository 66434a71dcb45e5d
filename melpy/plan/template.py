"""`${{ … }}` in strings.

Text outside the braces never reaches Jinja, so that shell and Go templates stay as they are. Inside, a plain dotted
name is looked up; anything richer is a Jinja expression, in a sandbox, where undefined names are errors. Names may
have hyphens: after a known root, `vars.major-version` is one name, `vars.a - 1` a subtraction.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.errors import RecipeError, TemplateError, UndefinedVariableError, find_near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from melpy.recipe.document import Document
    from melpy.recipe.document import Path as DocumentPath

REFERENCE = re.compile(r"\$\{\{(.*?)\}\}")
"""One reference; it does not cross lines, so an unterminated one cannot swallow text."""

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)\s*")
_ROOTS = "package|vars|range|context|subpkg|targets|host|cross|build|options|inputs"
_PATH = re.compile(rf"(?<![\w.\"'])(?P<root>{_ROOTS})(?P<rest>(?:\.[A-Za-z0-9_-]+)+)")
_STRINGS = re.compile(r"(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')")


@dataclass(frozen=True)
class Spot:
    """A string of a document: what error messages point into."""

    document: Document
    path: DocumentPath

    def at(self, text: str, offset: int, error: type[RecipeError], message: str, hint: str | None) -> RecipeError:
        """Return an error about the character at `offset` of the string's text."""
        place = self.document.place(self.path, offset=offset, text=text)
        return error(message, where=place, hint=hint, details=self.document.excerpt(place))

    def below(self, *parts: str | int) -> Spot:
        """Return the spot of a part of this value."""
        return Spot(self.document, (*self.path, *parts))


def render(text: str, variables: Mapping[str, str], spot: Spot) -> str:
    """Return `text` with every reference replaced by its value.

    Raises:
        UndefinedVariableError: a reference names nothing.
        TemplateError: a reference is empty, unterminated or no expression.
    """
    if "${{" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        return evaluate(
            match[1], variables, lambda kind, message, hint: spot.at(text, match.start(), kind, message, hint)
        )

    rendered = REFERENCE.sub(replace, text)
    _check_terminated(text, spot)
    return rendered


def render_loosely(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with the references that can be replaced replaced; others stay as they are.

    For prose such as descriptions, where melange leaves what it does not know.
    """

    def replace(match: re.Match[str]) -> str:
        try:
            return evaluate(match[1], variables, lambda kind, message, hint: kind(message, hint=hint))
        except RecipeError:
            return match[0]

    return REFERENCE.sub(replace, text) if "${{" in text else text


def _check_terminated(text: str, spot: Spot) -> None:
    for match in re.finditer(r"\$\{\{", text):
        if not REFERENCE.match(text, match.start()):
            raise spot.at(text, match.start(), TemplateError, "`${{` is not closed on its line", "close it with `}}`")


def evaluate(
    body: str, variables: Mapping[str, str], fail: Callable[[type[RecipeError], str, str | None], RecipeError]
) -> str:
    """Return the value of what stands between the braces.

    Args:
        body: the text between `${{` and `}}`.
        variables: values by full name.
        fail: makes the error for a class, a message and a hint.
    """
    plain = _NAME.fullmatch(body)
    if plain:
        value = variables.get(plain[1])
        if value is None:
            raise _undefined(plain[1], variables, fail)
        return value
    if not body.strip():
        raise fail(TemplateError, "empty reference `${{}}`", "name a variable, such as ${{package.version}}")
    return _evaluate_expression(body, variables, fail)


def _undefined(
    name: str, variables: Mapping[str, str], fail: Callable[[type[RecipeError], str, str | None], RecipeError]
) -> RecipeError:
    near = find_near(name, variables)
    root = name.partition(".")[0]
    known = sorted(known for known in variables if known.partition(".")[0] == root)
    hint = f"did you mean {near!r}?" if near else f"known here are {', '.join(known)}" if known else None
    return fail(UndefinedVariableError, f"undefined variable {name!r}", hint)


def _evaluate_expression(
    body: str, variables: Mapping[str, str], fail: Callable[[type[RecipeError], str, str | None], RecipeError]
) -> str:
    import jinja2  # noqa: PLC0415  # plain names, which are nearly all, need no Jinja: 60 ms at start

    try:
        value = _expression(body)(**_namespaces(variables))
        text = str(value)  # what is undefined raises here
    except jinja2.UndefinedError as error:
        unknown = [match[0] for match in _PATH.finditer(body) if match[0] not in variables]
        if unknown:
            raise _undefined(unknown[0], variables, fail) from None
        raise fail(UndefinedVariableError, f"undefined variable in `{body.strip()}`: {error.message}", None) from None
    except jinja2.TemplateSyntaxError as error:
        raise fail(TemplateError, f"not an expression: `{body.strip()}`: {error.message}", None) from None
    except Exception as error:  # a filter may raise anything
        raise fail(TemplateError, f"`{body.strip()}` failed: {error}", None) from None
    if isinstance(value, bool):
        return "true" if value else "false"
    return text


@functools.lru_cache(maxsize=4096)
def _expression(body: str) -> Callable[..., object]:
    pieces = _STRINGS.split(body)
    # Even pieces stand outside string literals.
    pieces[::2] = [_PATH.sub(_subscripts, piece.replace("&&", " and ").replace("||", " or ")) for piece in pieces[::2]]
    compiled: Callable[..., object] = _environment().compile_expression(
        "".join(pieces).strip(), undefined_to_none=False
    )
    return compiled


def _subscripts(match: re.Match[str]) -> str:
    return match["root"] + "".join(f'["{part}"]' for part in match["rest"][1:].split("."))


@functools.cache
def _environment() -> jinja2.Environment:  # type: ignore[name-defined]  # noqa: F821  # imported when needed
    import jinja2.sandbox  # noqa: PLC0415  # see _evaluate_expression

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    environment.globals.clear()
    return environment


class _Namespace:
    """Variables below a prefix; only subscripts, so that no method of a dict shadows a name."""

    def __init__(self, variables: Mapping[str, str], prefix: str) -> None:
        self._variables = variables
        self._prefix = prefix

    def __getitem__(self, name: str) -> object:
        full = f"{self._prefix}.{name}"
        if full in self._variables:
            return self._variables[full]
        if any(known.startswith(f"{full}.") for known in self._variables):
            return _Namespace(self._variables, full)
        raise KeyError(full)

    def __str__(self) -> str:
        raise TypeError(f"{self._prefix!r} is no value, it holds several")


def _namespaces(variables: Mapping[str, str]) -> dict[str, _Namespace]:
    roots = {name.partition(".")[0] for name in variables}
    return {root: _Namespace(variables, root) for root in roots}
