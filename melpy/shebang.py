"""The first line of a script: the interpreter that it names, seen through `env`.

Takes bytes, gives out a name or a path. The line is split as Linux does, which passes all that follows the interpreter
as one argument; options of `env`, the splitting of its `-S` and the quotes and escapes there are those of GNU
coreutils 9, and tests try them with the real one. Nothing is run or looked up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENV = {"/usr/bin/env", "/bin/env"}
_SEPARATORS = " \t"  # Linux knows no others
_FLAGS = "iv"
_WITH_VALUE = "uCSa"
_VARIABLE = "\0"  # stands for the value of a variable, which is not known; no argument has this character
_LONG = {
    "argv0": "a",
    "block-signal": "",
    "chdir": "C",
    "debug": "v",
    "default-signal": "",
    "help": "!",
    "ignore-environment": "i",
    "ignore-signal": "",
    "list-signal-handling": "v",
    "null": "0",
    "split-string": "S",
    "unset": "u",
    "version": "!",
}
"""Long options by the short one that means the same; those with none take a value only after `=`."""

_UNSPLIT = "the first line gives env multiple arguments without -S, which Linux passes as one"
_BLANK = " \t\n\v\f\r"
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\n\v\f\r]+|\\_)
    |(?P<single>'(?:\\.|[^'\\])*')|(?P<double>"(?:\\.|[^"\\])*")
    |(?P<expanded>\\.|\$\{[A-Za-z_][A-Za-z0-9_]*\})
    |(?P<plain>[^ \t\n\v\f\r\\'"$]+)""",
    re.DOTALL | re.VERBOSE,
)
_EXPANDED = re.compile(r"\\(?P<escape>.)|\$(?P<variable>\{[A-Za-z_][A-Za-z0-9_]*\})|\$", re.DOTALL)
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "_": " "} | {char: char for char in "#$\"'\\"}
_QUOTE = "the first line has quotes for env that do not end"
_MALFORMED = {
    "'": _QUOTE,
    '"': _QUOTE,
    "\\": "the first line has an escape for env that is none",
    "$": "the first line has a variable for env that is not written ${NAME}",
}


def parse_shebang(head: bytes) -> str:
    """Return the interpreter that a script's first line names, or an empty string when it names none.

    `env` is seen through: of `#!/usr/bin/env bash` it is `bash`.

    Raises:
        ValueError: the line ends in a carriage return, or `env` starts no program, or one that the line does not tell.
    """
    if not head.startswith(b"#!"):
        return ""
    line = head[2:].partition(b"\n")[0].partition(b"\0")[0].decode(errors="surrogateescape").strip(_SEPARATORS)
    # Linux passes all that follows the interpreter as one argument.
    interpreter, *arguments = re.split(f"[{_SEPARATORS}]+", line, maxsplit=1)
    last = (arguments or [interpreter])[0]
    # A carriage return after options does no harm to the name; env -S takes it for a blank.
    if last.endswith("\r") and not last.startswith("-"):
        raise ValueError("the first line ends in a carriage return, which becomes a part of the program's name")
    if interpreter not in _ENV:
        return interpreter
    if not arguments:
        raise ValueError("the first line starts env without a program")
    return find_program(arguments[0])


def find_program(argument: str) -> str:
    """Return the program that `env` starts.

    Raises:
        ValueError: it starts none, or what it starts cannot be told from the line.
    """
    pending = [argument]
    options = True
    while pending:
        word = pending.pop(0)
        if word.startswith(_VARIABLE):
            break
        if options and word == "--":
            options = False
        elif options and word.startswith("--"):
            pending = _read_long(word[2:], pending)
        elif options and word.startswith("-") and word != "-":
            pending = _read_short(word[1:], pending)
        elif options and word == "-":
            options = False  # the same as -i, and the last of the options
        elif "=" in word:
            options = False
        elif word is argument and any(blank in word for blank in _BLANK):
            raise ValueError(_UNSPLIT)
        elif _VARIABLE in word:
            break
        else:
            return word
    else:
        raise ValueError(f"the first line starts env without a program: {argument!r} is where a program is expected")
    raise ValueError("the first line names a program for env by a variable")


def _read_long(option: str, pending: list[str]) -> list[str]:
    name, separator, value = option.partition("=")
    found = [name] if name in _LONG else [known for known in _LONG if known.startswith(name)]
    if len(found) != 1 or not name:
        raise ValueError(f"the first line gives env an option that it does not know: {'--' + option!r}")
    letter = _LONG[found[0]]
    if letter == "!":
        raise ValueError(f"the first line gives env --{found[0]}, with which it starts no program")
    if letter and letter in _WITH_VALUE:
        if not separator:
            value, pending = _take(pending, f"--{found[0]}")
        return [*split_string(value), *pending] if letter == "S" else pending
    if letter and separator:
        raise ValueError(f"the first line gives env's option --{found[0]} a value")
    return _read_short(letter, pending) if letter else pending


def _read_short(letters: str, pending: list[str]) -> list[str]:
    for index, letter in enumerate(letters):
        if letter in _WITH_VALUE:
            value = letters[index + 1 :]
            if not value:
                value, pending = _take(pending, f"-{letter}")
            return [*split_string(value), *pending] if letter == "S" else pending
        if letter in _BLANK:
            raise ValueError(_UNSPLIT)
        if letter == "0":
            raise ValueError("the first line gives env -0, with which it starts no program")
        if letter not in _FLAGS:
            raise ValueError(f"the first line gives env an option that it does not know: {'-' + letter!r}")
    return pending


def _take(pending: list[str], option: str) -> tuple[str, list[str]]:
    if not pending:
        raise ValueError(f"the first line starts env without a program: {option} has no value")
    return pending[0], pending[1:]


def split_string(text: str) -> list[str]:
    """Return the words of `env -S`, with NUL for the value of a variable.

    Raises:
        ValueError: quotes, escapes or variables are malformed.
    """
    return list(_split(text))


def _split(text: str) -> Iterator[str]:
    word: str | None = None
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(_MALFORMED[text[position]])
        part, position = match[0], match.end()
        if part == r"\c" or (word is None and part[0] == "#"):
            break
        if match.lastgroup == "blank":
            if word is not None:
                yield word
            word = None
        else:
            word = (word or "") + _unquote(match.lastgroup, part)
    if word is not None:
        yield word


def _unquote(kind: str | None, part: str) -> str:
    if kind == "single":
        return re.sub(r"\\(['\\])", r"\1", part[1:-1])
    if kind == "plain":
        return part
    return _EXPANDED.sub(_expand, part[1:-1] if kind == "double" else part)


def _expand(match: re.Match[str]) -> str:
    """Return what an escape or a variable stands for; a blank that is escaped outside quotes does not come here."""
    if match["variable"]:
        return _VARIABLE
    if match["escape"] not in _ESCAPES:
        raise ValueError(_MALFORMED[match[0][0]])
    return _ESCAPES[match["escape"]]
