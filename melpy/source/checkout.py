"""A commit of a mirror becomes a working tree of its own, which needs the mirror no more.

The files are the same for the same commit, their times are the commit's. Inside `.git`, what is packed depends on
what else the mirror has, and the index holds facts of the file system; neither changes what git says of the tree.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import StepFailedError
from melpy.plan.git import ALL
from melpy.source.git_command import IDENTITY, git
from melpy.source.mirror import shared
from melpy.text import quote_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.source.git import Pinned

_FIRST_DATE = 315532800  # 1980, before which some archives have no dates
_LAST_DATE = 2**32 - 2
_FETCHED = "refs/melpy/fetched"
_CONFIG_NAME = re.compile(r"[A-Za-z0-9._/+@ -]+")


def check_out(pinned: Pinned, directory: Path, epoch: int, on_line: Callable[[str], None]) -> None:
    """Check a commit out into a new directory of melpy's own, with cherry-picks and submodules.

    Args:
        pinned: the commit.
        directory: where to; it is not there yet.
        epoch: SOURCE_DATE_EPOCH, the date of commits that are made.
        on_line: is told what is done.

    Raises:
        StepFailedError: a cherry-pick does not apply.
        ProcessError: git cannot check it out.
    """
    _check_out(pinned, directory)
    time = _time(directory, pinned.commit)
    for mirror, commit in pinned.picks:
        on_line(f"cherry-picking {commit}")
        _pick(pinned, directory, mirror, commit, epoch)
    _add_submodules(pinned, directory, on_line)
    _settle(directory, time)


def _check_out(pinned: Pinned, directory: Path) -> None:
    source = pinned.source
    directory.mkdir()
    git(directory, "init", "--quiet", "--template=", f"--initial-branch={source.branch or 'main'}", ".")
    # The places where builds leave what git is to ignore and to run; here they are empty.
    for name in ("info", "hooks"):
        (directory / ".git" / name).mkdir()
    (directory / ".git/info/exclude").touch()
    for key, value in _config(pinned):
        git(directory, "config", key, value)
    kept = f"refs/tags/{source.tag}" if source.tag else f"refs/remotes/origin/{source.branch or 'HEAD'}"
    # Not straight into its place: the tags that come with it may hold the same one.
    oid = pinned.tag_object or pinned.commit
    _fetch(directory, pinned.mirror, oid, depth=source.depth)
    git(directory, "update-ref", kept, oid)
    git(directory, "update-ref", "-d", _FETCHED)
    if source.sparse_paths:
        git(directory, "sparse-checkout", "set", "--cone", "--stdin", stdin="\n".join(source.sparse_paths) + "\n")
    where = ["-B", source.branch] if source.branch else ["--detach"]
    git(directory, "checkout", "--quiet", "--force", *where, pinned.commit, "--")


def _config(pinned: Pinned) -> list[tuple[str, str]]:
    source = pinned.source
    name, address = IDENTITY
    pairs = [
        ("user.name", name),
        ("user.email", address),
        ("advice.detachedHead", "false"),
        # Steps see other owners, devices and change times than the index, but the same files.
        ("core.checkStat", "minimal"),
        ("core.trustctime", "false"),
        ("remote.origin.url", source.repository),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
    ]
    if source.branch:
        pairs += [
            (f"branch.{source.branch}.remote", "origin"),
            (f"branch.{source.branch}.merge", f"refs/heads/{source.branch}"),
        ]
    return pairs


def _fetch(directory: Path, mirror: Path, oid: str, *, depth: int, tags: bool = True) -> None:
    cut = [*([f"--depth={depth}"] if depth != ALL else []), *([] if tags else ["--no-tags"])]
    with shared(mirror):
        git(
            directory,
            *(
                "fetch",
                "--quiet",
                "--no-write-fetch-head",
                "--update-shallow",
                *cut,
                "--",
                mirror.as_uri(),
                f"+{oid}:{_FETCHED}",
            ),
            local=True,
        )


def _time(directory: Path, commit: str) -> int:
    text = git(directory, "show", "--no-patch", "--format=%ct", commit, "--").stdout.strip()
    return min(max(int(text), 0), _LAST_DATE) if re.fullmatch(r"-?[0-9]{1,18}", text) else 0


def _pick(pinned: Pinned, directory: Path, mirror: Path, commit: str, epoch: int) -> None:
    # Its own parent is all that it takes; a whole history stays whole.
    whole = pinned.source.depth == ALL
    _fetch(directory, mirror, commit, depth=ALL if whole else 2, tags=False)
    date = f"@{max(epoch, _FIRST_DATE)} +0000"
    outcome = git(directory, "cherry-pick", "-x", commit, check=False, environment={"GIT_COMMITTER_DATE": date})
    git(directory, "update-ref", "-d", _FETCHED)
    if outcome.status:
        lines = [line for line in (outcome.stdout + outcome.stderr).splitlines() if not line.startswith("hint:")]
        hint = "cherry-pick what it builds on first, or leave it out"
        message = f"commit {commit} cannot be cherry-picked"
        raise StepFailedError(
            message, where=pinned.source.repository, hint=hint, details=[quote_line(line) for line in lines[-20:]]
        )


def _add_submodules(pinned: Pinned, directory: Path, on_line: Callable[[str], None]) -> None:
    for link, child in pinned.submodules:
        place = directory / link.path
        # git makes the empty directory, unless sparse-paths leave it out, or a cherry-pick took it away.
        if place.is_symlink() or not place.is_dir() or place.resolve() != directory.resolve() / link.path:
            continue
        if any(place.iterdir()):
            raise StepFailedError(f"a cherry-pick put files where submodule {link.path!r} goes", where=link.url)
        on_line(f"submodule {link.path}: {child.source.repository} at commit {child.commit}")
        place.rmdir()
        _check_out(child, place)
        if _CONFIG_NAME.fullmatch(link.name):
            git(directory, "config", f"submodule.{link.name}.active", "true")
            git(directory, "config", f"submodule.{link.name}.url", link.url)
        _add_submodules(child, place, on_line)


def _settle(directory: Path, time: int) -> None:
    """Give all files the same time, and modes that no umask decides; tell the indexes."""
    repositories = []
    for name, directories, files in os.walk(directory, topdown=False):
        parent = Path(name)
        if parent.name == ".git" and "index" in files:
            repositories.append(parent)
        for entry in (*files, *directories, "."):
            path = parent / entry
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                read_only = 0o444 if not mode & stat.S_IWUSR else 0o644
                path.chmod(0o755 if mode & stat.S_IXUSR else read_only)
            elif stat.S_ISDIR(mode):
                path.chmod(0o755)
            os.utime(path, (time, time), follow_symlinks=False)
    for repository in repositories:
        git(repository.parent, "update-index", "-q", "--refresh", check=False)
        (repository / "index").chmod(0o644)
        # An index that is no newer than the files would have git read them all.
        os.utime(repository / "index", (time + 1, time + 1))
        os.utime(repository, (time, time))
