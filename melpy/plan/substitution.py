r"""Regular expressions of var-transforms, with the meaning they have in Go.

Go's regexp package and RE2 are one language and one algorithm, linear in the text, so patterns go to RE2 as they are.
Replacements are Go templates: `$1`, `${name}`, `$1x` is the group named `1x`, what is no template stays as it is,
backslashes mean nothing, and an empty match right after another match is passed over. Source: Go's regexp and
regexp/syntax packages.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re2

_TEMPLATE = re.compile(r"\$(?:\$|(?P<bare>\w+)|\{(?P<braced>\w+)\})", re.ASCII)
_MANY_DIGITS = 9  # no pattern has as many groups
_ANY_BYTE = re.compile(r"(?:^|[^\\])(?:\\\\)*\\C")  # RE2 knows it, Go does not


class PatternError(ValueError):
    """A text is no regular expression.

    Attributes:
        message: why.
        position: where in it, as far as RE2 tells.
    """

    def __init__(self, message: str, pattern: str) -> None:
        super().__init__(message)
        self.message = message
        culprit = message.rpartition(": ")[2]
        self.position = max(pattern.find(culprit), 0) if culprit else 0


def replace_all(pattern: str, replacement: str, text: str, limit: int = 4_000_000) -> str:
    """Return `text` with every match of `pattern` replaced, as Go's `ReplaceAllString`.

    Args:
        pattern: regular expression.
        replacement: what takes the place of a match.
        text: text to change.
        limit: how many characters the result may have.

    Raises:
        PatternError: the pattern is not valid, or the result would be too long.
    """
    expression = _compile(pattern)
    pieces: list[str] = []
    end = length = 0
    references = replacement.count("$") + 1
    for number, match in enumerate(expression.finditer(text)):
        if number and match.start() == match.end() == end:
            continue
        if len(replacement) + references * (match.end() - match.start()) > limit:
            raise PatternError("the result would be too long", pattern)
        pieces += [text[end : match.start()], _expand(replacement, match)]
        length += len(pieces[-1]) + len(pieces[-2])
        if length > limit:
            raise PatternError("the result would be too long", pattern)
        end = match.end()
    return "".join([*pieces, text[end:]])


def find_match(pattern: str, text: str) -> bool:
    """Tell whether `pattern` matches somewhere in `text`.

    Raises:
        PatternError: the pattern is not valid.
    """
    return _compile(pattern).search(text) is not None


def _expand(template: str, match: re.Match[str]) -> str:
    groups = match.re.groupindex

    def value(reference: re.Match[str]) -> str:
        name = reference["bare"] or reference["braced"]
        if name is None:
            return "$"
        if name.isdecimal() and (name == "0" or name[0] != "0"):
            number = int(name) if len(name) < _MANY_DIGITS else match.re.groups + 1
            return (match[number] or "") if number <= match.re.groups else ""
        return (match[name] or "") if name in groups else ""

    return _TEMPLATE.sub(value, template)


@functools.lru_cache(maxsize=1024)
def _compile(pattern: str) -> re2._Regexp:
    import re2  # noqa: PLC0415  # 5 ms that only var-transforms need

    if _ANY_BYTE.search(pattern):
        raise PatternError(r"invalid escape sequence: \C", pattern)
    options = re2.Options()
    options.log_errors = False  # they would go to stderr
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        message = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(message, pattern) from None
