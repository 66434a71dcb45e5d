"""Templates of Go's text/template, as Jinja: what scripts ask melange with.

Understood are fields, variables, `range`, `with`, `if`, `else if`, `end`, comments, pipes, parentheses, literals, and
the functions and, or, not, eq, ne, lt, le, gt, ge, len, index, print and printf. Source: Go's text/template package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from melpy.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable

_ACTION = re.compile(
    r"\{\{(-(?=\s))?\s*+(/\*.*?\*/|(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?)\s*((?<=\s)-)?\}\}", re.DOTALL
)
_GO = re.compile(
    r"/\*|(?:range|with|end|else|define|template|block)\b|(?:^|.*[\s(|])(?:\.[A-Za-z]|\.(?=[\s)|]|$)|\$)", re.DOTALL
)
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`")
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:\\.|[^"\\])*") | `(?P<raw>[^`]*)` | (?P<number>-?\d+) | (?P<assign>:=) | (?P<mark>[(),|])
    | (?P<field>(?:\$\w*)?(?:\.[A-Za-z]\w*)+|\$\w*|\.) | (?P<word>\w+)
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_HINT = "write a field such as .Package.Name, or a Jinja template"


def is_go_template(text: str) -> bool:
    """Tell whether a template is one of Go's, not of Jinja's: only those have fields that begin with a dot or `$`."""
    bodies = (_STRING.sub("''", match[2]) for match in _ACTION.finditer(text))
    return any(_GO.match(body) for body in bodies)


def convert_go_template(template: str) -> str:
    """Return Jinja's form of a template of Go's.

    Raises:
        TemplateError: it does not parse, or uses what is not understood.
    """
    converter = _Converter()
    pieces: list[str] = []
    end = 0
    for match in _ACTION.finditer(template):
        try:
            pieces += [_plain(template[end : match.start()]), converter.action(match)]
        except RecursionError:
            raise TemplateError("parentheses nest too deep") from None
        end = match.end()
    if converter.blocks:
        raise TemplateError(f"`{converter.blocks[-1].word}` has no `end`")
    return "".join([*pieces, _plain(template[end:])])


def go_text(value: Any) -> str:  # whatever a template prints
    """Return a value as Go prints it: `true`, `[a b]`, `map[k:v]`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(go_text, value))}]"
    if hasattr(value, "plain"):
        return f"map[{' '.join(f'{key}:{go_text(item)}' for key, item in sorted(value.plain().items()))}]"
    return str(value)


def go_pairs(value: Any) -> list[tuple[object, object]]:  # likewise
    """Return what `range` goes over: index or key, and value."""
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return [(key, value[key]) for key in sorted(value)] if value else []


def go_printf(form: str, *values: object) -> str:
    """Return values in the form of Go's verbs: `%s`, `%v`, `%d`, `%q` and `%%`, without widths.

    Raises:
        ValueError: another verb, or not as many values.
    """
    rest = list(values)

    def verb(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match[0] not in {"%s", "%v", "%d", "%q"} or not rest:
            raise ValueError(f"printf: no value for {match[0]}, or not understood")
        text = go_text(rest.pop(0))
        return f'"{text}"' if match[0] == "%q" else text

    return re.sub(r"%[^a-zA-Z%]*[a-zA-Z%]", verb, form)


FILTERS: dict[str, Callable[..., object]] = {"go_text": go_text, "go_pairs": go_pairs, "go_printf": go_printf}


@dataclass
class _Block:
    word: str
    dot: str
    outer: str  # the dot around it, which is that of its `else`
    ends: list[str]


@dataclass
class _Converter:
    blocks: list[_Block] = field(default_factory=list)
    count: int = 0

    def action(self, match: re.Match[str]) -> str:
        left, right = match[1] or "", match[3] or ""
        body = match[2]
        if body.startswith("/*"):
            return f"{{#{left} {right}#}}"
        word, _, rest = body.partition(" ")
        opener = {"if": self._if, "with": self._with, "range": self._range}.get(word)
        if opener:
            return opener(rest, left, right)
        if word == "else":
            return self._else(rest.strip(), left, right)
        if body == "end":
            return "".join(f"{{%{left} {end} {right}%}}" for end in self._pop().ends)
        assigned = re.fullmatch(r"\$(\w+)\s*(:?=)\s*(.+)", body, re.DOTALL)
        if assigned:
            if assigned[2] == "=" and any(block.word == "range" for block in self.blocks):
                self._refuse(f"{body}, within a range")
            return f"{{%{left} set go_{assigned[1]} = {self._value(assigned[3])} {right}%}}"
        return f"{{{{{left} {self._value(body)} | go_text {right}}}}}"

    @property
    def dot(self) -> str:
        return self.blocks[-1].dot if self.blocks else "root"

    def _pop(self) -> _Block:
        if not self.blocks:
            raise TemplateError("`end` ends nothing")
        return self.blocks.pop()

    def _if(self, text: str, left: str, right: str) -> str:
        condition = self._value(text)
        self.blocks.append(_Block("if", self.dot, self.dot, ["endif"]))
        return f"{{%{left} if {condition} {right}%}}"

    def _with(self, text: str, left: str, right: str) -> str:
        named = re.fullmatch(r"\s*\$(\w+)\s*:=\s*(.+)", text, re.DOTALL)
        value = self._value(named[2] if named else text)
        self.count += 1
        name = f"go_{named[1]}" if named else f"dot{self.count}"
        self.blocks.append(_Block("with", name, self.dot, ["endif"]))
        return f"{{%{left} set {name} = {value} %}}{{% if {name} {right}%}}"

    def _range(self, text: str, left: str, right: str) -> str:
        match = re.fullmatch(r"(?:\$(\w+)\s*(?:,\s*\$(\w+)\s*)?:=\s*)?(.+)", text.strip(), re.DOTALL)
        if match is None:
            raise TemplateError("`range` ranges over nothing", hint=_HINT)
        value = self._value(match[3])
        self.count += 1
        dot = f"dot{self.count}"
        first, second = match[1], match[2]
        key = f"go_{first}" if second else f"key{self.count}"
        self.blocks.append(_Block("range", dot, self.dot, ["endfor"]))
        named = f"{{% set go_{second or first} = {dot} {right}%}}" if first else ""
        return f"{{%{left} for {key}, {dot} in {value} | go_pairs {'' if named else right}%}}{named}"

    def _else(self, rest: str, left: str, right: str) -> str:
        if not self.blocks:
            raise TemplateError("`else` belongs to nothing")
        word, _, condition = rest.partition(" ")
        if word == "if":
            return f"{{%{left} elif {self._value(condition)} {right}%}}"
        if rest:
            self._refuse(f"else {rest}")
        self.blocks[-1].dot = self.blocks[-1].outer
        return f"{{%{left} else {right}%}}"

    def _value(self, text: str) -> str:
        tokens = _tokens(text)
        value, rest = self._pipeline(tokens)
        if rest:
            self._refuse(text)
        return value

    def _pipeline(self, tokens: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
        value, tokens = self._command(tokens, None)
        while tokens and tokens[0] == ("mark", "|"):
            value, tokens = self._command(tokens[1:], value)
        return value, tokens

    def _command(self, tokens: list[tuple[str, str]], piped: str | None) -> tuple[str, list[tuple[str, str]]]:
        name = ""
        if tokens and tokens[0][0] == "word" and tokens[0][1] not in {"true", "false", "nil"}:
            name, tokens = tokens[0][1], tokens[1:]
        arguments: list[str] = []
        while tokens and tokens[0] not in {("mark", "|"), ("mark", ")")}:
            argument, tokens = self._operand(tokens)
            arguments.append(argument)
        arguments += [piped] if piped is not None else []
        if name:
            return _call(name, arguments), tokens
        if len(arguments) != 1:
            self._refuse(" ".join(arguments) or "nothing")
        return arguments[0], tokens

    def _operand(self, tokens: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
        (kind, text), rest = tokens[0], tokens[1:]
        if (kind, text) == ("mark", "("):
            value, rest = self._pipeline(rest)
            if not rest or rest[0] != ("mark", ")"):
                self._refuse("(")
            return f"({value})", rest[1:]
        if kind == "field":
            start, _, path = text.partition(".")
            base = self.dot if not start else "root" if start == "$" else f"go_{start[1:]}"
            return base + "".join(f'["{name}"]' for name in path.split(".") if name), rest
        if kind == "raw":
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"', rest
        if kind in {"string", "number"}:
            return text, rest
        if kind == "word":
            return {"true": "true", "false": "false", "nil": "none"}.get(text) or self._refuse(text), rest
        return self._refuse(text), rest

    def _refuse(self, text: str) -> NoReturn:
        raise TemplateError(f"not understood: `{text.strip()}`", hint=_HINT)


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise TemplateError(f"not understood: `{text[position:].strip()}`", hint=_HINT)
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def _compare(operator: str) -> Callable[[list[str]], str]:
    return lambda of: "(" + " or ".join(f"{of[0]} {operator} {other}" for other in of[1:]) + ")"


_FUNCTIONS: dict[str, tuple[int, Callable[[list[str]], str]]] = {
    **{name: (2, _compare(operator)) for name, operator in _COMPARISONS.items()},
    "and": (1, lambda of: f"({' and '.join(of)})"),
    "or": (1, lambda of: f"({' or '.join(of)})"),
    "not": (1, lambda of: f"(not {of[0]})"),
    "len": (1, lambda of: f"({of[0]} | length)"),
    "index": (1, lambda of: of[0] + "".join(f"[{key}]" for key in of[1:])),
    "print": (1, lambda of: "(" + " ~ ".join(f"({one} | go_text)" for one in of) + ")"),
    "println": (1, lambda of: "(" + " ~ ' ' ~ ".join(f"({one} | go_text)" for one in of) + ' ~ "\\n")'),
    "printf": (1, lambda of: f"({of[0]} | go_printf({', '.join(of[1:])}))"),
}
"""Functions: how many arguments they take at least, and Jinja's form of a call."""


def _call(name: str, arguments: list[str]) -> str:
    fewest, form = _FUNCTIONS.get(name, (0, None))
    if form is None or len(arguments) < fewest:
        raise TemplateError(f"not understood: the function `{name}`, or how it is called", hint=_HINT)
    return form(arguments)


def _plain(text: str) -> str:
    """Return text between actions so that Jinja takes it for text."""
    return re.sub(r"\{%|%\}|\{#|#\}|\{\{|\}\}", lambda match: f'{{{{ "{match[0]}" }}}}', text)
