r"""Regular expressions of var-transforms, with the meaning they have in Go.

Differences from Python that real recipes rely on: replacements are Go templates (`$1`, `${name}`, `$1x` is the group
named `1x`, what is no template stays as it is, backslashes mean nothing), `$` is the end of the text, and an empty
match right after another match is passed over. Source: Go's regexp and regexp/syntax packages.
"""

from __future__ import annotations

import functools
import re

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = re.compile(r"\\z|\\.|\[:(?P<class>\w+):\]|\(\?<(?P<group>[A-Za-z_]\w*)>|\[\^?\]?|[\]$]", re.DOTALL)
_TEMPLATE = re.compile(r"\$(?:\$|(?P<bare>\w+)|\{(?P<braced>\w+)\})", re.ASCII)


def replace_all(pattern: str, replacement: str, text: str) -> str:
    """Return `text` with every match of `pattern` replaced, as Go's `ReplaceAllString`.

    Raises:
        re.error: the pattern is not valid.
    """
    expression = _compile(pattern)
    pieces: list[str] = []
    end = 0
    for number, match in enumerate(expression.finditer(text)):
        if number and match.start() == match.end() == end:
            continue
        pieces += [text[end : match.start()], _expand(replacement, match)]
        end = match.end()
    return "".join([*pieces, text[end:]])


def _expand(template: str, match: re.Match[str]) -> str:
    groups = match.re.groupindex

    def value(reference: re.Match[str]) -> str:
        name = reference["bare"] or reference["braced"]
        if name is None:
            return "$"
        if name.isdecimal():
            return (match[int(name)] or "") if int(name) <= match.re.groups else ""
        return (match[name] or "") if name in groups else ""

    return _TEMPLATE.sub(value, template)


@functools.lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    multiline = re.match(r"\(\?[a-z]*m", pattern) is not None
    in_class = False

    def convert(token: re.Match[str]) -> str:
        nonlocal in_class
        text = token[0]
        if token["class"]:
            return _POSIX.get(token["class"], text)
        if token["group"]:
            return text if in_class else f"(?P<{token['group']}>"
        if text == r"\z":
            return r"\Z"
        if text.startswith("[") and not in_class:
            in_class = True
        elif text == "]":
            in_class = False
        elif text == "$" and not in_class and not multiline:
            return r"\Z"
        return text

    return re.compile(_TOKEN.sub(convert, pattern), re.ASCII)
