"""Archives unpack as GNU tar, unzip and GNU cpio unpack them; every difference has a reason below.

The other programs run with the options that make them comparable, which are differences, too:

- tar: `--delay-directory-restore`, else directories have the time at which tar wrote into them last; `-p` has it keep
  modes for an ordinary user as it does for root.
- unzip: `-V` and `-^`, else it cuts `;1` off names and drops control characters; TZ=UTC, as a zip has times of no zone.
  Names of zips that were made by DOS are ASCII here: unzip takes all of them for code page 850, even UTF-8.
- cpio: `--no-absolute-filenames`, since melpy takes absolute names for relative ones, as tar and unzip do.

`pytest --hypothesis-profile=thorough tests/property/test_unpack.py` tries 2,000 of each.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from melpy.codec import replace
from melpy.errors import ExtractError
from melpy.unpack import Limit, unpack_archive
from tests.factories.archive import (
    DIRECTORY,
    FILE,
    HARD_LINK,
    PIPE,
    SYMLINK,
    Found,
    Item,
    make_cpio,
    make_tar,
    make_zip,
    read_tree,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ENV = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.environ["PATH"]}
_SHORT = (
    b"a",
    b"b",
    b"c",
    b"d",
    b"a b",
    b"-x",
    b"..x",
    b"v;1",
    b"new\nline",
    b"back\\slash",
    b"\xff\xfe",
    b"e\xcc\x81",
)
NAMES = st.sampled_from([*_SHORT, "ü".encode(), *(bytes([97 + size % 26]) * size for size in (99, 155, 255))])
PREFIXES = st.sampled_from([b""] * 6 + [b"./", b"./", b"/", b".//", b"././", b"../", b"a/../"])
SLASHES = st.sampled_from([b"/"] * 8 + [b"//", b"/./"])
MODES = st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o555, 0o700, 0o1777, 0o2775, 0o4755, 0o6711, 0o666, 0o777, 0])
TIMES = st.sampled_from([0, 1, 42, 10**9, 2**31 - 1, 2**33, -1])
TARGETS = st.sampled_from([b"a", b"b", b"./c", b"a/b", b"../a", b"..", b".", b"/", b"/a", b"../../b", "ü".encode()])
KINDS = st.sampled_from([FILE] * 5 + [DIRECTORY] * 3 + [SYMLINK, SYMLINK, HARD_LINK, PIPE])


# Each of them starts two processes: a third of what other tests try.
COSTLY = settings(max_examples=settings().max_examples if settings().max_examples > 100 else 33)


@st.composite
def archives(draw: Any) -> list[Item]:  # it draws values of several types, which hypothesis cannot express
    items: list[Item] = []
    for number, kind in enumerate(draw(st.lists(KINDS, max_size=8))):
        # Half of them below, or in place of, another one.
        if items and draw(st.integers(0, 1)):
            path = draw(st.sampled_from(items)).path.rstrip(b"/") + draw(st.sampled_from([b"", b"/a", b"/b"]))
        else:
            path = draw(PREFIXES) + b"".join(draw(NAMES) + draw(SLASHES) for _ in range(draw(st.integers(0, 3))))
            path += draw(NAMES)
        files = [item.path for item in items if item.kind in {FILE, HARD_LINK}]
        if kind == HARD_LINK and not files:
            continue
        targets = TARGETS if kind == SYMLINK else st.sampled_from(files if kind == HARD_LINK else [b""])
        items.append(
            Item(
                path + b"/" * (kind == DIRECTORY),
                kind,
                content=b"%d" % number if kind == FILE else b"",
                mode=draw(MODES),
                target=draw(targets),
                mtime=draw(TIMES),
            )
        )
    return items


@dataclass
class Case:
    """An archive that melpy and another program unpack side by side.

    Attributes:
        items: what is in the archive.
        strip: leading components that are removed.
        refusal: why melpy did not unpack it.
        complaint: why the other program did not.
        notes: what melpy says of it.
    """

    items: Sequence[Item]
    directory: Path
    strip: int = 0
    refusal: str = ""
    complaint: str = ""
    notes: tuple[str, ...] = ()

    def unpack(self, data: bytes, command: Sequence[str], good: Sequence[int] = (0,)) -> None:
        archive = self.directory / "archive"
        archive.write_bytes(data)
        ours, theirs = self.directory / "ours", self.directory / "theirs"
        ours.mkdir()
        theirs.mkdir()
        try:
            self.notes = unpack_archive(archive, ours, strip=self.strip)
        except ExtractError as error:
            self.refusal = str(error)
        # In a sandbox: GNU tar writes to `/b` when one component is stripped from `a//b`.
        sandbox = ["bwrap", "--ro-bind", "/", "/", "--bind", str(theirs), str(theirs), "--chdir", str(theirs)]
        argv = [*sandbox, "/bin/sh", "-c", 'umask 022; exec "$@"', "sh", *command]
        with archive.open("rb") as stream:
            ended = subprocess.run(argv, stdin=stream, env=ENV, capture_output=True, check=False)
        lines = ended.stderr.decode(errors="replace").splitlines()
        if ended.returncode not in good or (command[0] == "cpio" and any("Removing" not in line for line in lines)):
            # cpio ends with status 0 when it could not make a symlink.
            self.complaint = "\n".join(lines) or f"status {ended.returncode}"

    def differences(self) -> Iterator[Difference]:
        ours, theirs = read_tree(self.directory / "ours"), read_tree(self.directory / "theirs")
        for path in sorted({*ours, *theirs}):
            if ours.get(path) != theirs.get(path):
                yield Difference(self, path, ours.get(path), theirs.get(path))


@dataclass
class Difference:
    """One path that is not the same after both."""

    case: Case
    path: bytes
    ours: Found | None
    theirs: Found | None

    def is_of_time(self, kind: str) -> bool:
        """Tell whether only the times differ, and theirs is now."""
        if not self.ours or not self.theirs or self.ours.kind != kind:
            return False
        same = replace(self.ours, mtime=self.theirs.mtime) == self.theirs
        return same and time.time_ns() - self.theirs.mtime < 60 * 10**9

    def is_pipe(self) -> bool:
        """Tell whether it is a pipe there, or a directory that has nothing else."""
        if self.theirs and self.theirs.kind == PIPE:
            return True
        parts = split(self.path)
        pipes = [split(item.path) for item in self.case.items if item.kind == PIPE]
        starts = range(self.case.strip + 1)
        return self.ours is None and any(pipe[n : n + len(parts)] == parts for pipe in pipes for n in starts)

    def is_late_link(self) -> bool:
        """Tell whether it is a symlink that may lead out there, at a path that has another member."""
        if not self.theirs or self.theirs.kind != SYMLINK or not {b"..", b""} & {*self.theirs.content.split(b"/")}:
            return False
        return any("two" in note for note in self.case.notes)

    def was_directory(self) -> bool:
        """Tell whether it has the mode or time that another directory of its name was to have."""
        if not self.ours or not self.theirs or not any("two" in note for note in self.case.notes):
            return False
        same = replace(self.ours, mtime=self.theirs.mtime, mode=self.theirs.mode) == self.theirs
        return same and any(item.kind == DIRECTORY for item in self.case.items)

    def is_spelt_twice(self) -> bool:
        """Tell whether it differs in mode or time, and a directory is named in two ways, such as `a` and `./a`."""
        if not self.ours or not self.theirs or self.ours.kind != DIRECTORY:
            return False
        same = replace(self.ours, mtime=self.theirs.mtime, mode=self.theirs.mode) == self.theirs
        spelt = {item.path for item in self.case.items if item.kind == DIRECTORY}
        return same and len(spelt) > len({tuple(split(path)) for path in spelt})

    def is_linked_twice(self) -> bool:
        """Tell whether a name of a hard link comes twice."""
        paths = [tuple(split(item.path)) for item in self.case.items]
        links = [tuple(split(item.path)) for item in self.case.items if item.kind == HARD_LINK]
        return any(paths.count(link) > 1 for link in links)

    def was_there(self) -> bool:
        """Tell whether it is a directory that had something in it before a member names it."""
        path = split(self.path)
        named = [place for place, item in enumerate(self.case.items) if is_directory(item) and split(item.path) == path]
        below = [place for place, item in enumerate(self.case.items) if split(item.path)[: len(path)] == path]
        return bool(named) and min(below) < named[-1]


def is_directory(item: Item) -> bool:
    return item.kind == DIRECTORY


def split(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in {b"", b"."}]


def leads_up(case: Case) -> bool:
    is_refused = "outside" in case.refusal or "'..'" in case.refusal
    return is_refused and any(b".." in split(item.path) for item in case.items)


def goes_through_itself(case: Case) -> bool:
    """Tell whether a member goes through a symlink to the directory that it is in, so that it may replace that link."""
    members = [(split(item.path), item) for item in case.items]
    circles = [path for path, item in members if item.kind == SYMLINK and item.target in {b".", *path[-1:]}]
    return any(path[: len(link)] == link and len(path) > len(link) for path, _ in members for link in circles)


def has_place_of_another(case: Case, *kinds: str) -> bool:
    """Tell whether a member has, or needs, the place of another one, which is of these kinds."""
    for number, item in enumerate(case.items):
        for other in case.items[:number]:
            path, place = split(item.path), split(other.path)
            if (place == path[: len(place)] and other.kind in kinds) or (path == place and item.kind in kinds):
                return True
    return False


@dataclass(frozen=True)
class Program:
    """Another program, and how melpy differs from it.

    Attributes:
        differences: reasons why paths differ.
        refusals: reasons why one of the two does not unpack what the other does.
    """

    differences: dict[str, Callable[[Difference], bool]]
    refusals: dict[str, Callable[[Case], bool]]

    def check(self, case: Case) -> None:
        try:
            if bool(case.refusal) != bool(case.complaint):
                reasons = [reason for reason, is_it in self.refusals.items() if is_it(case)]
                assert reasons, (case.refusal, case.complaint, case.items)
            elif not case.refusal:
                for difference in case.differences():
                    reasons = [reason for reason, is_it in self.differences.items() if is_it(difference)]
                    assert reasons, (difference.path, difference.ours, difference.theirs, case.items)
        finally:
            # Some archives close directories to their owner, who cleans up here.
            subprocess.run(["chmod", "-R", "u+rwx", "--", case.directory], check=False)


TAR = Program(
    differences={
        "melpy leaves out pipes, and directories that have nothing else": Difference.is_pipe,
        "directories that no member names have the time of now": lambda it: it.is_of_time(DIRECTORY),
        "tar makes symlinks that may lead out at the end, even where a later file got the same inode": (
            Difference.is_late_link
        ),
        "tar gives what took the place of a directory the mode and time of that": Difference.was_directory,
        "tar gives a directory that is named in two ways the mode and time of one of them": Difference.is_spelt_twice,
        "tar replaces a symlink to its own directory later than melpy": lambda it: goes_through_itself(it.case),
    },
    refusals={
        "tar takes what follows a doubled slash for an absolute name": (
            lambda case: bool(case.complaint and case.strip) and any(b"//" in item.path for item in case.items)
        ),
        "tar makes symlinks that may lead out at the end, so none of its files can be written through them": (
            lambda case: bool(case.complaint) and any({b"..", b""} & {*item.target.split(b"/")} for item in case.items)
        ),
        "melpy leaves out pipes, even where they could not be made": (
            lambda case: bool(case.complaint) and any(item.kind == PIPE for item in case.items)
        ),
        "tar replaces a symlink to its own directory later than melpy": goes_through_itself,
    },
)
UNZIP = Program(
    differences={
        "directories that no member names have the time of now": lambda it: it.is_of_time(DIRECTORY),
        "symlinks have the time of now": lambda it: it.is_of_time(SYMLINK),
        "unzip leaves a directory as it is that is there already": Difference.was_there,
    },
    refusals={
        "unzip leaves `..` out of names, melpy refuses them": leads_up,
        "unzip has no directory take the place of a file": (
            lambda case: bool(case.complaint) and has_place_of_another(case, FILE, SYMLINK)
        ),
    },
)
CPIO = Program(
    differences={
        "melpy leaves out pipes, and directories that have nothing else": Difference.is_pipe,
        "directories that no member names have the time of now": lambda it: it.is_of_time(DIRECTORY),
        "symlinks have the time of now": lambda it: it.is_of_time(SYMLINK),
        "cpio leaves a directory as it is that is there already": Difference.was_there,
        "cpio gives what took the place of a directory the mode and time of that": Difference.was_directory,
        "cpio makes hard links when it has met all names of a file": Difference.is_linked_twice,
        "cpio writes through no symlink, and may make a directory of one": (
            lambda it: has_place_of_another(it.case, SYMLINK)
        ),
    },
    refusals={
        "cpio writes through no symlink, and may make a directory of one": (
            lambda case: bool(case.complaint or "symlink" in case.refusal) and has_place_of_another(case, SYMLINK)
        ),
        "cpio leaves `..` out of names, melpy refuses them": leads_up,
        "melpy leaves out pipes, even where they could not be made": (
            lambda case: bool(case.complaint) and any(item.kind == PIPE for item in case.items)
        ),
        "cpio gives what took the place of a directory the mode and time of that, or tries to": (
            lambda case: "Cannot change mode" in case.complaint or "Cannot utime" in case.complaint
        ),
        "cpio makes hard links when it has met all names of a file": (
            lambda case: (
                any(item.kind == HARD_LINK for item in case.items) and has_place_of_another(case, FILE, HARD_LINK)
            )
        ),
    },
)


@COSTLY
@given(items=archives(), form=st.sampled_from(["v7", "ustar", "gnu", "pax"]), strip=st.sampled_from([0, 0, 1, 2]))
def test_tars(require: Callable[..., None], items: list[Item], form: str, strip: int) -> None:
    require("tar", "bwrap")
    try:
        data = make_tar(items, form)
    except ValueError:  # the format has no room for it
        return
    options = [f"--strip-components={strip}", "--no-same-owner", "--delay-directory-restore", "-p"]
    with TemporaryDirectory() as directory:
        case = Case(items, Path(directory), strip)
        case.unpack(data, ["tar", "-x", *options, "-f", "-"])
        TAR.check(case)


@COSTLY
@given(items=archives(), system=st.sampled_from([3, 3, 0]))
def test_zips(require: Callable[..., None], items: list[Item], system: int) -> None:
    require("unzip", "bwrap")
    items = [item for item in items if item.kind in {FILE, DIRECTORY, SYMLINK}]
    if system == 0:
        items = [item for item in items if item.path.isascii()]
    with TemporaryDirectory() as directory:
        case = Case(items, Path(directory))
        case.unpack(make_zip(items, system=system), ["unzip", "-q", "-o", "-V", "-^", "../archive"], good=(0, 1))
        UNZIP.check(case)


@COSTLY
@given(items=archives(), form=st.sampled_from(["newc", "odc"]))
def test_cpios(require: Callable[..., None], items: list[Item], form: str) -> None:
    require("cpio", "bwrap")
    # Its times are 32 bits, or 33, and directories have no slash at the end.
    items = [replace(item, mtime=abs(item.mtime) % 2**31, path=item.path.rstrip(b"/")) for item in items]
    with TemporaryDirectory() as directory:
        case = Case(items, Path(directory))
        options = ["--no-absolute-filenames", "--no-preserve-owner", "--quiet"]
        case.unpack(make_cpio(items, form), ["cpio", "-idmu", *options])
        CPIO.check(case)


DAMAGE = st.sampled_from([b"", b"\0" * 8, b"\xff" * 8, b"99999999", b"7777777", b"../../", b"\x80" + b"\xff" * 7])


@given(
    items=archives(),
    form=st.sampled_from(["v7", "gnu", "pax", "zip", "newc", "odc"]),
    damage=st.lists(st.tuples(st.floats(0, 1), DAMAGE, st.integers(0, 40)), min_size=1, max_size=4),
)
def test_damaged_archives_are_unpacked_or_refused(
    items: list[Item], form: str, damage: list[tuple[float, bytes, int]]
) -> None:
    items = [replace(item, mtime=abs(item.mtime) % 2**31) for item in items]
    if form in {"newc", "odc"}:
        data = make_cpio(items, form)
    elif form == "zip":
        data = make_zip([item for item in items if item.kind in {FILE, DIRECTORY, SYMLINK}])
    else:
        try:
            data = make_tar(items, form)
        except ValueError:  # the format has no room for it
            return
    for place, new, size in damage:
        start = int(len(data) * place)
        data = data[:start] + new + data[start + size :]
    with TemporaryDirectory() as directory:
        (Path(directory) / "archive").write_bytes(data)
        (Path(directory) / "out").mkdir()
        with suppress(ExtractError):
            unpack_archive(Path(directory) / "archive", Path(directory) / "out", limit=Limit(10**7, 1000))
        assert sorted(path.name for path in Path(directory).iterdir()) == ["archive", "out"]
        subprocess.run(["chmod", "-R", "u+rwx", "--", directory], check=False)
