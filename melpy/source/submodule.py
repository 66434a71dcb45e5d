"""The submodules that a commit names: in its tree the commits, in its .gitmodules the repositories."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.errors import UnreachableError
from melpy.plan.git import check_repository, is_local
from melpy.source.git_command import complaint, git

if TYPE_CHECKING:
    from pathlib import Path


_MOST_DIGITS = 6  # of the bytes of .gitmodules


class Link(Noun, frozen=True):
    """A submodule as a commit names it.

    Attributes:
        path: where it goes, relative to the top.
        name: what .gitmodules calls it.
        url: its repository.
        commit: its commit.
    """

    path: str
    name: str
    url: str
    commit: str


def find_links(repository: Path, commit: str, url: str) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Return the submodules of a commit, and the paths of those that .gitmodules does not explain.

    Args:
        repository: a repository that has the commit.
        commit: the commit.
        url: where the repository comes from; relative URLs count from there.

    Raises:
        UnreachableError: .gitmodules cannot be read, or names a repository that may not be fetched from.
    """
    size = git(repository, "cat-file", "-s", f"{commit}:.gitmodules", check=False)
    if size.status:
        return (), ()
    if len(size.stdout.strip()) > _MOST_DIGITS:
        raise UnreachableError("its .gitmodules is too large", where=url, hint="do not trust this repository")
    modules = _modules(repository, commit, url)
    links, strays = [], []
    for entry in git(repository, "ls-tree", "-r", "-z", commit).stdout.split("\0"):
        facts, _, path = entry.partition("\t")
        if not facts.startswith("160000 "):
            continue
        name, module = modules.get(path, ("", {}))
        if not module.get("url"):
            strays.append(path)
        elif module.get("update") != "none":
            links.append(Link(path, name, _checked(resolve_url(url, module["url"]), url), facts.split()[2]))
    return tuple(links), tuple(strays)


def resolve_url(base: str, url: str) -> str:
    """Return a submodule's URL, which may be relative to that of the repository around it."""
    if not url.startswith(("./", "../")):
        return url
    base = base.rstrip("/")
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        if step == "..":
            parent = re.fullmatch(r"(.*)([/:])[^/:]+", base)
            base = (f"{parent[1]}:" if parent[2] == ":" else parent[1]) if parent else ""
    return f"{base}{url}" if base.endswith(":") else f"{base}/{url}"


def _modules(repository: Path, commit: str, url: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Return what .gitmodules says, by path."""
    # An include would have git read files of this machine.
    listed = git(repository, "config", "--no-includes", "--blob", f"{commit}:.gitmodules", "-z", "--list", check=False)
    if listed.status:
        hint = "do not trust this repository"
        raise UnreachableError("its .gitmodules cannot be read", where=url, hint=hint, details=complaint(listed))
    text = listed.stdout
    found: dict[str, dict[str, str]] = {}
    for entry in text.split("\0"):
        key, _, value = entry.partition("\n")
        match = re.fullmatch(r"submodule\.(.+)\.([a-z]+)", key, re.DOTALL)
        if match:
            found.setdefault(match[1], {})[match[2]] = value
    return {module["path"].rstrip("/"): (name, module) for name, module in found.items() if module.get("path")}


def _checked(url: str, around: str) -> str:
    problem = check_repository(url)
    if not problem and is_local(url) and not is_local(around):
        problem = f"a submodule may not be a repository of this machine: {url!r}"
    if problem:
        raise UnreachableError(problem, where=f"a submodule of {around}", hint="do not trust this repository")
    return url
