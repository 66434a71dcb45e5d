"""`melpy`: the command line. Commands load when they are called, so that `--help` is instant."""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from melpy import __version__
from melpy.cli.report import print_error
from melpy.cli.unknown import Group, usage_error
from melpy.errors import MelpyError, OutputError, find_limit_hint, reason_of
from melpy.interrupt import handle_interrupts, ignore_interrupts
from melpy.orphan import end_sessions

COLLECTED_FROM = 200_000
"""New containers after which Python looks for cycles."""

COMMANDS = {
    "bootstrap": "Make a first package repository from a Debian suite.",
    "build": "Build recipes into signed packages and a signed index.",
    "check": "Check recipes for everything that is wrong with them.",
    "clean": "Remove what killed builds left, and builds that were kept.",
    "compile": "Print compiled recipes: what they evaluate to, as JSON.",
    "config": "Show each setting, and where its value comes from.",
    "doctor": "Check whether this machine can build, and say what is wrong.",
    "graph": "Show which recipes need one another, and in which order they can be built.",
    "index": "Write the signed index of a repository.",
    "keygen": "Make a key pair that signs packages and indexes.",
    "lock": "Lock environments to their exact packages.",
    "package-version": "Print name, version and release of recipes.",
    "plan": "Show what a build would do.",
    "query": "Answer a question about a recipe, asked as a template.",
    "report": "Write a page that shows what happened in a run.",
    "shell": "Enter a build that was kept, at the step that failed.",
    "sign": "Sign packages with another key.",
    "sign-index": "Sign indexes of repositories.",
    "solve": "Show the packages that constraints lead to.",
    "store": "Show, check and prune the extracted packages.",
    "schema": "Print the JSON schema of recipes or pipelines.",
    "source": "Fetch, check and list the sources of recipes.",
    "verify": "Check signatures and contents of packages and repositories.",
    "variables": "Show every variable of a recipe, and who says it.",
    "why": "Tell why a build is up to date or not, and which inputs changed.",
}


_MODULES = {"report": "run_report"}
"""Modules of commands whose own names mean something else in this package."""


class _LazyGroup(Group):
    """Knows its commands by name; their modules are imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # likewise
        if cmd_name not in COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        command = importlib.import_module(f"melpy.cli.{module}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # likewise
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="melpy")
def cli() -> None:
    """Build signed APK repositories from YAML recipes, reproducibly and without root.

    Settings come from flags, from MELPY_… variables, and from the melpy.toml found from the recipes upwards; `melpy
    config` shows them.
    """


def main() -> None:
    """Run the command line; failures become one clear message and an exit status of their own."""
    _use_utf8()
    # What melpy makes are trees of frozen values: looking for cycles again and again takes a fifth of a large command.
    gc.set_threshold(COLLECTED_FROM)
    # No other package is to change what a recipe means, and looking for such plugins takes pydantic 9 ms.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    # What is written must not depend on who runs melpy.
    os.umask(0o022)
    _check_streams()
    # A polite end cleans up as an interrupt does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            handle_interrupts(number)
    try:
        status = _run()
    except click.ClickException as error:
        _print_usage_error(error)
        sys.exit(error.exit_code)
    except MelpyError as error:
        print_error(error)
        sys.exit(error.exit_status)
    except click.exceptions.Exit as end:
        status = end.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        _leave_interrupted()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            _leave_pipe()
        where = str(error.filename) if error.filename else None
        hint = _os_hint(error) or find_limit_hint(error.errno) or None
        print_error(OutputError(reason_of(error), where=where, hint=hint))
        _drop_output()
        sys.exit(OutputError.exit_status)
    _finish(status if isinstance(status, int) else 0)


def _os_hint(error: OSError) -> str | None:
    """Return what to do where the system refuses something that no command has words for."""
    from melpy.files import WRITE_HINTS  # noqa: PLC0415  # only for a failure

    return WRITE_HINTS.get(error.errno or 0)


def _run() -> object:
    """Run the command of the command line; click's own way to do so would end by itself on a broken pipe."""
    if "_MELPY_COMPLETE" in os.environ:  # a shell asks for completions
        return cli.main(standalone_mode=False)
    with cli.make_context("melpy", sys.argv[1:]) as context:
        return cli.invoke(context)


def _use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has other characters, so that packages are the same bytes.

    Names of files are bytes, and Python reads those by the locale. Only such locales pay for it, with 50 ms.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  # it is this program


def _check_streams() -> None:
    """See to it that there is somewhere to print to, and that what is printed is UTF-8 in every locale.

    Python has no stream for what its caller closed.
    """
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # as long as the process
    if sys.stdout is None:
        print_error(OutputError("standard output is closed", hint="send it to /dev/null if nobody is to read it"))
        sys.exit(OutputError.exit_status)


def _print_usage_error(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # click 8.2 and later
        click.echo(error.format_message(), err=True)
        return
    if context is not None:
        click.echo(context.get_usage(), err=True)
    print_error(usage_error(error))


def _finish(status: int) -> None:
    """End with a status, and with all that was printed printed."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
    except OSError as error:
        print_error(OutputError(reason_of(error), where="standard output"))
        status = OutputError.exit_status
        _drop_output()
    ignore_interrupts()  # all is done
    sys.exit(status)


def _leave_interrupted() -> NoReturn:
    """End with status 130: Python would kill itself where an interrupt came while a module was made."""
    end_sessions()
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(130)


def _leave_pipe() -> None:
    """Whoever read our output has seen enough."""
    _drop_output()
    os.dup2(1, 2)  # it may have been errors
    sys.exit(141)


def _drop_output() -> None:
    """Have what is still to be printed go nowhere: Python would try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
