"""Scripts: the interpreter that their first line names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends
from melpy.scan.env import find_program
from melpy.scan.place import is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_DIRECTORIES = ("usr/bin/...", "usr/local/bin/...", "usr/local/sbin/...")
_LIMIT = 256  # as much as Linux reads of a first line
_ENV = {"/usr/bin/env", "/bin/env"}
_BLANK = " \t"
# Always there, or provided by too many packages to say which is meant.
_UNSPOKEN = {"python3", "python", "sh", "awk", "luajit"}


def scan_shebangs(view: View) -> Iterator[Claim | Doubt]:
    """Scan scripts in the directories for programs: `cmd:` dependencies on their interpreters, whatever their mode."""
    for entry in view.files:
        if not is_in_directory(entry.path, _DIRECTORIES):
            continue
        head = view.read(entry, _LIMIT)
        if isinstance(head, Doubt):
            yield head
            continue
        try:
            name = parse_shebang(head).rpartition("/")[2]
        except ValueError as error:
            yield Doubt(entry.path, str(error))
            continue
        if name and name not in _UNSPOKEN:
            yield depends(f"cmd:{name}", entry.path)


def parse_shebang(head: bytes) -> str:
    """Return the interpreter that a script's first line names, or an empty string when it names none.

    `env` is seen through: of `#!/usr/bin/env bash` it is `bash`.

    Raises:
        ValueError: the line ends in a carriage return, or `env` starts no program, or one that the line does not tell.
    """
    if not head.startswith(b"#!"):
        return ""
    line = head[2:].partition(b"\n")[0].partition(b"\0")[0].decode(errors="surrogateescape").strip(_BLANK)
    # Linux passes all that follows the interpreter as one argument.
    interpreter, *arguments = re.split(f"[{_BLANK}]+", line, maxsplit=1)
    last = (arguments or [interpreter])[0]
    # A carriage return after options does no harm to the name; env -S takes it for a blank.
    if last.endswith("\r") and not last.startswith("-"):
        raise ValueError("the first line ends in a carriage return, which becomes a part of the program's name")
    if interpreter not in _ENV:
        return interpreter
    if not arguments:
        raise ValueError("the first line starts env without a program")
    return find_program(arguments[0])
