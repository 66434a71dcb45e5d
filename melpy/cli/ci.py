"""Commands in the logs of CI services: collapsible sections of GitHub and GitLab, and annotations of GitHub.

All texts may come from strangers; what is returned can be printed as it is. Sources: GitHub's documentation of workflow
commands and its runner's escapes (ActionCommand.cs); GitLab's documentation of custom collapsible sections.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import FaultsError, Place
from melpy.text import printable, printable_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.errors import MelpyError

GITHUB, GITLAB = "github", "gitlab"

_ERASE = "\x1b[0K"


def find_service(environ: Mapping[str, str]) -> str:
    """Return the CI service whose log stderr is: `github`, `gitlab`, or empty for none."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GITHUB
    return GITLAB if environ.get("GITLAB_CI") else ""


def render_section(service: str, number: int, title: str, lines: Sequence[str], times: tuple[int, int]) -> list[str]:
    """Return a section of a log as lines to print; it is collapsed at first where the service can do that.

    Args:
        service: the service, as `find_service` has it.
        number: number of the section in this log.
        title: its title.
        lines: its lines.
        times: its begin and end, in seconds since 1970.
    """
    name = f"melpy_{os.getpid()}_{number}"
    inner = [printable_line(line) for line in lines]
    if service == GITHUB:
        return [f"::group::{_escape(printable(title))}", *inner, "::endgroup::"]
    begin = f"{_ERASE}section_start:{times[0]}:{name}[collapsed=true]\r{_ERASE}{printable(title)}"
    return [begin, *inner, f"{_ERASE}section_end:{times[1]}:{name}\r{_ERASE}"]


def render_annotation(severity: str, where: Place, title: str, text: str) -> str:
    """Return the workflow command that has GitHub show a message at a line of a file.

    Args:
        severity: `error`, `warning` or `notice`.
        where: the file, below the current directory or GITHUB_WORKSPACE; line and column where they are known.
        title: title of the message.
        text: the message, which may have several lines.
    """
    root = os.environ.get("GITHUB_WORKSPACE")
    file = Path(where.file).absolute()
    inside = root and file.is_relative_to(root)
    place = f"file={_property(str(file.relative_to(root)) if root and inside else where.file)}"
    place += f",line={where.line},col={where.column}" if where.line else ""
    message = "%0A".join(_escape(printable(line)) for line in text.split("\n"))
    return f"::{severity} {place},title={_property(title)}::{message}"


def render_error_annotations(error: MelpyError, file: str, job: str = "") -> list[str]:
    """Return the annotations of an error, each with its last lines and its hint.

    Args:
        error: the error, or several faults as one.
        file: file of the recipe, for errors that have no place.
        job: the build that it ended.
    """
    faults = error.faults if isinstance(error, FaultsError) else (error,)
    return [
        render_annotation(
            "error",
            fault.where if isinstance(fault.where, Place) else Place(file),
            f"{fault.code} {job}".rstrip(),
            "\n".join([fault.message, *fault.details, *([f"hint: {fault.hint}"] if fault.hint else [])]),
        )
        for fault in faults
    ]


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
