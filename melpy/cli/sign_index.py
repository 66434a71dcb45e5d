"""`melpy sign-index`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH, SIGNING, read_settings, setting_options
from melpy.cli.report import print_text
from melpy.cli.signer import read_signer

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    "sign-index",
    cls=Command,
    short_help="Sign indexes of repositories.",
    examples={
        "melpy sign-index packages/x86_64/APKINDEX.tar.gz --add --signing-key new.rsa": "with one more key",
    },
)
@click.argument("indexes", nargs=-1, required=True, type=PATH, metavar="INDEX...")
@setting_options(*SIGNING)
@click.option("-f", "--force", is_flag=True, help="Replace the signature of an index that has one.")
@click.option("--add", is_flag=True, help="Keep the signatures that are there; apk takes any that it trusts.")
def command(indexes: tuple[Path, ...], force: bool, add: bool, **flags: Any) -> None:
    """Sign indexes, APKINDEX.tar.gz; one that is signed stays as it is without --force or --add."""
    from melpy.repo.signing import has_signature, sign_index_file  # noqa: PLC0415  # --help does not need it

    signer = read_signer(read_settings(flags, indexes, made=True))
    for index in indexes:
        if not force and not add and has_signature(index):
            print_text(f"{index}: is signed already", err=True)
            continue
        sign_index_file(index, signer, keep=add)
        print_text(f"{index}: signed with {signer.key_name}", err=True)
