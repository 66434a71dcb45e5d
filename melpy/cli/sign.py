"""`melpy sign`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH, SIGNING, read_settings, setting_options
from melpy.cli.report import count_text, print_text
from melpy.cli.signer import read_signer

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    cls=Command,
    short_help="Sign packages with another key.",
    examples={
        "melpy sign packages/x86_64/*.apk --signing-key new.rsa": "with another key",
        "melpy sign packages/x86_64/*.apk --add --signing-key new.rsa": "with one more",
    },
)
@click.argument("packages", nargs=-1, required=True, type=PATH, metavar="PACKAGE...")
@setting_options(*SIGNING)
@click.option("--add", is_flag=True, help="Keep the signatures that are there; apk takes any that it trusts.")
def command(packages: tuple[Path, ...], add: bool, **flags: Any) -> None:
    """Sign packages: the signature takes the place of the one that is there, or with --add stands beside it.

    What is signed stays the same, and so does its identity in indexes; an index made before tells another size, so
    make it anew (melpy index).
    """
    from melpy.repo.signing import sign_package_file  # noqa: PLC0415  # --help does not need it

    signer = read_signer(read_settings(flags, packages, made=True))
    for package in packages:
        sign_package_file(package, signer, keep=add)
    print_text(f"{count_text(len(packages), 'package')} signed with {signer.key_name}", err=True)
