"""What apk takes as it is meant: rules for the parts of a package, each tried with apk 3.0.6.

Each function says what is wrong with a part, in the words that follow its name in a message, or returns None. What
apk does is in its source: names in tar.c, extract_v2.c and database.c, scripts in package.c, triggers in
`fire_triggers`, dependencies in `apk_blob_pull_dep` and `apk_deps_write_layer`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_atom, parse_provide
from melpy.apk.stanza import render_stanza
from melpy.apk.version import is_version
from melpy.errors import PackageFormatError
from melpy.shebang import parse_shebang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.apk.model import IndexEntry, PackageInfo

ID_LIMIT = 0o7777777
"""Largest uid and gid: apk reads the tar header's seven octal digits, never the PAX record, and takes 0 instead."""

FILE_LIMIT = 0o77777777777
"""Largest file: apk reads the tar header's eleven octal digits, never the PAX record."""

ITEM_LIMIT = 255
"""Longest dependency or provide in bytes: apk writes each through a buffer of 256, and stops when it is full."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH_LIMIT = 4085  # apk refuses what has PATH_MAX - 10 bytes
_NAME_LIMIT = 32  # bytes of a user's or group's name in a tar header
_SCRIPT_LIMIT = 262144  # APK_MAX_SCRIPT_SIZE; a longer one is passed over without a word
_SHEBANG_LIMIT = 255  # what Linux reads of a first line
_LINE_LIMIT = 128 << 10  # apk's buffer; an index with a longer line cannot be read at all
_PRIORITY_LIMIT = 65535  # an unsigned short
_REPLACES_LIMIT = 4600  # bytes of all together; they share a buffer of 5120 with a directory's line
_SCRIPTED_NAME_LIMIT = 196  # of 256 bytes, what checksum and kind leave in the name of a script in scripts.tar
_TRIGGER = re.compile(r"\+?(?:/|(?:/[^/]+)+)")


def find_path_problem(path: str) -> str | None:
    """Return why apk does not install a file of this name."""
    if _CONTROL.search(path):
        return "has a control character in its name, which apk refuses"
    if len(path.encode(errors="surrogateescape")) > _PATH_LIMIT:
        return f"has a path of more than {_PATH_LIMIT} bytes, which apk refuses"
    if path.split("/", 1)[0] == "uvol":
        return "is below /uvol, which apk takes for a volume of its own and not for files"
    return None


def find_target_problem(target: str) -> str | None:
    """Return why apk does not make a symlink with this target."""
    if len(target.encode(errors="surrogateescape")) > _PATH_LIMIT:
        return f"has a target of more than {_PATH_LIMIT} bytes, which apk refuses"
    return None


def has_control_character(text: str) -> bool:
    """Tell whether a text has a character below the blank, or DEL."""
    return _CONTROL.search(text) is not None


def find_owner_problem(uid: int, gid: int, user: str, group: str) -> str | None:
    """Return why apk would give a file to somebody else."""
    if not (0 <= uid <= ID_LIMIT and 0 <= gid <= ID_LIMIT):
        return f"belongs to {uid}:{gid}, and apk takes ids above {ID_LIMIT} for root's"
    if any(len(name.encode(errors="surrogateescape")) > _NAME_LIMIT or not name.isascii() for name in (user, group)):
        return f"belongs to {user!r}:{group!r}, and apk knows names of at most {_NAME_LIMIT} ASCII characters"
    return None


def find_attribute_problem(name: str) -> str | None:
    """Return why apk would misread an extended attribute of this name."""
    if "=" in name:
        return f"has the extended attribute {name!r}, whose name apk takes to end before the '='"
    return None


def find_script_problem(script: str) -> str | None:
    """Return why a scriptlet does not run when the package is installed."""
    first = script.split("\n", 1)[0]
    size = len(script.encode(errors="surrogateescape"))
    if size > _SCRIPT_LIMIT:
        return f"has {size} bytes, and apk passes over scripts of more than {_SCRIPT_LIMIT}"
    return _find_shebang_problem(first)


def _find_shebang_problem(first: str) -> str | None:
    if not first.startswith("#!") or not first[2:].strip():
        return "does not begin with #! and an interpreter, so it cannot be run"
    if first.endswith("\r"):
        return "has a first line that ends in a carriage return, so its interpreter is not found"
    if "\0" in first or len(first.encode(errors="surrogateescape")) > _SHEBANG_LIMIT:
        return f"has a first line that Linux does not read whole: {_SHEBANG_LIMIT} bytes, and no NUL"
    try:
        interpreter = parse_shebang(first.encode(errors="surrogateescape"))
    except ValueError as error:
        return f"cannot be run: {error}"
    if not first[2:].lstrip().startswith("/"):
        return f"names its interpreter {interpreter!r} without a path, so it cannot be run"
    return None


def find_trigger_problem(path: str) -> str | None:
    """Return why apk does not watch this path for a trigger.

    apk splits the list at blanks and matches the absolute path of each directory with the pattern; `+` before it asks
    for the directories that changed only.
    """
    if _CONTROL.search(path) or " " in path:
        return "has a blank, at which apk splits it in two"
    if not path.startswith(("/", "+/")):
        return "does not begin with / or +/, so apk never runs the script for it"
    if not _TRIGGER.fullmatch(path) or {".", ".."} & set(path.split("/")):
        return "is written as no directory's path is, so apk never runs the script for it"
    return None


def find_info_problems(info: PackageInfo, *, has_scripts: bool) -> Iterator[str]:
    """Yield what apk refuses, drops or misreads of PKGINFO, as whole messages.

    Args:
        info: what PKGINFO says.
        has_scripts: whether the package has scriptlets, whose names hold the package's.
    """
    if _find_item_problem(info.name) or parse_atom(info.name).name != info.name or "/" in info.name:
        yield f"apk does not take the name {info.name!r} for one of a package"
    if not is_version(info.version):
        yield f"apk does not install the version {info.version!r}, which is none"
    if has_scripts and len(info.full_name) > _SCRIPTED_NAME_LIMIT:
        yield f"apk cannot keep the scripts of a package whose name and version have {len(info.full_name)} characters"
    for kind, items in (("depends on", info.depends), ("provides", info.provides), ("replaces", info.replaces)):
        for item in items:
            problem = _find_item_problem(item, provided=kind == "provides")
            if problem:
                yield f"it {kind} {item!r}, {problem}"
    if len(" ".join(info.replaces).encode(errors="surrogateescape")) > _REPLACES_LIMIT:
        yield f"it replaces more packages than apk can write down: {len(info.replaces)}"
    yield from _find_doubled(info)
    for path in info.triggers:
        problem = find_trigger_problem(path)
        if problem:
            yield f"the trigger path {path!r} {problem}"


def find_info_doubts(info: PackageInfo) -> Iterator[str]:
    """Yield what apk reads otherwise than it may be meant, as whole messages: Wolfi has a priority of -1."""
    for key, value in (("provider", info.provider_priority), ("replaces", info.replaces_priority)):
        if value and not (value.isdecimal() and value.isascii() and int(value[:6]) <= _PRIORITY_LIMIT):
            yield f"apk reads a {key} priority from 0 to {_PRIORITY_LIMIT}, not {value!r}"


def _find_doubled(info: PackageInfo) -> Iterator[str]:
    """Yield the names that a package holds and has once more: apk finds it in conflict with itself."""
    names = Counter([info.name, *(parse_provide(text)[0] for text in set(info.provides))])
    held = {info.name, *(name for name, version in map(parse_provide, info.provides) if version)}
    for name in sorted(name for name in held if names[name] > 1):
        yield f"it has the name {name!r} twice, and apk does not install a package that conflicts with itself"


def find_line_problem(entry: IndexEntry) -> str | None:
    """Return why apk cannot read an index with this package."""
    for line in render_stanza(entry).split("\n"):
        if len(line.encode(errors="surrogateescape")) >= _LINE_LIMIT:
            return f"the line {line[:1]}: of its index entry has more than {_LINE_LIMIT} bytes, which apk cannot read"
    return None


def is_writable(item: str, *, provided: bool = False) -> bool:
    """Tell whether a generated dependency or provide can stand in PKGINFO, and apk can keep it.

    Items are made of file names and of names inside files, so one could hold a line break and whole further lines.
    Dependencies and provides are read as `find_info_problems` reads them; a provide's name holds no operator besides.
    """
    if not item.isprintable() or _find_item_problem(item, provided=provided):
        return False
    name = parse_provide(item)[0] if provided else parse_atom(item).name
    return not name.endswith(":") and parse_atom(name).name == name


def _find_item_problem(item: str, *, provided: bool = False) -> str | None:
    if len(item.encode(errors="surrogateescape")) > ITEM_LIMIT:
        return f"which is longer than the {ITEM_LIMIT} bytes that apk can keep"
    try:
        # Of a provide, apk passes over a version that is none.
        atom = parse_atom(item.partition("=")[0] if provided else item)
    except PackageFormatError:
        return "which apk cannot read"
    if atom.tag or item.split() != [item]:
        return "which apk cannot read"
    return None
