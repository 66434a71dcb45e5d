"""The schema of `update`: what bots that update recipes should know. The build does not use it."""

from __future__ import annotations

from pydantic import Field

from melpy.recipe.part import Boolean, Integer, Part, Text, TextList, constant


class ReleaseMonitor(Part):
    """Where release-monitoring.org knows the project."""

    identifier: Integer = 0
    strip_prefix: Text = ""
    strip_suffix: Text = ""
    version_filter_contains: Text = ""
    version_filter_prefix: Text = ""


class GitHubMonitor(Part):
    """How new releases are found on GitHub."""

    identifier: Text = ""
    strip_prefix: Text = ""
    strip_suffix: Text = ""
    tag_filter: Text = ""
    tag_filter_prefix: Text = ""
    tag_filter_contains: Text = ""
    use_tag: Boolean = False


class GitMonitor(Part):
    """How new releases are found in a git repository."""

    strip_prefix: Text = ""
    strip_suffix: Text = ""
    tag_filter_prefix: Text = ""
    tag_filter_contains: Text = ""


class OciMonitor(GitMonitor):
    """How new releases are found in an image repository."""

    identifier: Text = ""


class VersionSource(Part):
    """One source of a set of version streams."""

    name: Text = ""
    stream: Text = ""
    ignore: TextList = constant([])
    commit_source: Text = Field(default="", alias="commit_source")
    use_release: Boolean = Field(default=False, alias="use_release")


class VersionData(Part):
    """How version streams are found."""

    version_format: Text = Field(default="", alias="version_format")
    sources: list[VersionSource] = constant([])


class VersionTransform(Part):
    """A change to an upstream version."""

    match: Text
    replace: Text = ""


class Schedule(Part):
    """When updates are looked for."""

    reason: Text = ""
    period: Text = ""


class Update(Part):
    """What a bot that updates recipes should know; the build does not use it."""

    enabled: Boolean = False
    manual: Boolean = False
    require_sequential: Boolean = False
    shared: Boolean = False
    enable_prerelease_tags: Boolean = False
    version_separator: Text = ""
    exclude_reason: Text = ""
    ignore_regex_patterns: TextList = constant([])
    release_monitor: ReleaseMonitor = constant(ReleaseMonitor())
    github: GitHubMonitor = constant(GitHubMonitor())
    git: GitMonitor = constant(GitMonitor())
    oci: OciMonitor = constant(OciMonitor())
    version_data: VersionData = constant(VersionData(), alias="version_data")
    version_transform: list[VersionTransform] = constant([])
    schedule: Schedule = constant(Schedule())
