"""`${{ … }}` in strings.

Text outside the braces never reaches Jinja, so that shell and Go templates stay as they are. Inside, a plain dotted
name is looked up; anything richer is a Jinja expression, in a sandbox, where undefined names are errors. Names may
have hyphens: after a known root, `vars.major-version` is one name, `vars.a - 1` a subtraction.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from melpy.errors import FaultsError, RecipeError, TemplateError, UndefinedVariableError, find_near
from melpy.recipe.document import is_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from melpy.plan.expression import Environment
    from melpy.recipe.document import Document
    from melpy.recipe.document import Path as DocumentPath

_NAME = re.compile(r"\s*+([A-Za-z0-9._-]++)\s*+\}\}")
_PLAIN = re.compile(r"\$\{\{\s*+([A-Za-z0-9._-]++)\s*+\}\}")

LONGEST = 4_000_000
"""How many characters a text may become; the largest real script has some ten thousand."""

_LONGEST_EXPRESSION = 2_000
_LONGEST_VALUE = 100_000  # of a variable in an expression; scripts are not what expressions are about
_MANY_FAULTS = 20  # of one text; more say nothing new
_MANY_EXPRESSIONS = 500  # of one text, beyond plain names: each takes a millisecond
_ROOT_NAMES = (
    "package",
    "vars",
    "range",
    "context",
    "subpkg",
    "targets",
    "host",
    "cross",
    "build",
    "options",
    "inputs",
)
_ROOTS = "|".join(_ROOT_NAMES)
_PATH = re.compile(rf"(?<![\w.\"'])(?P<root>{_ROOTS})(?P<rest>(?:\.[A-Za-z0-9_-]+)+)")
_SUBSCRIPT = re.compile(rf"(?<![\w.\"'])({_ROOTS})\[[\"']([^\"']+)[\"']\]")
_STRINGS = re.compile(r"(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')")


class Reference(NamedTuple):
    """One `${{…}}` in a text: a plain name, or anything else on one line, so that one left open cannot swallow text.

    Attributes:
        start, end: where it begins and ends.
        name: the plain name; empty for an expression.
        body: what is between the braces of an expression.
    """

    start: int
    end: int
    name: str = ""
    body: str = ""


def find_references(text: str) -> Iterator[Reference | int]:
    """Yield each reference of a text, or where one begins that is not closed, in linear time."""
    position = text.find("${{")
    closed = line_end = -1
    while position >= 0:
        start = position + 3
        # Both are looked for once, not anew for each reference.
        if 0 <= closed < start or closed == -1:
            closed = text.find("}}", start)
            closed = len(text) if closed < 0 else closed
        if line_end < start:
            line_end = text.find("\n", start)
            line_end = len(text) if line_end < 0 else line_end
        named = _NAME.match(text, start) if closed < len(text) else None
        if named:
            yield Reference(position, named.end(), name=named[1])
            start = named.end()
        elif closed < line_end:
            yield Reference(position, closed + 2, body=text[start:closed])
            start = closed + 2
        else:
            yield position
        position = text.find("${{", start)


def replace_references(text: str, replace: Callable[[Reference], str]) -> str:
    """Return a text with each reference replaced; what is not closed stays."""
    pieces: list[str] = []
    end = 0
    for reference in find_references(text):
        if isinstance(reference, Reference):
            pieces += [text[end : reference.start], replace(reference)]
            end = reference.end
    return "".join([*pieces, text[end:]])


class Spot(NamedTuple):
    """A string of a document: what error messages point into; a tuple, since so many are made.

    Attributes:
        document: the document.
        path: the string.
        whole: the string's text, where what is looked at is only a part of it.
        base: where in it that part begins.
    """

    document: Document
    path: DocumentPath
    whole: str = ""
    base: int = 0

    def at(self, text: str, offset: int, error: type[RecipeError], message: str, hint: str | None) -> RecipeError:
        """Return an error about the character at `offset` of the string's text."""
        if self.whole:
            text, offset = self.whole, self.base + offset
        place = self.document.place(self.path, offset=offset, text=text)
        return error(message, where=place, hint=hint, details=self.document.excerpt(place))

    def at_key(self, error: type[RecipeError], message: str, hint: str | None) -> RecipeError:
        """Return an error about the key in front of the value."""
        place = self.document.place(self.path, key=True)
        return error(message, where=place, hint=hint, details=self.document.excerpt(place))

    def below(self, *parts: str | int) -> Spot:
        """Return the spot of a part of this value."""
        return Spot(self.document, (*self.path, *parts)) if parts else self

    def within(self, whole: str, base: int) -> Spot:
        """Return the spot of what begins at `base` in the string, whose text is `whole`."""
        return Spot(self.document, self.path, whole, base)


def render(text: str, variables: Mapping[str, str], spot: Spot, *path: str | int) -> str:
    """Return `text` with every reference replaced by its value.

    Args:
        text: the text.
        variables: values by full name.
        spot: where the text stands, or something that it is a part of.
        path: the way from there to the text.

    Raises:
        UndefinedVariableError: a reference names nothing.
        TemplateError: a reference is empty, unterminated or no expression.
        FaultsError: several of these.
    """
    if "${{" not in text:
        return text
    names: list[str] = _PLAIN.findall(text)
    # Nearly all texts have plain names alone. To look at each reference took a quarter of the time of `melpy check`.
    if (
        len(names) == text.count("${{")
        and variables.keys() >= {*names}
        and sum(len(variables[name]) for name in names) <= LONGEST
    ):
        rendered = _PLAIN.sub(lambda match: variables[match[1]], text)
        if len(rendered) <= LONGEST and "\0" not in rendered:
            return rendered
    here = spot.below(*path)
    renderer = _Renderer(text, variables, here)
    rendered = renderer.render()
    if len(rendered) > LONGEST:
        raise here.at(text, 0, TemplateError, "expands to too much text", "values that hold values multiply")
    if "\0" in rendered:
        raise here.at(text, 0, TemplateError, "becomes a text with a NUL, which no file or program can hold", None)
    faults = renderer.faults
    if faults:
        raise FaultsError(faults) if len(faults) > 1 else faults[0]
    return rendered


@dataclass
class _Renderer:
    """Replaces the references of a text, and takes note of those that cannot be replaced."""

    text: str
    variables: Mapping[str, str]
    spot: Spot
    faults: list[RecipeError] = field(default_factory=list)
    expressions: int = 0
    size: int = 0

    def render(self) -> str:
        opened = [found for found in find_references(self.text) if isinstance(found, int)]
        rendered = replace_references(self.text, self._replace)
        for position in opened[: _MANY_FAULTS - len(self.faults)]:
            self._add(position, TemplateError("`${{` is not closed on its line", hint="close it with `}}`"))
        return rendered

    def _replace(self, reference: Reference) -> str:
        value = self.variables.get(reference.name) if reference.name else None
        if value is None:
            value = self._evaluate(reference)
        self.size += len(value)
        return value if self.size <= LONGEST else ""  # which is said at the end

    def _evaluate(self, reference: Reference) -> str:
        if len(self.faults) >= _MANY_FAULTS:
            return ""
        self.expressions += not reference.name
        try:
            if self.expressions > _MANY_EXPRESSIONS:
                raise TemplateError(f"has more than {_MANY_EXPRESSIONS} expressions", hint="compute values in `vars`")
            return _evaluate(reference, self.variables)
        except RecipeError as error:
            self._add(reference.start, error)
            self.expressions -= self.expressions > _MANY_EXPRESSIONS
            return ""

    def _add(self, position: int, error: RecipeError) -> None:
        self.faults.append(self.spot.at(self.text, position, type(error), error.message, error.hint))


def render_loosely(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with the references that can be replaced replaced; others stay as they are.

    For prose such as descriptions, where melange leaves what it does not know.
    """
    left = _MANY_EXPRESSIONS
    size = 0

    def replace(reference: Reference) -> str:
        nonlocal left, size
        whole = text[reference.start : reference.end]
        value = variables.get(reference.name)
        if value is None and not reference.name and left:
            left -= 1
            try:
                value = _evaluate(reference, variables)
            except RecipeError:
                value = None
        size += len(value or "")
        return whole if value is None or size > LONGEST or "\0" in value else value

    return replace_references(text, replace) if "${{" in text else text


def find_names(text: str) -> Iterator[str]:
    """Yield the names of variables that a text refers to."""
    if "${{" not in text:
        return
    for reference in find_references(text):
        if isinstance(reference, int):
            continue
        if reference.name:
            yield reference.name
        elif len(reference.body) <= _LONGEST_EXPRESSION:
            for piece in _STRINGS.split(reference.body)[::2]:
                yield from (path[0] for path in _PATH.finditer(piece))
            yield from (f"{found[1]}.{found[2]}" for found in _SUBSCRIPT.finditer(reference.body))


def _evaluate(reference: Reference, variables: Mapping[str, str]) -> str:
    """Return the value of one reference; errors have no place yet."""
    if reference.name:
        value = variables.get(reference.name)
        if value is None:
            raise _undefined(reference.name, variables)
        return value
    if not reference.body.strip():
        raise TemplateError("empty reference `${{}}`", hint="name a variable, such as ${{package.version}}")
    return _evaluate_expression(reference.body, variables)


def _undefined(name: str, variables: Mapping[str, str]) -> RecipeError:
    near = find_near(name, variables)
    root = name.partition(".")[0]
    known = sorted(known for known in variables if known.partition(".")[0] == root)
    unknown = "define it under `vars` or `var-transforms`" if root == "vars" else None
    hint = f"did you mean {near!r}?" if near else f"known here are {', '.join(known)}" if known else unknown
    return UndefinedVariableError(f"undefined variable {name!r}", hint=hint)


def _evaluate_expression(body: str, variables: Mapping[str, str]) -> str:
    import jinja2  # noqa: PLC0415  # plain names, which are nearly all, need no Jinja: 60 ms at start

    if len(body) > _LONGEST_EXPRESSION:
        raise TemplateError(f"the expression is longer than {_LONGEST_EXPRESSION} characters")
    try:
        _environment().spent = 0
        value = _expression(body)(**_namespaces(variables))
        text = str(value)  # what is undefined raises here, and a namespace
    except jinja2.UndefinedError as error:
        unknown = [match[0] for match in _PATH.finditer(body) if match[0] not in variables]
        if unknown:
            raise _undefined(unknown[0], variables) from None
        raise UndefinedVariableError(f"undefined variable in `{body.strip()}`: {error.message}") from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"not an expression: `{body.strip()}`: {error.message}") from None
    except Exception as error:  # a filter may raise anything
        reason = str(error) or type(error).__name__
        raise TemplateError(f"`{body.strip()}` failed: {reason}") from None
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        is_list = isinstance(value, list | tuple) or hasattr(value, "__next__")
        hint = "a list becomes a text by `| join(' ')`" if is_list else None
        raise TemplateError(f"`{body.strip()}` is {'a list' if is_list else 'no text'}", hint=hint)
    if not is_utf8(text):
        raise TemplateError(f"`{body.strip()}` holds what is no character")
    return text


def _namespaces(variables: Mapping[str, str]) -> dict[str, _Namespace]:
    roots = {*_ROOT_NAMES, *(name.partition(".")[0] for name in variables)}
    return {root: _Namespace(variables, root) for root in roots}


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
def _environment() -> Environment:
    from melpy.plan.expression import make_environment  # noqa: PLC0415  # see _evaluate_expression

    return make_environment()


class _Namespace:
    """Variables below a prefix; only subscripts, so that no method of a dict shadows a name."""

    def __init__(self, variables: Mapping[str, str], prefix: str) -> None:
        self._variables = variables
        self._prefix = prefix

    def __getitem__(self, name: str) -> object:
        full = f"{self._prefix}.{name}"
        if full in self._variables:
            if len(self._variables[full]) > _LONGEST_VALUE:
                raise ValueError(f"{full!r} is too long for an expression")
            return self._variables[full]
        if any(known.startswith(f"{full}.") for known in self._variables):
            return _Namespace(self._variables, full)
        raise KeyError(full)

    def __str__(self) -> str:
        raise TypeError(f"{self._prefix!r} is no value, it holds several")
