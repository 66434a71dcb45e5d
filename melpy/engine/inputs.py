"""The inputs of a build: all that decides the bytes of its packages, and the two digests of it.

The key is of the inputs without the recipe's revision: a recipe whose packages have the key is up to date, be it
committed anew, moved or commented. The identity is of the key and the revision: a build with the same identity makes
the same bytes.

Not among the inputs is how a run makes the packages: limits, locations, native tools, debugging, attempts. Forms of
digests have keys of their own, apart from Python's names, and are named after versions; tests hold them.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.archive import COMPRESSOR
from melpy.apk.segment import read_segments
from melpy.bound import open_file
from melpy.build.workspace import is_executable
from melpy.codec import Noun, encode
from melpy.digest import file_digest, identity, sha256_hex
from melpy.engine.history import Revision
from melpy.errors import PackageFormatError, reason_of
from melpy.pack.content import find_content
from melpy.plan.form import render_key_form
from melpy.plan.git import GitSource
from melpy.plan.model import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from melpy.plan.model import Source
    from melpy.solve.model import Offer, Solution

RULES = 1
"""Another number whenever scan, pack or builtin steps make other packages of the same files and scripts."""

KEY_FORM = "melpy-key-1"
IDENTITY_FORM = "melpy-identity-1"


class EnvironmentPackage(Noun, frozen=True):
    """A package of the environment: one that was built here by its content, any other by its checksum.

    Attributes:
        name: its name.
        version: its full version.
        content: content digest, SHA-256 in hex; empty where the package counts by its checksum.
        checksum: checksum as in indexes, `Q1…`; empty where the package counts by its content.
    """

    name: str
    version: str
    content: str = ""
    checksum: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as packages and digests name it."""
        identified = {"content": self.content} if self.content else {"checksum": self.checksum}
        return {"name": self.name, "version": self.version, **identified}


class SourceDigest(Noun, frozen=True):
    """A source by digest; where the recipe states none, by that of what was fetched.

    Attributes:
        uri: where upstream offers it; of a git repository with the commit.
        sha256: SHA-256 of a file in hex, or empty.
        sha512: SHA-512 of a file in hex, or empty.
        commit: commit of a git repository, or empty.
    """

    uri: str
    sha256: str = ""
    sha512: str = ""
    commit: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as packages and digests name it; digests are named as in-toto names them."""
        if self.commit:
            return {"uri": self.uri, "gitCommit": self.commit}
        return {"uri": self.uri, "sha256": self.sha256, "sha512": self.sha512}


class RecipeFile(Noun, frozen=True):
    """A file of the directory of a recipe.

    Attributes:
        path: path below the directory, with slashes.
        kind: `file`, `executable`, `directory` or `symlink`.
        value: SHA-256 of a file in hex, target of a symlink, else empty.
    """

    path: str
    kind: str
    value: str = ""


class Distribution(Noun, frozen=True):
    """What the packages belong to, as their SBOMs and .PKGINFO say.

    Attributes:
        namespace: name of the distribution, as in purls.
        repository: URL of the repository of the recipes, or empty.
        licence: licence of the recipes themselves, or empty.
    """

    namespace: str = "unknown"
    repository: str = ""
    licence: str = ""


class Inputs(Noun, frozen=True, dict=True):
    """All that decides the bytes of the packages of a build.

    Attributes:
        plan: the recipe for an architecture.
        environment: the exact packages that it is built in, by name.
        sources: what its steps fetch, in order.
        files: the files of the recipe's directory, by path.
        distribution: what the packages belong to.
        network: whether all steps see the network, or only those that say so.
        build_cache: kind of the build cache, which steps may take files of earlier builds from.
        revision: the recipe's last commit.
        compressor: what writes the archives.
        rules: `RULES`.
    """

    plan: Plan
    environment: tuple[EnvironmentPackage, ...]
    sources: tuple[SourceDigest, ...]
    files: tuple[RecipeFile, ...]
    distribution: Distribution
    network: bool
    build_cache: str
    revision: Revision
    compressor: str = COMPRESSOR
    rules: int = RULES

    @cached_property
    def key(self) -> str:
        """See `job_key`."""
        return job_key(self)

    @cached_property
    def identity(self) -> str:
        """See `job_identity`."""
        return job_identity(self)


def job_key(inputs: Inputs) -> str:
    """Return the key of inputs, SHA-256 in hex: that of all but the revision."""
    return identity(
        {
            "form": KEY_FORM,
            **render_key_form(inputs.plan),
            "world": list(inputs.plan.environment.packages),
            "packages-installed": [package.to_json() for package in inputs.environment],
            "sources": [source.to_json() for source in inputs.sources],
            "files": [[file.path, file.kind, file.value] for file in inputs.files],
            "distribution": [
                inputs.distribution.namespace,
                inputs.distribution.repository,
                inputs.distribution.licence,
            ],
            "network": inputs.network,
            "build-cache": inputs.build_cache,
            "compressor": inputs.compressor,
            "rules": inputs.rules,
        }
    )


def job_identity(inputs: Inputs) -> str:
    """Return the identity of inputs, SHA-256 in hex: that of their key, the revision and the compiled recipe."""
    revision = inputs.revision
    return identity(
        {
            "form": IDENTITY_FORM,
            "key": inputs.key,
            "recipe": inputs.plan.recipe,
            "compiled": sha256_hex(inputs.plan.compiled.encode(errors="surrogateescape")),
            "revision": [revision.commit, revision.epoch, revision.path],
        }
    )


def render_build_inputs(inputs: Inputs, *, whole: bool = True) -> dict[str, object]:
    """Return what packages say of the build that made them, as JSON-able values.

    Args:
        inputs: the inputs.
        whole: whether all steps were run; what is made of steps of an earlier build has neither key nor identity.
    """
    return {
        "key": inputs.key if whole else None,
        "identity": inputs.identity if whole else None,
        "commit": inputs.revision.commit,
        "source-date-epoch": inputs.revision.epoch,
        "environment": [package.to_json() for package in inputs.environment],
        "sources": [source.to_json() for source in inputs.sources],
        "files": [[file.path, file.kind, file.value] for file in inputs.files],
        "network": inputs.network,
        "build-cache": inputs.build_cache,
        "compressor": inputs.compressor,
        "rules": inputs.rules,
    }


def describe_environment(
    solution: Solution, own: AbstractSet[str], contents: Mapping[str, str]
) -> tuple[EnvironmentPackage, ...]:
    """Return what counts of each package of an environment, by name.

    Args:
        solution: the packages.
        own: the repositories of one's own packages, which count by their content.
        contents: content digests by checksum, as far as they are known; others are read from the packages.

    Raises:
        PackageFormatError: a package of one's own cannot be read.
    """
    return tuple(_describe(offer, own, contents) for offer in sorted(solution.offers, key=lambda offer: offer.name))


def _describe(offer: Offer, own: AbstractSet[str], contents: Mapping[str, str]) -> EnvironmentPackage:
    content = contents.get(offer.entry.checksum, "") if offer.repository in own else ""
    if offer.repository in own and not content:
        hint = f"build {offer.entry.info.origin or offer.name} again, which replaces it"
        try:
            with open_file(offer.location) as stream:
                content = find_content(read_segments(stream, where=offer.location))
        except PackageFormatError as error:
            error.hint = error.hint or hint
            raise
        except OSError as error:
            message = f"cannot be read: {reason_of(error)}"
            raise PackageFormatError(message, where=offer.location, hint=hint) from None
    return EnvironmentPackage(offer.name, offer.version, content, "" if content else offer.entry.checksum)


def describe_source(source: Source | GitSource, found: Path | str) -> SourceDigest:
    """Return what counts of a source.

    Args:
        source: what the recipe says.
        found: the file that was fetched, or the commit; it counts where the recipe states no digest.
    """
    if isinstance(source, GitSource):
        return SourceDigest(source.location, commit=source.commit or str(found))
    return describe_stated(source) or SourceDigest(source.uri, file_digest(Path(found)))


def describe_stated(source: Source | GitSource) -> SourceDigest | None:
    """Return what counts of a source as far as the recipe states it; None where only fetching tells."""
    if isinstance(source, GitSource):
        return SourceDigest(source.location, commit=source.commit) if source.commit else None
    is_known = source.sha256 or source.sha512
    return SourceDigest(source.uri, source.sha256, source.sha512) if is_known else None


def render_unpinned(source: GitSource) -> str:
    """Return a git source without a commit as text, which names it in summaries."""
    return encode(source).decode()


def read_recipe_files(directory: Path | None) -> tuple[RecipeFile, ...]:
    """Return the files of a recipe's directory as far as a workspace gets them: see `build.workspace.fill_workspace`.

    Raises:
        OSError: one cannot be read.
    """
    return tuple(_files(directory)) if directory else ()


def _files(directory: Path) -> list[RecipeFile]:
    found = []
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(directory).as_posix()
        if stat.S_ISDIR(mode):
            found.append(RecipeFile(name, "directory"))
        elif stat.S_ISLNK(mode):
            found.append(RecipeFile(name, "symlink", os.readlink(path)))  # noqa: PTH115  # pathlib would tidy it up
        elif stat.S_ISREG(mode):
            kind = "executable" if is_executable(path, mode) else "file"
            found.append(RecipeFile(name, kind, file_digest(path)))
    return found
