"""The text of a pkg-config file: variables and fields.

Takes the text, gives out the modules it requires. Of the rest it matters that the fields are there without which
pkgconf and pkg-config reject a file; they may be empty. Source: pc(5) of pkgconf, tried with pkgconf 1.8.1.
"""

from __future__ import annotations

import contextlib
import re

_FIELDS = ("requires", "requires.private", "requires.internal")
_NEEDED = ("Name", "Description", "Version")
_PREDEFINED = {"pcfiledir": "", "pc_sysrootdir": "/", "pc_top_builddir": ""}
# None of these can match one stretch of text in two ways, so no file makes them slow.
_LINE = re.compile(r"([A-Za-z0-9_.-]+)[ \t]*([:=])(.*)")
_VARIABLE = re.compile(r"\$\$|\$\{([^${}]*)\}")
_OPERATOR = re.compile(r"(<=|>=|!=|==|=|<|>)")
_COMMENT = re.compile(r"(?<!\\)#.*")
# Each variable may name the one before it twice, so lengths could double with every line.
_VARIABLE_LIMIT = 4096
_FIELD_LIMIT = 65536


def parse_module(text: str) -> tuple[str, ...]:
    """Return the modules in the `Requires`, `Requires.private` and `Requires.internal` fields, without versions.

    Raises:
        ValueError: one of the fields cannot be understood, or the file lacks one that every module has.
    """
    variables = dict(_PREDEFINED)
    found: list[str] = []
    fields: set[str] = set()
    for line in _logical_lines(text):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        name, separator, value = match.groups()
        if separator == "=":
            _define(variables, name, value)
            continue
        fields.add(name.lower())
        if name.lower() in _FIELDS:
            found += parse_requires(_expand(value.strip(), variables, _FIELD_LIMIT))
    missing = [name for name in _NEEDED if name.lower() not in fields]
    if missing:
        raise ValueError(f"there is no {' and no '.join(missing)}")
    return tuple(dict.fromkeys(found))


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\[ \t]*\r?\n", " ", text)
    return [_COMMENT.sub("", line) for line in joined.splitlines()]


def _define(variables: dict[str, str], name: str, value: str) -> None:
    """Set a variable; one whose value is too long stays unset."""
    variables.pop(name, None)  # so does pkgconf: in its own value, a variable is not defined
    with contextlib.suppress(ValueError):
        variables[name] = _expand(value.strip(), variables, _VARIABLE_LIMIT)


def _expand(text: str, variables: dict[str, str], limit: int) -> str:
    left = limit - len(text)

    def replace(match: re.Match[str]) -> str:
        nonlocal left
        # pkgconf takes a variable that is not defined for an empty one.
        value = "$" if match[1] is None else variables.get(match[1], "")
        left -= len(value)
        return value if left >= 0 else ""

    value = _VARIABLE.sub(replace, text)
    if left < 0:
        raise ValueError(f"a value is longer than {limit} characters")
    return value


def parse_requires(text: str) -> tuple[str, ...]:
    """Return the modules of a list such as `glib-2.0 >= 2.40, zlib`; commas are as good as spaces.

    Raises:
        ValueError: an operator lacks the module before it or the version after it.
    """
    words = _OPERATOR.sub(r" \1 ", text.replace(",", " ")).split()
    found: list[str] = []
    while words:
        name = words.pop(0)
        if _OPERATOR.fullmatch(name):
            raise ValueError(f"{name!r} without a module in {text!r}")
        found.append(name)
        if words and _OPERATOR.fullmatch(words[0]):
            operator = words.pop(0)
            if not words:
                raise ValueError(f"{name!r} without a version after {operator!r} in {text!r}")
            words.pop(0)
    return tuple(found)
