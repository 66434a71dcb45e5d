"""The line of a failed step's output that states the cause: what a person would look for first.

Input: lines that a step printed, marks of `melpy.text.quote_line` allowed. Output: one of these lines. It is a guess
for display; nothing is decided by it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOKED_AT = 1_000  # characters of a line: a pattern must not take long on a line without end
_MARK = re.compile(r"^\s*\| ")
_COLOR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_PLACES = (
    r":\d+(?::\d+)?: (?:fatal |internal compiler )?error\b",  # gcc, clang, gfortran
    r": undefined reference to |: multiple definition of |: cannot find -l|: cannot find crt\S*\.o",  # GNU ld
    r"ld(?:\.\w+)?: (?:error|fatal error): |undefined symbol: ",  # lld, gold, the loader
    r"^error(?:\[E\d+\])?: (?!could not compile|failed to run custom|aborting due)",  # rustc, cargo
    r"^thread '.*' panicked at |^panic: ",  # programs of Rust and Go
    r"^\S+\.go:\d+:\d+: |: no required module provides package |^go: .*(?:cannot|unknown|invalid|missing)",
    r"^CMake Error\b|^\S*meson\.build:\d+:\d+: ERROR: ",
    r"^configure: error: |configure: line \d+: |^\S+\.ac:\d+: error: |^autoreconf: error: ",
    r"^npm (?:error|ERR!) (?!A complete log|code |errno |path |command |$)",
    r"\.(?:ts|tsx)\(\d+,\d+\): error |\.java:\d+: error: ",
    r"^Can't locate \S+ in @INC|SyntaxError: |^\[ERROR\] |^E: |^fatal: |^(?:Error|ERROR): (?!ld\.so)",
    r"^patch: \*\*\*\* |^Hunk #\d+ FAILED|^error: patch failed: ",
    r"^(?:\S+: )?(?:Killed|Segmentation fault)\b|^(?:gcc|g\+\+|cc|c\+\+|collect2|clang): (?:fatal )?error: ",
)
"""What compilers, linkers, interpreters and configure scripts print, with a place or the name of a thing."""

_MISSING = (
    r"(?:: |^)(?:command )?not found$|: No such file or directory|: Permission denied|: Is a directory",
    r": No space left on device|: Read-only file system|: Operation not permitted|: Exec format error",
    r"annot allocate memory|ut of memory|ould not resolve host|: Disk quota exceeded",
    r": syntax error|: unexpected EOF|: parameter not set|: unbound variable",
)
"""What the shell and the system print."""

_PASSED_ON = (
    r"make(?:\[\d+\])?: \*\*\* No rule to make target |^ninja: error: |^FAILED: |^--- FAIL: |^FAIL:? |^not ok \d",
    r"^error: could not compile |make(?:\[\d+\])?: \*\*\* ",
)
"""What builders and test runners print of something that failed below them."""

_WORDS = (r"\b(?:[Ee]rror|ERROR|FATAL|[Ff]ailed)\b",)

_GROUPS = (_PLACES, _MISSING, _PASSED_ON, _WORDS)
"""In the order of their worth: a line of an earlier group is preferred to any line of a later one."""

_TRACEBACK = "Traceback (most recent call last):"
_NOT_AN_EXCEPTION = re.compile(r"^(?:\s|$)")
_NO_CAUSE = (
    r"\bwarning\b|-Werror\b.*-c |^(?:checking|-- |looking) .*(?:not found|no)$|^\+ |(?:\b0|\bno) errors?\b"
    r"|^(?:ok|PASS|ignoring)\b|\(ignored\)$|error\.(?:c|o|h|cc|cpp|lo|go|rs)\b|^\s*(?:CC|CXX|LD|AR|GEN|INSTALL) "
)
"""Lines that have the words of a failure and state none."""


def find_cause(lines: Sequence[str]) -> str:
    """Return the line that states the cause of a failure; the last line that is not empty where no line does.

    A line that ends with a colon is continued by the next one that is not empty.
    """
    texts = [_COLOR.sub("", _MARK.sub("", line[:_LOOKED_AT])).rstrip() for line in lines]
    causes, *others = _compile_groups()
    found = _search(causes, texts)
    traceback = _find_exception(texts)
    if traceback and (found is None or found.startswith(("ERROR: ", "error: ", "E: "))):
        found = traceback  # pip and others repeat that a program of Python failed
    for pattern in others:
        found = found or _search(pattern, texts)
    if found and found.endswith(":") and found in texts:
        rest = next((text for text in texts[texts.index(found) + 1 :] if text), "")
        found = f"{found} {rest.strip()}".rstrip()
    return (found or next((text for text in reversed(texts) if text), "")).strip()


@cache
def _compile_groups() -> tuple[re.Pattern[str], ...]:
    """Return the patterns of each group; they take 3 ms, which builds that end well do without."""
    return tuple(re.compile("|".join(group)) for group in _GROUPS)


def _search(pattern: re.Pattern[str], texts: Sequence[str]) -> str | None:
    no_cause = re.compile(_NO_CAUSE, re.IGNORECASE)
    return next((text for text in texts if pattern.search(text) and not no_cause.search(text)), None)


def _find_exception(texts: Sequence[str]) -> str | None:
    """Return the line that ends the last traceback of Python: the exception and its message."""
    starts = [number for number, text in enumerate(texts) if text.lstrip() == _TRACEBACK]
    if not starts:
        return None
    start = starts[-1]
    margin = len(texts[start]) - len(texts[start].lstrip())
    for text in texts[start + 1 :]:
        if text[:margin].isspace() or not margin:
            rest = text[margin:]
            if not _NOT_AN_EXCEPTION.match(rest):
                return rest
    return None
