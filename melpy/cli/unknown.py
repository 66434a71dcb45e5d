"""Commands and flags that nobody knows: what was probably meant, or what melange's name for it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from melpy.errors import UsageError, find_near
from melpy.near import find_nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT = 2  # characters of `-o`


class Group(click.Group):
    """A group of commands that tells what was meant by a name that it does not know."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, as click does.

        Raises:
            UsageError: the group has none of that name.
        """
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise _UnknownCommandError(f"no such command {args[0]!r}", ctx, self._hint(ctx, args))
        return super().resolve_command(ctx, args)

    def _hint(self, ctx: click.Context, args: list[str]) -> str:
        from melpy.cli.melange import explain_command  # noqa: PLC0415  # only for a mistake

        known = self.list_commands(ctx)
        path = _command_path(ctx)
        near = find_near(args[0], known)
        return (
            explain_command(f"{path} {args[0]}".strip())
            or (f"did you mean {near!r}?" if near else "")
            or f"commands are {', '.join(known)}"
        )


class _UnknownCommandError(click.UsageError):
    """A command that a group does not have, and what to do about it."""

    def __init__(self, message: str, ctx: click.Context, hint: str) -> None:
        super().__init__(message, ctx)
        self.hint = hint


def usage_error(error: click.ClickException) -> UsageError:
    """Return the error of a command line that click does not understand, with what was probably meant."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    hint = f"see {context.command_path} --help" if context else None
    if isinstance(error, _UnknownCommandError):
        hint = error.hint
    elif isinstance(error, click.NoSuchOption) and context:
        message = f"no such flag {error.option_name!r}"
        hint = _flag_hint(context, error.option_name) or hint
    return UsageError(message, hint=hint)


def _flag_hint(context: click.Context, flag: str) -> str | None:
    """Return what a flag is called here, if anything of it is known."""
    from melpy.cli.melange import explain_flag  # noqa: PLC0415  # only for a mistake

    path = _command_path(context)
    known = sorted(set(_flags(context.command)))
    if len(flag) > _SHORT:
        near = find_nearest(flag, known, limit=3) or [name for name in known if name.startswith(f"{flag}-")]
        if near:
            return f"did you mean {' or '.join(near)}?"
    return explain_flag(path, flag)


def _command_path(context: click.Context) -> str:
    return context.command_path.partition(" ")[2]


def _flags(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield from (*parameter.opts, *parameter.secondary_opts)
