"""Whether apk, and apko, take a package as it is meant: what they would refuse, drop or misread of its files.

`check_acceptance` refuses what a client cannot install as it is; `lint_acceptance` tells what it installs otherwise
than the recipe may expect. The rules for the parts are in `melpy.apk.acceptance`.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from melpy.apk.acceptance import (
    FILE_LIMIT,
    find_attribute_problem,
    find_info_doubts,
    find_info_problems,
    find_owner_problem,
    find_path_problem,
    find_script_problem,
    find_target_problem,
    has_control_character,
)
from melpy.build.model import Kind
from melpy.errors import PackageFormatError
from melpy.inside import RESERVED
from melpy.scan.place import is_in_build
from melpy.text import escape, shorten_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from melpy.apk.model import PackageInfo
    from melpy.build.model import Entry, OutputTree
    from melpy.pack.model import ControlFile

_SHOWN = 10  # further problems
_SCRIPT_MODE = 0o755
_OWN = str(RESERVED.relative_to("/"))
_DATABASE = ("lib/apk/db/", "usr/lib/apk/db/")
_DEVICES = {Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE, Kind.FIFO}


def check_acceptance(tree: OutputTree, info: PackageInfo, control: Sequence[ControlFile]) -> None:
    """Check that apk installs a package as it is.

    Raises:
        PackageFormatError: it would refuse, drop or misread some of it; all that is found is told.
    """
    problems = [*_find_problems(tree, info, control)]
    if problems:
        more = [*problems[1 : _SHOWN + 1]]
        if len(problems) > _SHOWN + 1:
            more.append(f"and {len(problems) - _SHOWN - 1} more")
        raise PackageFormatError(
            problems[0],
            where=tree.package,
            details=more,
            hint="change the recipe: clients could not use the package as it is",
        )


def _find_problems(tree: OutputTree, info: PackageInfo, control: Sequence[ControlFile]) -> Iterator[str]:
    scripts = [file for file in control if file.mode == _SCRIPT_MODE]
    yield from find_info_problems(info, has_scripts=bool(scripts))
    for file in scripts:
        problem = find_script_problem(file.content.decode(errors="surrogateescape"))
        if problem:
            yield f"the script {file.name.removeprefix('.')} {problem}"
    first_names: dict[tuple[int, int], str] = {}
    for entry in tree:
        problem = _find_entry_problem(entry)
        if not problem and entry.kind is Kind.FILE:
            first = first_names.setdefault(entry.inode, entry.path)
            if _is_dropped(first) and not _is_dropped(entry.path):
                problem = f"is a hard link to {first}, which apk passes over"
        if problem:
            yield f"{escape(entry.path)} {problem}"


def _find_entry_problem(entry: Entry) -> str | None:
    problem = (
        find_path_problem(entry.path)
        or find_target_problem(entry.target)
        or find_owner_problem(entry.uid, entry.gid, entry.user, entry.group)
    )
    if problem:
        return problem
    if entry.path == _OWN or entry.path.startswith(f"{_OWN}/"):
        return "is melpy's own in a build root, so no build could use the package"
    if entry.size > FILE_LIMIT:
        return f"has {entry.size} bytes, and apk reads files of at most {FILE_LIMIT}"
    return next(filter(None, (find_attribute_problem(name) for name, _ in entry.xattrs)), None)


def _is_dropped(path: str) -> bool:
    """Tell whether apk takes a file for one of the control member, wherever in the package it is."""
    return path.startswith(".")


def lint_acceptance(tree: OutputTree, info: PackageInfo, control: Sequence[ControlFile]) -> Iterator[str]:
    """Yield what clients do otherwise than a recipe may expect, as whole messages."""
    hidden = [escape(entry.path) for entry in tree if _is_dropped(entry.path) and not entry.parent]
    if hidden:
        yield f"apk does not install what begins with a dot at the top: {shorten_list(hidden)}"
    odd = [escape(entry.path) for entry in tree if has_control_character(entry.target)]
    if odd:
        yield f"the targets of symlinks have control characters: {shorten_list(odd)}"
    inward = [f"{escape(entry.path)} -> {escape(entry.target)}" for entry in tree if _leads_into_build(tree, entry)]
    if inward:
        yield f"symlinks lead into directories that only the build has: {shorten_list(inward)}"
    devices = [escape(entry.path) for entry in tree if entry.kind in _DEVICES]
    if devices:
        yield f"apko does not install packages with devices and fifos: {shorten_list(devices)}"
    marked = [escape(entry.path) for entry in tree if entry.kind is Kind.DIRECTORY and entry.xattrs]
    if marked:
        yield f"apk does not set extended attributes of directories: {shorten_list(marked)}"
    kept = [escape(entry.path) for entry in tree if entry.path.startswith(_DATABASE)]
    if kept:
        yield f"apk keeps its own database where the package has files: {shorten_list(kept)}"
    yield from find_info_doubts(info)
    yield from _lint_scripts(info, control)


def _leads_into_build(tree: OutputTree, entry: Entry) -> bool:
    """Tell whether a symlink leads to one of the build's own directories, and not to a file of the package there."""
    if entry.kind is not Kind.SYMLINK:
        return False
    target = posixpath.normpath(f"/{entry.parent}/{entry.target}" if entry.target[:1] != "/" else entry.target)
    return is_in_build("/" + target.lstrip("/")) and target.lstrip("/") not in tree.by_path


def _lint_scripts(info: PackageInfo, control: Sequence[ControlFile]) -> Iterator[str]:
    scripts = {file.name.removeprefix("."): file.content for file in control if file.mode == _SCRIPT_MODE}
    for name, content in scripts.items():
        if b"\r\n" in content:
            yield f"the script {name} has lines that end in a carriage return"
    if "trigger" in scripts and not info.triggers:
        yield "apk never runs the script trigger: no path is watched"
    if info.triggers and "trigger" not in scripts:
        yield "nothing is run for the trigger paths: there is no script trigger"
