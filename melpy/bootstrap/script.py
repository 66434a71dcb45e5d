"""What a Debian package's scripts would do to files, read and not run: alternatives and diversions.

Some commands and libraries have their plain name only through update-alternatives(1), `cc` and `awk` among them; others
take the place of another package's file with dpkg-divert(1). Both are said in a few plain lines of the scripts. The
shell that is understood: assignments, `for` loops over words, lines that go on; conditions are taken to hold. What
remains unclear after that is passed over.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CONTINUED = re.compile(r"\\\n")
_ASSIGNMENT = re.compile(r"\s*(?:local\s+)?([A-Za-z_]\w*)=(\S*|'[^']*'|\"[^\"]*\")\s*;?\s*")
_LOOP = re.compile(r"\s*for\s+([A-Za-z_]\w*)\s+in\s+([^;]*?)\s*(?:;\s*do\b\s*(.*))?")
_OPENS = re.compile(r"\s*(?:for|while|until)\s")
_CLOSES = re.compile(r"(?:^|.*;)\s*done\b")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TOOLS = re.compile(r"(?:^|[\s;&|(])(update-alternatives|dpkg-divert)\s+(.*)")
_DEPTH = 5  # of loops in loops
_WITH_VALUE = ("--divert", "--package", "--admindir", "--instdir", "--root")


class Alternative(Noun, frozen=True):
    """A name that a package gives to one of its files, unless another package gives it with a higher priority.

    Attributes:
        link: absolute path of the name.
        target: absolute path of the file.
        priority: as update-alternatives takes it.
    """

    link: str
    target: str
    priority: int


def parse_alternatives(script: str, values: Mapping[str, str]) -> tuple[Alternative, ...]:
    """Return the alternatives that a script offers, those that follow another one included; the best for each name.

    Args:
        script: its text.
        values: variables that it may name.
    """
    found: dict[str, Alternative] = {}
    for words in _commands("update-alternatives", script, values):
        for alternative in _read_alternatives(words):
            known = found.get(alternative.link)
            if known is None or known.priority < alternative.priority:
                found[alternative.link] = alternative
    return tuple(found.values())


def _read_alternatives(words: Sequence[str]) -> Iterator[Alternative]:
    priority = 0
    for number, word in enumerate(words):
        if word == "--install" and len(words) > number + 4 and re.fullmatch("-?[0-9]+", words[number + 4]):
            priority = int(words[number + 4])
        elif word != "--slave" or len(words) <= number + 3:
            continue
        link, target = words[number + 1], words[number + 3]
        if link.startswith("/") and target.startswith("/") and "$" not in link + target:
            yield Alternative(link, target, priority)


def parse_diversions(script: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the absolute paths of files that a script moves out of the way of the package's own."""
    found = []
    for words in _commands("dpkg-divert", script, values):
        skipped = {number + 1 for number, word in enumerate(words) if word in _WITH_VALUE}
        paths = [word for number, word in enumerate(words) if number not in skipped and word.startswith("/")]
        if "--remove" not in words and len(paths) == 1 and "$" not in paths[0]:
            found.append(paths[0])
    return tuple(dict.fromkeys(found))


def _commands(tool: str, script: str, values: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the arguments of each run of a tool."""
    for name, text in _find_runs(_CONTINUED.sub(" ", script).splitlines(), dict(values), _DEPTH):
        if name == tool:
            yield _split(text)


def _find_runs(lines: Sequence[str], values: dict[str, str], depth: int) -> Iterator[tuple[str, str]]:
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        assignment, loop, run = _ASSIGNMENT.fullmatch(line), _LOOP.fullmatch(line), _TOOLS.search(line)
        if assignment:
            values[assignment[1]] = _fill(assignment[2].strip("'\""), values)
        elif loop and depth:
            size = 0 if loop[3] and _CLOSES.match(loop[3]) else _measure_loop(lines[number:])
            body = [loop[3] or "", *lines[number : number + size]]
            number += size
            for word in _fill(loop[2], values).split():
                yield from _find_runs(body, {**values, loop[1]: word.strip("'\"")}, depth - 1)
        elif run and not line.lstrip().startswith("#"):
            yield run[1], _fill(run[2], values)


def _measure_loop(lines: Sequence[str]) -> int:
    """Return how many lines there are before a loop's `done`."""
    level = 1
    for number, line in enumerate(lines):
        level += bool(_OPENS.match(line)) - bool(_CLOSES.match(line))
        if level <= 0:
            return number
    return len(lines)


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), text)


def _split(text: str) -> list[str]:
    """Return the words of a command, up to where the next one begins."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set("();<>|&"):
                break
            words.append(word)
    except ValueError:  # a quotation that does not end
        return []
    return words
