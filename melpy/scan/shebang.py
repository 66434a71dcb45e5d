"""Scripts: the interpreter that their first line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends
from melpy.scan.place import is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_DIRECTORIES = ("usr/bin/...", "usr/local/bin/...", "usr/local/sbin/...")
_LIMIT = 256  # as much as Linux reads of a first line
_ENV = "/usr/bin/env"
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
        ValueError: the line gives `env` something that does not say which program it starts.
    """
    if not head.startswith(b"#!"):
        return ""
    words = head[2:].partition(b"\n")[0].decode(errors="surrogateescape").split()
    if not words or words[0] != _ENV:
        return words[0] if words else ""
    return _parse_env(words[1:])


def _parse_env(arguments: list[str]) -> str:
    if arguments[:1] == ["-S"]:
        arguments = arguments[1:2]
    if not arguments:
        raise ValueError("the first line starts env without a program")
    if len(arguments) > 1:
        raise ValueError("the first line gives env multiple arguments without -S, which Linux passes as one")
    if arguments[0].startswith("-") or "=" in arguments[0]:
        raise ValueError(f"the first line gives env {arguments[0]!r} where a program is expected")
    return arguments[0]
