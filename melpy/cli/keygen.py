"""`melpy keygen`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH, read_settings, setting_options
from melpy.cli.report import print_text
from melpy.errors import UsageError


@click.command(
    cls=Command,
    short_help="Make a key pair that signs packages and indexes.",
    examples={
        "melpy keygen --if-missing": "the key that the settings name",
        "melpy keygen local.rsa --signing-passphrase passphrase.txt": "a key that is encrypted",
    },
)
@click.argument("file", required=False, type=PATH)
@setting_options("signing-passphrase")
@click.option("--bits", default=4096, show_default=True, type=click.IntRange(2048, 16384), help="Size of the key.")
@click.option("--if-missing", is_flag=True, help="Do nothing when the key is there.")
def command(file: Path | None, bits: int, if_missing: bool, **flags: Any) -> None:  # settings
    """Make a key pair: FILE, readable by you alone, and FILE.pub, which whoever installs your packages needs.

    Without FILE, the signing-key of the settings is made. With a signing-passphrase, the private key is encrypted.
    """
    from melpy.apk.signature import read_passphrase, write_key_pair  # noqa: PLC0415  # --help does not need it

    settings = read_settings(flags)
    key, passphrase = settings.signing_key, settings.signing_passphrase
    if not file and key and not key.path:
        raise UsageError("the signing-key of the settings is not a file", hint="name the file to write")
    path = file or (key and key.path) or Path("melange.rsa")
    if if_missing and path.exists():
        return
    public = write_key_pair(path, bits, read_passphrase(passphrase) if passphrase else b"")
    print_text(f"private key: {path}\npublic key:  {public}", err=True)
