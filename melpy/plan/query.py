"""Questions about a recipe: a template over what it evaluates to.

Templates are Jinja's: `{{ package.version }}`. Keys with a hyphen are written with an underscore, or as subscripts.
melange's, of Go's text/template, are understood as far as scripts use them: fields (`{{.Package.Name}}`), `range`,
`if`, `else`, `end`, `.` and `$`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from melpy.errors import TemplateError, UndefinedVariableError, find_near

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ACTION = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
_GO = re.compile(r"\{\{-?\s*(?:\.|\$|range\b|if\s+[.$]|end\b)")
_FIELDS = re.compile(r"(\$|)((?:\.[A-Za-z]\w*)+)|(\.)|(\"(?:\\.|[^\"\\])*\")")


def answer_query(template: str, data: Mapping[str, Any]) -> str:
    """Return the text of a template.

    Raises:
        TemplateError: the template does not parse.
        UndefinedVariableError: it names what no recipe has.
    """
    import jinja2  # noqa: PLC0415  # 60 ms that only queries need

    from melpy.plan.expression import make_environment  # noqa: PLC0415  # likewise

    text = _from_go(template) if _GO.search(template) else template
    root = _Node(data)
    try:
        return make_environment().from_string(text).render({"root": root, **root.names()})
    except jinja2.UndefinedError as error:
        raise UndefinedVariableError(str(error.message), hint=f"a recipe has {', '.join(sorted(data))}") from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"not a template: {error.message}") from None
    except (TypeError, ValueError, ArithmeticError, MemoryError, jinja2.TemplateError) as error:
        raise TemplateError(f"the template failed: {error}") from None


class _Node:
    """A mapping whose keys are found however they are written: `target-architecture`, `TargetArchitecture`."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._keys = {_plain(key): key for key in data}

    def names(self) -> dict[str, object]:
        """Return what is in it, by names that a template can write."""
        return {key.replace("-", "_"): self[key] for key in self._data}

    def __getitem__(self, name: str) -> object:
        key = name if name in self._data else self._keys.get(_plain(str(name)))
        if key is None:
            near = find_near(str(name).lower(), self._data)
            raise UndefinedVariableError(
                f"there is no {name!r} here", hint=f"did you mean {near!r}?" if near else f"here are {', '.join(self)}"
            )
        return _wrap(self._data[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __str__(self) -> str:
        return str(dict(self._data))


def _wrap(value: object) -> object:
    if isinstance(value, dict):
        return _Node(value)
    if isinstance(value, list | tuple):
        return [_wrap(item) for item in value]
    return value


def _plain(key: str) -> str:
    return key.replace("-", "").replace("_", "").lower()


def _from_go(template: str) -> str:
    """Return Jinja's form of a template of Go's."""
    blocks: list[tuple[str, str]] = []
    pieces: list[str] = []
    end = 0
    for match in _ACTION.finditer(template):
        pieces += [template[end : match.start()], _action(match, blocks)]
        end = match.end()
    if blocks:
        raise TemplateError(f"`{blocks[-1][0]}` has no `end`")
    return "".join([*pieces, template[end:]])


def _action(match: re.Match[str], blocks: list[tuple[str, str]]) -> str:
    left, body, right = match.groups()
    word, _, rest = body.partition(" ")
    dot = next((name for kind, name in reversed(blocks) if kind == "range"), "root")
    if word == "range":
        name = f"dot{len(blocks)}"
        blocks.append(("range", name))
        return f"{{%{left} for {name} in {_operand(rest, dot)} {right}%}}"
    if word == "if":
        blocks.append(("if", dot))
        return f"{{%{left} if {_operand(rest, dot)} {right}%}}"
    if body in {"else", "end"}:
        if not blocks:
            raise TemplateError(f"`{body}` ends nothing")
        kind = blocks.pop()[0] if body == "end" else ""
        word = {"range": "endfor", "if": "endif", "": "else"}[kind]
        return f"{{%{left} {word} {right}%}}"
    return f"{{{{{left} {_operand(body, dot)} {right}}}}}"


def _operand(text: str, dot: str) -> str:
    match = _FIELDS.fullmatch(text.strip())
    if match is None:
        raise TemplateError(f"not understood: `{text.strip()}`", hint="write a field such as .Package.Name, or Jinja")
    dollar, fields, alone, literal = match.groups()
    if literal or alone:
        return literal or dot
    start = "root" if dollar else dot
    return start + "".join(f'["{name}"]' for name in fields[1:].split("."))
