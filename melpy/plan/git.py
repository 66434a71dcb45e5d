"""What a `git-checkout` step asks for: read from its inputs, and checked before anything is fetched."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote, urlsplit

from melpy.codec import Noun, PartNoun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NATIVE = "git-checkout"
ALL = 0
"""The depth of a whole history."""

_SCHEMES = ("https", "http", "git", "ssh", "file")
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?![/:])[^\s]+")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_NO_REF = re.compile(r"\.\.|[\x00-\x20\x7f~^:?*\[\\]|@\{|//|/\.|\.lock(?:/|$)|^[-./]|[./]$|^@$")
_PICK = re.compile(r"(?:(?P<branch>.+)/)?(?P<commit>[^/]+)")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,40}")
_LARGEST = 1_000_000
_MOST_JOBS = 8  # fetches at once


class InputError(ValueError):
    """An input of the step has a value that cannot be.

    Args:
        key: name of the input.
        message: what is wrong, lower case.
        hint: what to do about it.
        offset: where in the value it is.
    """

    def __init__(self, key: str, message: str, hint: str | None = None, offset: int = 0) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint
        self.offset = offset


class CherryPick(Noun, frozen=True):
    """A commit that is applied on top; its branch only helps to find it."""

    commit: str
    branch: str = ""


class Patience(Noun, frozen=True):
    """How often a server is asked, and the seconds in between."""

    retries: int = 3
    initial: int = 2
    longest: int = 60


class GitSource(PartNoun, frozen=True, tag="git"):
    """A checkout of a git repository.

    Attributes:
        repository: its URL, or an absolute path.
        branch: branch, or empty.
        tag: tag, or empty; without both it is the repository's HEAD.
        commit: commit or tag object that is expected, in lower-case hex, or empty.
        tip: the branch must end at the commit.
        depth: commits of history; 0 for all.
        submodules: submodules are checked out as well.
        shallow_submodules: submodules have one commit of history.
        jobs: submodules that are fetched at the same time.
        cherry_picks: commits to apply on top, in order.
        sparse_paths: directories to check out; everything when empty.
        patience: how failures to reach it are met.
    """

    repository: str
    branch: str = ""
    tag: str = ""
    commit: str = ""
    tip: bool = False
    depth: int = 1
    submodules: bool = False
    shallow_submodules: bool = False
    jobs: int = 1
    cherry_picks: tuple[CherryPick, ...] = ()
    sparse_paths: tuple[str, ...] = ()
    patience: Patience = Patience()

    uncounted: ClassVar = ("patience",)  # how they are fetched: two may differ in that and be the same

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, str]) -> GitSource:
        """Return the source that the inputs of a `git-checkout` step name.

        Raises:
            InputError: an input has a value that cannot be.
        """
        commit = inputs["expected-commit"].lower()
        source = cls(
            repository=_repository(inputs["repository"]),
            branch=_ref(inputs, "branch"),
            tag=_ref(inputs, "tag"),
            commit=commit,
            tip=_flag(inputs, "expected-commit-is-branch-tip"),
            depth=_depth(inputs),
            submodules=_flag(inputs, "recurse-submodules"),
            shallow_submodules=_flag(inputs, "shallow-submodules"),
            jobs=_jobs(inputs),
            cherry_picks=tuple(_picks(inputs["cherry-picks"])),
            sparse_paths=tuple(_sparse_path(path) for path in inputs["sparse-paths"].split()),
            patience=Patience(*(_number(inputs, key) for key in ("max-retries", "initial-backoff", "max-backoff"))),
        )
        _check_together(source)
        return source

    @property
    def name(self) -> str:
        """What the repository is called: the last part of its URL, without `.git`."""
        return re.split(r"[/:]", self.repository.rstrip("/"))[-1].removesuffix(".git")

    @property
    def version(self) -> str:
        """What is checked out: tag, commit, branch or HEAD."""
        return self.tag or self.commit or self.branch or "HEAD"

    @property
    def location(self) -> str:
        """The repository and what is checked out, as SPDX and purls write it: `git+https://…@commit`."""
        return f"git+{repository_url(self.repository)}@{self.commit or self.version}"

    @property
    def material(self) -> dict[str, str]:
        """What it is, for the record of a build; digests are named as in-toto names them."""
        return {"uri": self.location, "gitCommit": self.commit}


def repository_url(repository: str) -> str:
    """Return a repository as a URL, whether it is one, a path or of the form `user@host:path`."""
    if repository.startswith("/"):
        return f"file://{repository}"
    if "://" not in repository:
        host, _, path = repository.partition(":")
        return f"ssh://{host}/{path}"
    return repository


def is_local(repository: str) -> bool:
    """Tell whether a repository is on this machine."""
    return repository.startswith(("/", "file://"))


def check_repository(repository: str) -> str | None:
    """Return why this is no repository that melpy fetches from; None when it is one."""
    if repository.startswith("-") or _UNPRINTABLE.search(repository):
        return f"not a repository: {repository!r}"
    if "://" in repository:
        return _check_url(repository)
    is_scp = _SCP.fullmatch(repository) and repository.partition(":")[0] not in _SCHEMES
    return None if is_scp or repository.startswith("/") else f"not a repository: {repository!r}"


def _check_url(repository: str) -> str | None:
    try:
        parts = urlsplit(repository)
        _ = parts.port
    except ValueError:
        return f"not a URL: {repository!r}"
    if re.search(r"[\x00-\x1f\x7f]", unquote(repository)):
        return f"not a URL: {repository!r}"
    if parts.scheme not in _SCHEMES or not repository.startswith(f"{parts.scheme}://"):
        return f"git cannot fetch such URLs here: {repository!r}"
    if parts.scheme == "file":
        fits = not parts.netloc and parts.path.startswith("/")
        return None if fits else f"not a file of this machine: {repository!r}"
    if parts.password is not None or (parts.username is not None and parts.scheme in {"http", "https"}):
        return "holds credentials, which would end up in packages"
    # What begins with a hyphen would be an option of ssh.
    fits = bool(parts.hostname) and not parts.netloc.startswith("-") and not (parts.hostname or "-").startswith("-")
    return None if fits else f"names no host: {repository!r}"


def _repository(text: str) -> str:
    problem = check_repository(text)
    if problem:
        raise InputError("repository", problem, "give an https, http, git, ssh or file URL, or an absolute path")
    return text


def _ref(inputs: Mapping[str, str], key: str) -> str:
    value = inputs[key]
    if value and _NO_REF.search(value):
        raise InputError(key, f"not a {key}: {value!r}", "see git check-ref-format")
    return value


def _flag(inputs: Mapping[str, str], key: str) -> bool:
    value = inputs[key]
    if value not in {"true", "false"}:
        raise InputError(key, f"{key} must be true or false, found {value!r}")
    return value == "true"


def _number(inputs: Mapping[str, str], key: str, smallest: int = 0) -> int:
    value = inputs[key]
    if not re.fullmatch(r"[0-9]{1,7}", value) or not smallest <= int(value) <= _LARGEST:
        raise InputError(key, f"{key} must be a number from {smallest}, found {value!r}")
    return int(value)


def _jobs(inputs: Mapping[str, str]) -> int:
    """Return how many submodules are fetched at once; the usual question for the number of cores is understood."""
    if inputs["submodule-jobs"].strip() == "$(nproc)":
        return _MOST_JOBS
    return min(_number(inputs, "submodule-jobs", smallest=1), _MOST_JOBS)


def _depth(inputs: Mapping[str, str]) -> int:
    value = inputs["depth"]
    tip = inputs["expected-commit-is-branch-tip"] == "true"
    if value == "unset":
        return ALL if inputs["branch"] and inputs["expected-commit"] and not tip else 1
    if value == "-1":
        return ALL
    try:
        return _number(inputs, "depth", smallest=1)
    except InputError:
        raise InputError("depth", f"depth must be a number from 1, -1 or unset, found {value!r}") from None


def _picks(text: str) -> Iterator[CherryPick]:
    offset = 0
    for line in text.splitlines(keepends=True):
        entry = line.partition("#")[0].strip()
        if entry:
            try:
                yield _pick(entry)
            except InputError as error:
                at = offset + len(line) - len(line.lstrip())
                raise InputError(error.key, error.message, error.hint, at) from None
        offset += len(line)


def _pick(entry: str) -> CherryPick:
    what, _, comment = entry.partition(":")
    hint = "write `[branch/]commit: comment`, the commit in 7 to 40 hex digits; what follows # does not count"
    if not comment.strip():
        raise InputError("cherry-picks", f"a cherry-pick needs a comment: {entry!r}", hint)
    match = _PICK.fullmatch(what.strip())
    if not match or not _COMMIT.fullmatch(match["commit"]):
        raise InputError("cherry-picks", f"not a commit: {what.strip()!r}", hint)
    branch = match["branch"] or ""
    if _NO_REF.search(branch):
        raise InputError("cherry-picks", f"not a branch: {branch!r}", "see git check-ref-format")
    return CherryPick(match["commit"].lower(), branch)


def _sparse_path(path: str) -> str:
    parts = PurePosixPath(path.lstrip("/")).parts
    if not parts or ".." in parts or re.search(r"[\"\\*?\[\]!#\x00-\x1f]", path) or path.startswith("-"):
        raise InputError("sparse-paths", f"not a directory of the repository: {path!r}")
    return "/".join(parts)


def _check_together(source: GitSource) -> None:
    if source.branch and source.tag:
        raise InputError("tag", "either branch or tag, not both", "a tag is the better choice, it does not move")
    if not source.tip:
        return
    key = "expected-commit-is-branch-tip"
    if source.tag:
        raise InputError(key, f"{key} is for branches, not for tags")
    for needed, value in (("branch", source.branch), ("expected-commit", source.commit)):
        if not value:
            raise InputError(key, f"{key} needs {needed}")
