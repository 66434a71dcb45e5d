"""One package of the seed is made: from a Debian package, or from a few lines of the suite's table.

What comes in is a `Job`, which is JSON, so that it can be done in another process; the same job gives the same
bytes on every machine, for a given key. The identity of a job is what tells whether a package that is there
already is the one that would be made.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import field

from melpy.apk.atom import parse_atom
from melpy.apk.model import PackageInfo
from melpy.apk.signature import load_signer
from melpy.arch import ARCHES
from melpy.bootstrap.deb import Filter, unpack_deb
from melpy.bootstrap.effect import Effect, apply_scripts
from melpy.bootstrap.manifest import CONVERTER
from melpy.bootstrap.python import add_record
from melpy.build.model import Kind
from melpy.build.tree import load_tree
from melpy.codec import Noun, asdict, decode, encode
from melpy.digest import identity
from melpy.errors import OutputError, PackageFormatError, SeedError
from melpy.files import make_directory, output_error, scratch_directory
from melpy.pack.package import write_package
from melpy.scan.model import Subject
from melpy.scan.scanner import scan_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from melpy.apk.signature import Signer
    from melpy.arch import Arch
    from melpy.build.model import OutputTree

# A seed is read a few times and never sent anywhere. Measured on trixie's gcc (70 MB): 0.35 s and 36.9 MB at level 1,
# 0.73 s and 30.1 MB at level 3, 3.3 s and 28.2 MB at level 9.
LEVEL = 1

_MEMORY = Path("/dev/shm")  # noqa: S108  # the names in it are made by mkdtemp
_ROOM = 4 << 30  # the largest packages of a suite have some 500 MB of files, and several are unpacked at once
_COMMANDS = ("usr/bin", "usr/sbin")


class Content(Noun, frozen=True):
    """What goes into a package beside the files of a Debian package; see `melpy.bootstrap.table`."""

    directories: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    concatenate: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    omit: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Job(Noun, frozen=True):
    """What a package of the seed is made from.

    Attributes:
        name: its APK name.
        version: its APK version.
        arch: its APK architecture.
        depends: APK names.
        deb: SHA-256 of the Debian package, or empty.
        content: what is added, changed and left out.
        description: one line.
        url: homepage of the upstream project.
        origin: name of Debian's source package.
        rivals: APK names of packages that may give the same names to files of theirs.
        replaces: APK names of packages whose files it may have.
        provides: names that it provides beside those that are found in it.
    """

    name: str
    version: str
    arch: str
    depends: tuple[str, ...]
    deb: str
    content: Content
    description: str = ""
    url: str = ""
    origin: str = ""
    rivals: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The file that it becomes."""
        return f"{self.name}-{self.version}.apk"

    @property
    def identity(self) -> str:
        """What the bytes of the package depend on, but for the key."""
        return identity({"converter": CONVERTER, "job": asdict(self)})


class Place(Noun, frozen=True):
    """Where the files of a conversion are: the Debian package (or empty), the key, the result, and room to work."""

    deb: str
    key: str
    destination: str
    scratch: str


def render_job(job: Job, place: Place) -> str:
    """Return a job and its place as JSON."""
    return encode((job, place)).decode()


def convert_package(text: str) -> str:
    """Make a package, in whatever process this is, and return the checksum that an index would name.

    Raises:
        ExtractError: the Debian package is broken.
        OutputError: the package cannot be written.
    """
    job, place = decode(text.encode(), tuple[Job, Place])
    try:
        with tempfile.TemporaryDirectory(dir=place.scratch, prefix=f"{job.name}.") as scratch:
            return _convert(job, place, Path(scratch))
    except OSError as error:
        raise output_error(Path(place.destination), error) from None


def _convert(job: Job, place: Place, scratch: Path) -> str:
    root = scratch / "root"
    root.mkdir()
    arch, effect = ARCHES[job.arch], Effect()
    if place.deb:
        keep = Filter(job.content.drop, frozenset(job.content.omit))
        unpack_deb(Path(place.deb), root, keep)
        variables = {"DPKG_MAINTSCRIPT_PACKAGE": job.name, "DEB_HOST_MULTIARCH": arch.multiarch}
        effect = apply_scripts(Path(place.deb), root, keep, variables)
        add_record(root)
    try:
        add_content(root, job.content, arch)
    except OSError as error:
        raise SeedError(
            f"what the table adds does not fit: {(error.strerror or '').lower()} {error.filename}", where=job.name
        ) from None
    tree = load_tree(job.name, root)
    info = PackageInfo(
        name=job.name,
        version=job.version,
        arch=job.arch,
        origin=job.origin or job.name,
        description=job.description,
        url=job.url,
        depends=job.depends,
        provides=(*job.provides, *effect.settle_provides(find_provides(tree, job.version, arch.multiarch, scratch))),
        replaces=_replaces(job, effect),
        replaces_priority=str(max(effect.priority, 0)) if effect.links else "",
    )
    entry = write_package(tree, info, scratch / "apk", mtime=0, signer=_load_signer(place.key), level=LEVEL)
    _deliver(scratch / "apk" / job.file_name, Path(place.destination))
    return entry.checksum


def _replaces(job: Job, effect: Effect) -> tuple[str, ...]:
    return tuple(
        sorted({*job.replaces, *(job.rivals if effect.links else ()), *(job.depends if effect.diverted else ())})
    )


@functools.lru_cache(maxsize=1)
def _load_signer(key: str) -> Signer:
    # Checking the key takes 36 ms, as long as many a package.
    return load_signer(Path(key))


def _deliver(file: Path, destination: Path) -> None:
    """Move a file to where it is seen, whole or not at all; the caller puts all of them on disk at once."""
    temporary = destination / f".{file.name}"
    shutil.move(file, temporary)
    temporary.replace(destination / file.name)


def add_content(root: Path, content: Content, arch: Arch) -> None:
    """Put what the table says into a tree; see suites/trixie.yaml for the names in braces."""

    def fill(text: str) -> str:
        return text.replace("{multiarch}", arch.multiarch).replace("{debian}", arch.debian)

    for path, mode in content.directories.items():
        (root / path).mkdir(parents=True, exist_ok=True)
        (root / path).chmod(mode)
    for path, text in content.files.items():
        _write(root, fill(path), fill(text).encode())
    for path, changes in content.edits.items():
        _edit(root, fill(path), {fill(old): fill(new) for old, new in changes.items()})
    for path, pattern in content.concatenate.items():
        parts = sorted(root.glob(pattern))
        _write(root, path, b"".join(part.read_bytes().rstrip(b"\n") + b"\n" for part in parts))
    for path, target in content.links.items():
        _make_room(root, fill(path)).symlink_to(fill(target))


def _write(root: Path, path: str, data: bytes) -> None:
    place = _make_room(root, path)
    place.write_bytes(data)
    place.chmod(0o644)


def _edit(root: Path, path: str, changes: Mapping[str, str]) -> None:
    """Replace texts in a file. One that Debian changed meanwhile is an error: silently, files would land elsewhere."""
    text = (root / path).read_text(encoding="utf-8")
    for old, new in changes.items():
        if text.count(old) != 1:
            raise SeedError(
                f"/{path} has the text {old.strip()!r} {text.count(old)} times, where the table expects it once",
                where=root.parent.name.rpartition(".")[0],
                hint="the suite's table has to follow this version of the package",
            )
        text = text.replace(old, new)
    # Written in place: the mode stays.
    (root / path).write_text(text, encoding="utf-8")


def _make_room(root: Path, path: str) -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.is_file():
        place.unlink()
    return place


def find_provides(tree: OutputTree, version: str, multiarch: str, scratch: Path) -> tuple[str, ...]:
    """Return what a package provides (`so:`, `cmd:`, `pc:`), as a scan of an own build would say it, and more.

    Debian's library directory counts as one: it is told to the scan as a file of /etc/ld.so.conf.d. Links are
    commands too, since most of Debian's are: gcc is a link to gcc-14.
    """
    conf = scratch / "loader/etc/ld.so.conf.d/debian.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f"/usr/lib/{multiarch}\n", encoding="utf-8")
    relatives = (tree, load_tree("loader", scratch / "loader"))
    found = scan_package(Subject(tree, version, relatives=relatives, quick=True)).provides
    more = {*_modules_and_links(tree, f"usr/lib/{multiarch}/pkgconfig")}
    # A scan provides links without a version; apk takes no package that has a name twice.
    return tuple(sorted({*(item for item in found if item not in more), *(f"{item}={version}" for item in more)}))


def _modules_and_links(tree: OutputTree, modules: str) -> Iterator[str]:
    for entry in tree:
        if entry.parent == modules and entry.name.endswith(".pc"):
            yield f"pc:{entry.name.removesuffix('.pc')}"
        if entry.kind is Kind.SYMLINK and entry.parent in _COMMANDS and is_name(f"cmd:{entry.name}"):
            yield f"cmd:{entry.name}"


def is_name(text: str) -> bool:
    """Tell whether a name can be provided."""
    try:
        return parse_atom(text).name == text
    except PackageFormatError:
        return False


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be removed: {(error.strerror or '').lower()}", where=str(path)) from None


def flush_files(paths: Iterable[Path]) -> None:
    """Wait until files are on disk.

    Raises:
        OutputError: one cannot be read or written.
    """
    for path in paths:
        try:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        except OSError as error:
            raise output_error(path, error) from None


@contextlib.contextmanager
def open_unpacking(fallback: Path) -> Iterator[Path]:
    """Make a directory to unpack in that is gone afterwards: in memory where there is room, else in `fallback`.

    Thousands of small files come and go; where a disk is slow at that, memory is five times faster (measured on
    ext4 with discard).

    Raises:
        OutputError: the place cannot be written.
    """
    make_directory(fallback)
    with scratch_directory(_MEMORY if _has_room(_MEMORY) else fallback, ".melpy-seed.") as directory:
        yield directory


def _has_room(directory: Path) -> bool:
    try:
        return os.access(directory, os.W_OK) and shutil.disk_usage(directory).free >= _ROOM
    except OSError:
        return False
