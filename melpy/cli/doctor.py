"""`melpy doctor`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import SIGNING, read_settings, setting_options
from melpy.cli.report import has_color, print_json
from melpy.codec import asdict
from melpy.errors import MelpyError, SandboxError
from melpy.text import printable

if TYPE_CHECKING:
    from melpy.config.model import Settings
    from melpy.sandbox.health import Check

_MARKS = {"good": ("✓", "green"), "poor": ("!", "yellow"), "bad": ("✗", "red")}


@click.command(
    cls=Command,
    short_help="Check whether this machine can build, and say what is wrong.",
    examples={
        "melpy doctor": "for the architectures of the settings",
        "melpy doctor --arch aarch64": "for another one",
    },
)
@setting_options("arch", "cache-dir", "out-dir", *SIGNING, "seed")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool, **flags: Any) -> int:  # settings
    """Check whether this machine can build, and say which switch is wrong where it cannot.

    A step is run as builds run theirs, for each architecture of the settings: in its namespaces, under its seccomp
    filter, with its ids, on an overlay. Disk, git, and the signing key and the seed of the settings are looked at. The
    exit status is that of a sandbox that cannot be had when builds would fail.
    """
    from melpy.sandbox.health import check_machine  # noqa: PLC0415  # --help does not need it

    settings = read_settings(flags)
    cache_dir = settings.cache_dir
    checks = [*check_machine(cache_dir, settings.arch), *_check_settings(settings), *_check_seed(settings)]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1 << 16
        color_is_on = has_color(terminal=sys.stdout.isatty())
        for check in checks:
            mark, color = _MARKS[check.state]
            lines = [line for text in (check.text, check.hint) for line in _fold(printable(text), room - width - 4)]
            for name, line in zip_longest((check.name,), lines, fillvalue=""):
                shown = (click.style(mark, fg=color) if color_is_on else mark) if name else " "
                click.echo(f"{shown} {name:{width}}  {line}")
    return SandboxError.exit_status if any(check.state == "bad" for check in checks) else 0


def _fold(text: str, width: int) -> list[str]:
    """Return a text in lines; what has no room there is not broken, so that it can be copied."""
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)


def _check_settings(settings: Settings) -> list[Check]:
    from melpy.cli.signer import find_signer  # noqa: PLC0415  # --help does not need it
    from melpy.sandbox.health import Check  # noqa: PLC0415  # likewise

    found = [Check("settings", "good", str(settings.file or "no melpy.toml, so defaults and flags"))]
    try:
        signer = find_signer(settings)
    except MelpyError as error:
        return [*found, Check("signing key", "bad", str(error), error.hint or "")]
    if signer is None:
        return [*found, Check("signing key", "poor", "none, so nothing is signed", "make one with melpy keygen")]
    return [*found, Check("signing key", "good", signer.key_name)]


def _check_seed(settings: Settings) -> list[Check]:
    from melpy.bootstrap.table import load_table  # noqa: PLC0415  # only where there is a seed
    from melpy.run import find_tool  # noqa: PLC0415  # likewise
    from melpy.sandbox.health import Check  # noqa: PLC0415  # likewise

    suite = settings.seed
    if not suite:
        return []
    try:
        load_table(suite)
        find_tool("apt-get", hint="install apt, or leave seed empty and name repositories")
    except MelpyError as error:
        return [Check("seed", "bad", str(error), error.hint or "")]
    return [Check("seed", "good", f"Debian's {suite}, through apt")]
