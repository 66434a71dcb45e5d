"""`melpy index`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.option import PATH, SIGNING, read_arches, read_settings, setting_options
from melpy.cli.report import count_text
from melpy.cli.signer import find_signer
from melpy.errors import RepositoryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.apk.signature import Signer
    from melpy.arch import Arch


@click.command(short_help="Write the signed index of a repository.")
@click.argument("packages", nargs=-1, type=PATH, metavar="[PACKAGE.apk]...")
@setting_options("arch", "out-dir", *SIGNING)
@click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    help="Index to write, for named packages.",
)
@click.option("-m", "--merge", is_flag=True, help="Keep what the index has besides, for named packages.")
def command(packages: tuple[Path, ...], output: Path | None, merge: bool, **flags: Any) -> None:  # settings
    """Write the signed index of a repository.

    Without arguments, the index of each architecture in the out-dir is computed anew from the packages that are
    there. With packages, an index of just these is written to --output.
    """
    settings = read_settings(flags)
    signer = find_signer(settings)
    if packages:
        _index_files(packages, output, signer, merge=merge)
        return
    if output or merge:
        raise UsageError("--output and --merge go with packages", hint="melpy index --output APKINDEX.tar.gz *.apk")
    out_dir = settings.path("out-dir")
    assert out_dir is not None
    _index_repository(out_dir, read_arches(settings) if flags.get("arch") else (), signer)


def _index_repository(root: Path, arches: Sequence[Arch], signer: Signer | None) -> None:
    from melpy.repo.repository import index_path, refresh_index  # noqa: PLC0415  # --help does not need it

    names = [arch.apk for arch in arches]
    found = sorted({path.parent.name for path in root.glob("*/*.apk")})
    missing = [name for name in names if name not in found]
    if missing or not found:
        where = root / missing[0] if missing else root
        raise RepositoryError("holds no packages", where=str(where), hint="build some first: melpy build RECIPE")
    for name in names or found:
        entries = refresh_index(root, name, signer=signer)
        _tell(index_path(root, name), len(entries), signer)


def _index_files(packages: Sequence[Path], output: Path | None, signer: Signer | None, *, merge: bool) -> None:
    from melpy.apk.archive import read_entry  # noqa: PLC0415  # --help does not need it
    from melpy.apk.index import FILE_NAME, read_entries, read_index, write_index  # noqa: PLC0415  # likewise
    from melpy.files import write_file  # noqa: PLC0415  # likewise
    from melpy.repo.repository import merge_entries  # noqa: PLC0415  # likewise

    path = output or Path(FILE_NAME)
    old = read_entries(read_index(path.read_bytes(), keyring=None, where=str(path))) if merge and path.exists() else ()
    entries = merge_entries(old, [read_entry(package) for package in packages])
    write_file(path, write_index(entries, signer=signer))
    _tell(path, len(entries), signer)


def _tell(path: Path, count: int, signer: Signer | None) -> None:
    click.echo(f"{path}: {count_text(count, 'package')}{'' if signer else ', not signed'}", err=True)
