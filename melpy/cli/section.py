"""Help of commands with many options: in sections, by what the options are about."""

from __future__ import annotations

import click

_SECTIONS = {
    "What is built": ("arch", "out_dir", "options", "ranges", "vars_file", "env_files", "pipeline_dirs"),
    "Build environment": (
        *("repositories", "keyring", "packages", "ignore_signatures", "lock", "lock_file"),
        *("seed", "seed_mirror", "emulate_all"),
    ),
    "Sources and network": (
        *("mirrors", "rewrites", "local_sources", "source_limit", "unpack_limit", "offline", "network"),
    ),
    "Signing": ("signing_key", "signing_key_name", "signing_passphrase"),
    "What packages say": ("namespace", "git_repo_url", "recipe_license"),
    "Caches and limits": ("cache_dir", "build_cache", "timeout", "cpu", "memory", "disk", "processes"),
    "Looking into a build": ("keep", "from_step", "debug"),
}
"""Options by their names in a command; those that stand nowhere here come last."""


class SectionedCommand(click.Command):
    """A command whose help shows its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each in its section."""
        records = {
            param.name: record
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None
        }
        for title, names in _SECTIONS.items():
            if rows := [records.pop(name) for name in names if name in records]:
                with formatter.section(title):
                    formatter.write_dl(rows)
        if records:
            with formatter.section("Other options"):
                formatter.write_dl(list(records.values()))
