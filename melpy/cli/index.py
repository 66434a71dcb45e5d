"""`melpy index`."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.option import PATH, SIGNING, read_settings, setting_options
from melpy.cli.report import count_text, near_path, print_json, print_text, print_warning
from melpy.cli.signer import identify_signer, read_signer
from melpy.errors import RepositoryError, SettingsError, SignatureError, UsageError, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from melpy.apk.model import Index
    from melpy.apk.signature import Signer
    from melpy.config.model import Settings
    from melpy.repo.model import IndexReport, IndexSpec


@click.command(
    cls=Command,
    short_help="Write the signed index of a repository.",
    examples={
        "melpy index": "the repository of the settings, the out-dir",
        "melpy index packages/": "another repository",
        "melpy index -o packages/x86_64/APKINDEX.tar.gz packages/x86_64/*.apk": "of these packages alone",
    },
)
@click.argument("packages", nargs=-1, type=click.UNPROCESSED, metavar="[PACKAGE.apk|DIRECTORY]...")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Index to write; APKINDEX.tar.gz by default.")
@click.option("-s", "--source", type=PATH, metavar="FILE", help="Index to merge with; --output by default.")
@click.option("-m", "--merge", is_flag=True, help="Keep what the source has besides.")
@click.option("-a", "--arch", metavar="ARCH", help="Architecture; packages of others are left out.")
@click.option("--ignore-signatures", is_flag=True, help="Merge with an index that no trusted key has signed.")
@click.option("--out-dir", metavar="DIR", help="Repository whose indexes are written, where no package is named.")
@setting_options("keyring", *SIGNING, "cache-dir")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(packages: tuple[str, ...], as_json: bool, **flags: Any) -> None:  # settings
    """Write the signed index of a repository.

    Of a repository, the out-dir where none is named, the index of each architecture is made from the packages that
    are there. Of packages, an index of just these is written to --output. What has not changed since is not read
    again, and an index that is right as it is stays untouched. Files that are no packages, or that clients would not
    find, are told, and the index stays as it was. What is in packages is checked by melpy verify.
    """
    own = {name: flags.pop(name) for name in ("output", "source", "merge", "ignore_signatures")}
    settings = read_settings(flags)
    given = [f"--{name.replace('_', '-')}" for name, value in own.items() if value]
    if not packages and given:
        message = f"{', '.join(given)} {'goes' if len(given) == 1 else 'go'} with packages"
        raise UsageError(message, hint="melpy index -o APKINDEX.tar.gz *.apk")
    if packages and flags["out_dir"]:
        hint = "melpy index -o DIR/x86_64/APKINDEX.tar.gz *.apk"
        raise UsageError("--out-dir names the repository, and packages are named, too", hint=hint)
    signer = functools.cache(functools.partial(read_signer, settings)) if settings.signing_key else None
    if packages and (given or len(packages) > 1 or not os.path.isdir(packages[0])):  # noqa: PTH112  # see _find_files
        reports = [_index_files(packages, settings, signer, **own)]
    else:
        root = Path(packages[0]) if packages else settings.out_dir
        reports = list(_index_repository(root, settings, signer, named=bool(flags["arch"])))
    if as_json:
        print_json([_as_json(report) for report in reports])
    for report in reports:
        _tell(report, quiet=as_json)


def _index_repository(
    root: Path, settings: Settings, signer: Callable[[], Signer] | None, *, named: bool
) -> Iterator[IndexReport]:
    from melpy.repo.layout import find_arches, index_path, list_packages  # noqa: PLC0415  # --help does not need it
    from melpy.repo.memory import recall_index  # noqa: PLC0415  # likewise

    if not root.is_dir():
        hint = "name a repository, or packages: melpy index *.apk"
        raise RepositoryError("no such directory", where=str(root), hint=hint)
    found = find_arches(root)
    if not found and (packages := list_packages(root)):
        root, found = root.absolute().parent, {root.absolute().name: packages}  # the directory of an architecture
    arches = [arch.apk for arch in settings.arch] if named else list(found)
    missing = [arch for arch in arches if arch not in found]
    if missing or not found:
        where = root / missing[0] if missing else root
        raise RepositoryError("holds no packages", where=str(where), hint="build some first: melpy build RECIPE")
    for arch in arches:
        spec = _make_spec(index_path(root, arch), settings, signer)
        yield recall_index(spec, str(root / arch), found[arch]) or _refresh(root, arch, spec)


def _refresh(root: Path, arch: str, spec: IndexSpec) -> IndexReport:
    from melpy.repo.indexing import refresh_index  # noqa: PLC0415  # 50 ms that an index as it was does without

    return refresh_index(root, arch, spec)


def _index_files(
    packages: Sequence[str],
    settings: Settings,
    signer: Callable[[], Signer] | None,
    *,
    output: Path | None,
    source: Path | None,
    merge: bool,
    ignore_signatures: bool,
) -> IndexReport:
    from melpy.apk.model import INDEX_NAME  # noqa: PLC0415  # --help does not need it
    from melpy.repo.memory import recall_index  # noqa: PLC0415  # likewise

    if source and not merge:
        raise UsageError("--source goes with --merge", hint="melpy index --merge --source OLD -o NEW *.apk")
    path = output or Path(INDEX_NAME)
    arches = settings.arch if settings.is_flag("arch") else ()
    if len(arches) > 1:
        raise SettingsError("an index is for one architecture", where="--arch")
    spec = _make_spec(path, settings, signer, arches[0].apk if arches else "")
    files = _find_files(packages)
    base = source or path
    if merge and (source or base.exists()):
        old = _read_base(base, spec, settings, check=not ignore_signatures)
    else:
        old = None
        if report := recall_index(spec, ".", files):
            return report
    from melpy.repo.indexing import index_files  # noqa: PLC0415  # 50 ms that an index as it was does without

    return index_files(files, spec, old)


def _find_files(places: Sequence[str]) -> list[str]:
    """Return the package files that places stand for; a directory stands for those in it.

    There may be tens of thousands, of which paths would take longer than all else.
    """
    from melpy.repo.layout import list_packages  # noqa: PLC0415  # --help does not need it

    files: list[str] = []
    for place in places:
        if not os.path.isdir(place):  # noqa: PTH112  # see above
            files.append(place)
            continue
        names = list_packages(Path(place))
        if not names:
            hint = "beside packages, name the directory of an architecture"
            raise RepositoryError("holds no packages", where=place, hint=hint)
        files += [os.path.join(place, name) for name in names]  # noqa: PTH118  # see above
    plain = [str(Path(file)) if "./" in file or "//" in file or file.endswith("/") else file for file in files]
    return list(dict.fromkeys(plain))


def _make_spec(path: Path, settings: Settings, signer: Callable[[], Signer] | None, arch: str = "") -> IndexSpec:
    from melpy.repo.model import IndexSpec  # noqa: PLC0415  # --help does not need it

    cache = settings.cache_dir
    return IndexSpec(
        path,
        signer,
        identify_signer(settings),
        memory=cache / "index",
        arch=arch,
        jobs=os.cpu_count() or 1,
    )


def _read_base(path: Path, spec: IndexSpec, settings: Settings, *, check: bool) -> Index:
    """Read an index to merge with: what is to be signed must be signed already, by the same or by a trusted key."""
    from melpy.apk.index import read_index  # noqa: PLC0415  # --help does not need it
    from melpy.apk.model import LARGEST_INDEX  # noqa: PLC0415  # likewise
    from melpy.apk.signature import Keyring  # noqa: PLC0415  # likewise
    from melpy.bound import read_file  # noqa: PLC0415  # likewise
    from melpy.repo.remote import ServerCache, load_keys  # noqa: PLC0415  # likewise

    keyring = None
    cache = settings.cache_dir
    if spec.signer and check:
        own = spec.signer()
        trusted = load_keys(settings.keyring, ServerCache(cache))
        keyring = Keyring(((own.key_name, own.key.public_key()), *trusted.keys))
    try:
        return read_index(read_file(path, LARGEST_INDEX), keyring=keyring, where=str(path))
    except OSError as error:
        raise RepositoryError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def _as_json(report: IndexReport) -> dict[str, object]:
    return {
        "index": str(report.path),
        "packages": report.packages,
        "read": report.read,
        "written": report.written,
        "signed": report.signed,
        "left_out": list(report.left_out),
        "repeated": list(report.repeated),
    }


def _tell(report: IndexReport, *, quiet: bool) -> None:
    from melpy.repo.signing import LOST_HINT  # noqa: PLC0415  # --help does not need it

    if report.lost:
        message = f"was signed with {' and '.join(report.lost)}, and is not any more"
        hint = LOST_HINT if report.signed else "name the key with --signing-key, or in melpy.toml"
        print_warning(SignatureError(message, where=str(report.path), hint=hint))
    if quiet:
        return
    for what, files in (("is for another architecture", report.left_out), ("is there twice", report.repeated)):
        for file in files:
            print_text(f"{file}: {what}, and left out", err=True)
    state = "" if report.written else ", as it was"
    signed = "" if report.signed else ", not signed"
    print_text(f"{near_path(report.path)}: {count_text(report.packages, 'package')}{state}{signed}", err=True)
