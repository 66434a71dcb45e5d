"""Scripts: the interpreter that their first line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends
from melpy.scan.place import BIN_DIRS, is_in_build, is_in_directory
from melpy.shebang import parse_shebang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.build.model import Entry
    from melpy.scan.view import View

_DIRECTORIES = ("usr/bin/...", "usr/local/bin/...", "usr/local/sbin/...")
_LIMIT = 256  # as much as Linux reads of a first line
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
        yield from _scan_first_line(view, entry, head)


def _scan_first_line(view: View, entry: Entry, head: bytes) -> Iterator[Claim | Doubt]:
    words = head.partition(b"\n")[0].removeprefix(b"#!").split(maxsplit=1)
    if not head.startswith(b"#!") or not words:
        return
    if not words[0].startswith(b"/"):
        # A placeholder that nothing was put in for, as in #!@PERL@. Linux looks for such an interpreter in the working
        # directory, so it is no command of any package. Sources in Rust begin with #![feature(x)], which names none.
        if not words[0].startswith(b"["):
            word = words[0].decode(errors="surrogateescape")
            yield Doubt(entry.path, f"the first line names its interpreter {word!r} without a path")
        return
    try:
        interpreter = parse_shebang(head)
    except ValueError as error:
        yield Doubt(entry.path, str(error))
        return
    yield from _scan_interpreter(view, entry, interpreter)


def _scan_interpreter(view: View, entry: Entry, interpreter: str) -> Iterator[Claim | Doubt]:
    """Scan an interpreter that is a path, or a name that env looks up."""
    directory, _, name = interpreter.rpartition("/")
    if directory and not directory.startswith("/"):  # env too takes it for a file below the working directory
        return
    holder = view.find_holder(interpreter) if directory else None
    if holder is view.tree:
        return
    if holder and not is_in_directory(interpreter.lstrip("/"), BIN_DIRS):
        # No cmd: is provided there, and one of the name elsewhere is another program.
        yield depends(f"{holder.package}={view.version}", entry.path)
    elif is_in_build(interpreter):
        yield Doubt(entry.path, f"the first line names {interpreter}, which is nowhere but in the build")
    elif name and name not in _UNSPOKEN:
        yield depends(f"cmd:{name}", entry.path)
