"""`melpy verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH, read_settings, setting_options
from melpy.cli.report import count_text, print_error, print_json, print_text
from melpy.errors import MelpyError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from melpy.apk.signature import Keyring
    from melpy.config.model import Settings

_MIXED = 33  # exit status of failures of several kinds, that of `signature`


@click.command(
    cls=Command,
    short_help="Check signatures and contents of packages and repositories.",
    examples={
        "melpy verify out": "a repository: signatures, contents, and whether index and packages agree",
        "melpy verify out/x86_64/*.apk --keyring-append local.rsa.pub": "packages, signed with a key of yours",
    },
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[PACKAGE|INDEX|REPOSITORY]...")
@setting_options("keyring", "out-dir", "cache-dir")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what is wrong, one object each.")
def command(paths: tuple[Path, ...], as_json: bool, **flags: Any) -> int:
    """Check that packages and indexes are signed by a trusted key, and hold what was signed.

    A repository is checked whole: its indexes, and that every package is there and is the one that its index names.
    Without arguments, the repository that melpy writes is meant. Trusted are the keys of --keyring-append and
    melpy.toml, and, without --keyring-append, the one that goes with the signing key.
    """
    from melpy.repo.remote import ServerCache, load_keys  # noqa: PLC0415  # --help does not need it

    settings = read_settings(flags, paths, made=True)
    out_dir, cache = settings.out_dir, settings.cache_dir
    # Whoever names keys on the command line means those; the settings trust themselves.
    keys = settings.keyring + (() if flags["keyring"] else _own_key(settings))
    if not keys:
        raise SettingsError("no key is trusted", where="keyring", hint="name a public key with --keyring-append")
    outcomes = list(_verify(paths or (out_dir,), load_keys(keys, ServerCache(cache))))
    failures = [error for error in outcomes if error]
    if as_json:
        print_json([{"code": one.code, "where": str(one.where or ""), "message": one.message} for one in failures])
    else:
        for error in failures:
            print_error(error)
        good = len(outcomes) - len(failures)
        bad = f", {len(failures)} not as they should be" if failures else ""
        print_text(f"{count_text(good, 'file')} verified{bad}", err=True)
    statuses = {error.exit_status for error in failures}
    return statuses.pop() if len(statuses) == 1 else _MIXED if statuses else 0


def _own_key(settings: Settings) -> tuple[str, ...]:
    """Return the public key that goes with the signing key, if it lies beside it."""
    path = settings.signing_key.path if settings.signing_key else None
    names = (f"{path.name}.pub", settings.signing_key_name) if path else ()
    return tuple(str(public) for name in names if path and name and (public := path.with_name(name)).is_file())


def _verify(paths: tuple[Path, ...], keyring: Keyring) -> Iterator[MelpyError | None]:
    from melpy.repo.verification import find_places, verify_place  # noqa: PLC0415  # --help does not need it

    for path in paths:
        try:
            places = list(find_places(path))
        except MelpyError as error:
            yield error
            continue
        for place in places:
            yield from verify_place(place, keyring, whole=path.is_dir())
