"""The schema of `update`: what bots that update recipes should know. The build does not use it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from melpy.recipe.part import Boolean, Integer, Part, Text, TextList, ValueFaultError, constant

_PERIODS = ["daily", "weekly", "monthly"]


def _period(value: str) -> str:
    if value and value not in _PERIODS:
        raise ValueFaultError(f"expected {', '.join(_PERIODS[:-1])} or {_PERIODS[-1]}, found {value!r}")
    return value


Period = Annotated[Text, AfterValidator(_period), WithJsonSchema({"type": "string", "enum": _PERIODS})]


class ReleaseMonitor(Part):
    """Where release-monitoring.org knows the project."""

    identifier: Integer = 0
    """Number of the project."""
    strip_prefix: Text = ""
    """What to remove at the beginning."""
    strip_suffix: Text = ""
    """What to remove at the end."""
    version_filter_contains: Text = ""
    """Only versions with this in them."""
    version_filter_prefix: Text = ""
    """Only versions that begin with this."""


class GitHubMonitor(Part):
    """How new releases are found on GitHub."""

    identifier: Text = ""
    """Owner/name."""
    strip_prefix: Text = ""
    """What to remove at the beginning."""
    strip_suffix: Text = ""
    """What to remove at the end."""
    tag_filter: Text = ""
    """Older name of tag-filter-prefix."""
    tag_filter_prefix: Text = ""
    """Only tags that begin with this."""
    tag_filter_contains: Text = ""
    """Only tags with this in them."""
    use_tag: Boolean = False
    """Look at tags instead of releases."""


class GitMonitor(Part):
    """How new releases are found in a git repository."""

    strip_prefix: Text = ""
    """What to remove at the beginning."""
    strip_suffix: Text = ""
    """What to remove at the end."""
    tag_filter_prefix: Text = ""
    """Only tags that begin with this."""
    tag_filter_contains: Text = ""
    """Only tags with this in them."""


class OciMonitor(GitMonitor):
    """How new releases are found in an image repository."""

    identifier: Text = ""
    """Name of the image repository."""


class VersionSource(Part):
    """One source of a set of version streams."""

    name: Text = ""
    """Name of the source."""
    stream: Text = ""
    """Stream of versions."""
    ignore: TextList = constant([])
    """Versions to pass over."""
    commit_source: Text = Field(default="", alias="commit_source")
    """Where commits are found."""
    use_release: Boolean = Field(default=False, alias="use_release")
    """Look at releases."""


class VersionData(Part):
    """How version streams are found."""

    version_format: Text = Field(default="", alias="version_format")
    """How versions look."""
    sources: list[VersionSource] = constant([])
    """Where they are found."""


class VersionTransform(Part):
    """A change to an upstream version."""

    match: Text
    """Regular expression."""
    replace: Text = ""
    """What takes the place of a match."""


class Schedule(Part):
    """When updates are looked for."""

    reason: Text = ""
    """Why there is one."""
    period: Period = ""
    """Daily, weekly or monthly."""


class Update(Part):
    """What a bot that updates recipes should know; the build does not use it."""

    enabled: Boolean = False
    """Whether a bot updates it."""
    manual: Boolean = False
    """Whether a person must."""
    require_sequential: Boolean = False
    """Never pass over a version."""
    shared: Boolean = False
    """Several packages have the same source."""
    enable_prerelease_tags: Boolean = False
    """Look at prereleases too."""
    version_separator: Text = ""
    """What stands for the dots in upstream versions."""
    exclude_reason: Text = ""
    """Why it is not updated."""
    ignore_regex_patterns: TextList = constant([])
    """Versions to pass over."""
    release_monitor: ReleaseMonitor = constant(ReleaseMonitor.model_construct())
    """Look at release-monitoring.org."""
    github: GitHubMonitor = constant(GitHubMonitor.model_construct())
    """Look at GitHub."""
    git: GitMonitor = constant(GitMonitor.model_construct())
    """Look at the git repository of the source."""
    oci: OciMonitor = constant(OciMonitor.model_construct())
    """Look at an image repository."""
    version_data: VersionData = constant(VersionData.model_construct(), alias="version_data")
    """Version streams."""
    version_transform: list[VersionTransform] = constant([])
    """Changes to upstream versions."""
    schedule: Schedule = constant(Schedule.model_construct())
    """When to look."""
