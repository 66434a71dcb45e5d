"""What `--help` prints of a command: what it does, its options in groups, and examples to copy."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from melpy.cli import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "What is built": (
        *("changed_since", "missing", "exclude", "rdeps", "shard", "only", "quarantine", "no_quarantine"),
        *("stale", "force", "retry_failed", "dry_run", "assume_outside"),
    ),
    "How a run goes on": (
        *(
            "jobs",
            "max_failures",
            "retry_steps",
            "bootstrap_first",
            "publish",
            "published",
            "prune",
            "yes",
            "prune_others",
        ),
    ),
    "Recipes and architectures": ("arch", "options", "ranges", "package", "pipeline_dirs", "env_files", "vars_file"),
    "Repositories and trusted keys": (
        *("repositories", "keyring", "packages", "ignore_signatures", "lock", "lock_file", "seed", "seed_mirror"),
    ),
    "Sources": ("mirrors", "rewrites", "local_sources", "source_limit", "unpack_limit", "offline"),
    "Results and their signature": (
        *("out_dir", "signing_key", "signing_key_name", "signing_passphrase"),
        *("namespace", "git_repo_url", "recipe_license"),
    ),
    "What a build may do": ("timeout", "cpu", "memory", "disk", "processes", "network", "emulate_all"),
    "When a step fails": ("keep", "from_step", "debug"),
    "Settings and caches": ("config_file", "cache_dir", "build_cache", "result_limit"),
    "What is printed": ("events_file", "trace_file", "as_json", "form", "verbose", "quiet", "help"),
}
"""Options by their names in the program, in the order in which they are shown; a command's own come first."""

FEW = 8
"""Options that are shown together, without sections."""

WIDEST = 100
"""Columns of a text that is still easy to read."""


class _Examples(click.Command):
    """A command that knows examples of itself.

    Args:
        examples: command lines, each with what it does.
        named: click's own.
    """

    def __init__(self, *arguments: Any, examples: Mapping[str, str] | None = None, **named: Any) -> None:
        named["context_settings"] = {"max_content_width": WIDEST, **(named.get("context_settings") or {})}
        super().__init__(*arguments, **named)
        self.examples = dict(examples or {})

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, last: that is what stays in sight."""
        super().format_epilog(ctx, formatter)
        if not self.examples:
            return
        with formatter.section("Examples"):
            for number, (line, purpose) in enumerate(self.examples.items()):
                if number:
                    formatter.write_paragraph()
                margin = " " * formatter.current_indent
                room = formatter.width - len(margin) - 2
                for text in textwrap.wrap(purpose, room, break_on_hyphens=False):
                    formatter.write(f"{margin}# {text}\n")
                formatter.write(f"{margin}{line}\n")


class Command(_Examples):
    """A command whose options are shown in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options: those of this command alone, then those of each section."""
        for heading, records in self._sections(ctx):
            with formatter.section(heading):
                formatter.write_dl(records)

    def _sections(self, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        shown: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):  # arguments are in the first line
                name = "help" if "--help" in parameter.opts else parameter.name or ""
                shown.setdefault(name, []).append(record)
        names = list(shown)
        if sum(map(len, shown.values())) <= FEW:
            yield "Options", [record for name in names for record in shown[name]]
            return
        known = {name for section in SECTIONS.values() for name in section}
        own = [record for name in names if name not in known for record in shown[name]]
        if own:
            yield "Options", own
        for heading, section in SECTIONS.items():
            records = [record for name in section if name in shown for record in shown[name]]
            if records:
                yield heading, records


class Group(_Examples, unknown.Group):
    """A command that has commands, with examples of these."""

    command_class = Command
