"""apt with a state of its own: it downloads and verifies, melpy does neither.

Nothing of the machine's packages is read or changed: lists, caches and status lie below the seed's directory, so an
ordinary user can do it, for any architecture. The machine's own apt.conf.d still counts, since it says how the
network is reached; what it hooks into apt's runs is cleared. Source: apt.conf(5), sources.list(5).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.bootstrap.mirror import find_keyring, find_mirror
from melpy.codec import Noun
from melpy.digest import file_digest
from melpy.errors import SeedError, UnreachableError
from melpy.files import write_file
from melpy.run import find_tool, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.bootstrap.model import Deb, SeedSpec
    from melpy.run import Outcome

_HINT = "melpy bootstrap needs a Debian-family machine with apt; elsewhere, use a repository that can be reached"
_KEYS_HINT = "bring the package debian-archive-keyring up to date"
_MIRROR_HINT = "check the network and apt's proxy, or name another archive with --seed-mirror"
_EXPIRED_HINT = (
    "check this machine's clock; for a mirror that is kept as it is, say so in a file of /etc/apt/apt.conf.d: "
    'Acquire::Check-Valid-Until "false";'
)
_UPDATE_HINT = "the suite has moved on; run: melpy bootstrap --update"

# What apt-get(8) says of each file: URL, status and reason, address of the server.
_FAILED = re.compile(r"Failed to fetch (\S+) +([^\[\n]+)")

# A file given with -c is read after apt.conf.d, so what it clears stays cleared.
_CONF = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg;
#clear APT::Architectures;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Default-Release "";
Dir::State "{home}";
Dir::State::lists "{home}/lists";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Cache::archives "{home}/cache/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::sourcelist "{home}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "2";
"""

_SOURCES = """\
Types: {type}
URIs: {mirror}
Suites: {suite}
Components: main
Targets: {target}
Signed-By: {keyring}
"""


class Apt(Noun, frozen=True):
    """One private state of apt.

    Attributes:
        home: directory of the state.
        suite: Debian suite that it knows.
        sources: whether it knows source packages instead of binary ones.
    """

    home: Path
    suite: str
    sources: bool = False

    @property
    def conf(self) -> Path:
        """The configuration that makes apt use this state."""
        return self.home / "apt.conf"

    @property
    def lists(self) -> tuple[Path, ...]:
        """The Packages or Sources lists that are there."""
        kind = "Sources" if self.sources else "Packages"
        return tuple(sorted((self.home / "lists").glob(f"*_{kind}")))

    @property
    def release(self) -> Path | None:
        """The suite's signed Release file, when there is one."""
        found = sorted((self.home / "lists").glob("*Release"))
        return found[0] if found else None


def prepare_apt(spec: SeedSpec, architecture: str, *, sources: str = "") -> Apt:
    """Write the configuration of a private state; it fetches nothing yet.

    Args:
        spec: the seed that it is part of.
        architecture: Debian's name of the architecture.
        sources: the suite whose source packages are meant; empty: the seed's suite and its binary packages.

    Raises:
        ToolMissingError: this machine has no apt.
        SeedError: it has no keyring of Debian's.
        OutputError: the directory cannot be written.
    """
    find_tool("apt-get", hint=_HINT)
    suite = sources or spec.suite
    name = f"sources-{suite}" if sources and sources != spec.suite else "sources" if sources else architecture
    home = (spec.home / "apt" / name).absolute()
    text = _SOURCES.format(
        type="deb-src" if sources else "deb",
        mirror=spec.mirror or find_mirror(),
        suite=suite,
        target="Sources" if sources else "Packages",
        keyring=find_keyring(),
    )
    write_file(home / "status", "")
    write_file(home / "debian.sources", text)
    write_file(home / "apt.conf", _CONF.format(home=home, architecture=architecture))
    for name in ("lists/partial", "cache/archives/partial", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return Apt(home, suite, bool(sources))


def update_lists(apt: Apt) -> None:
    """Fetch the suite's lists and check their signature.

    Raises:
        UnreachableError: the mirror does not answer.
        SeedError: it has no such suite, or the suite's signature is not by Debian's keys.
    """
    # Without this option apt ends with status 0 when it could fetch nothing.
    outcome = _apt(apt, ["-o", "APT::Update::Error-Mode=any", "update"])
    if outcome.status == 0 and apt.lists:
        return
    raise explain_lists(apt.suite, outcome)


def explain_lists(suite: str, outcome: Outcome) -> SeedError | UnreachableError:
    """Return the error for an update of lists that failed."""
    said, quoted = outcome.stderr, outcome.quoted
    if "NO_PUBKEY" in said or "GPG error" in said:
        return SeedError("its signature cannot be verified", where=suite, hint=_KEYS_HINT, details=quoted)
    if " is expired (" in said:
        text = "the mirror's lists are older than they say that they may get"
        return SeedError(text, where=suite, hint=_EXPIRED_HINT, details=quoted)
    if "Release' " in said:  # does not have a Release file, or one that is not signed
        return SeedError("the mirror has no such suite", where=suite, hint=_MIRROR_HINT, details=quoted)
    text = "the lists of the suite cannot be fetched"
    return UnreachableError(text, where=suite, hint=_MIRROR_HINT, details=quoted)


def download_debs(apt: Apt, debs: Sequence[Deb], directory: Path) -> dict[str, Path]:
    """Fetch Debian packages into a directory and return their files by SHA-256.

    Raises:
        SeedError: the suite has moved on since its lists were fetched.
        UnreachableError: the mirror does not answer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [deb for deb in debs if not _is_there(directory / _deb_name(deb), deb)]
    if wanted:
        outcome = _apt(apt, ["download", *(f"{deb.name}={deb.version}" for deb in wanted)], cwd=directory)
        if outcome.status:
            _raise_download(apt.suite, outcome)
    found = {deb.sha256: directory / _deb_name(deb) for deb in debs}
    for deb in wanted:
        if not _is_there(found[deb.sha256], deb):
            raise SeedError(
                f"apt did not fetch the package that the list names, SHA-256 {deb.sha256}",
                where=deb.name,
                hint=_UPDATE_HINT,
            )
    return found


def _is_there(path: Path, deb: Deb) -> bool:
    return path.is_file() and path.stat().st_size == deb.size and file_digest(path) == deb.sha256


def _deb_name(deb: Deb) -> str:
    # apt's way of naming downloads: the epoch's colon is quoted.
    return f"{deb.name}_{deb.version.replace(':', '%3a')}_{deb.architecture}.deb"


def download_source(apt: Apt, package: str, version: str, directory: Path) -> None:
    """Fetch the tar files of a source package into a directory.

    Raises:
        SeedError: the suite has moved on since its lists were fetched.
        UnreachableError: the mirror does not answer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = ["--download-only", "--tar-only", "--only-source"]
    outcome = _apt(apt, ["source", *options, f"{package}={version}"], cwd=directory)
    if outcome.status:
        _raise_download(apt.suite, outcome)


def _raise_download(suite: str, outcome: Outcome) -> None:
    failed = _FAILED.search(outcome.stderr)
    said = f"{failed[1]}: {' '.join(failed[2].split())}" if failed else ""
    if (failed and failed[2].startswith("404")) or "was not found" in outcome.stderr:
        text = f"the mirror no longer has a package of the list{said and f', {said}'}"
        raise SeedError(text, where=suite, hint=_UPDATE_HINT, details=() if failed else outcome.quoted)
    raise UnreachableError("a package cannot be fetched", where=suite, hint=_MIRROR_HINT, details=outcome.quoted)


def _apt(apt: Apt, arguments: Sequence[str], *, cwd: Path | None = None) -> Outcome:
    # Proxies are settings of the user's environment as much as of apt's. apt checks signatures in temporary files.
    environment = os.environ | {"LC_ALL": "C.UTF-8", "TMPDIR": str(apt.home / "tmp")}
    return run([find_tool("apt-get"), "-q", "-c", str(apt.conf), *arguments], env=environment, cwd=cwd, check=False)


def forget_downloads(directory: Path) -> None:
    """Remove downloaded packages that are no longer needed."""
    shutil.rmtree(directory, ignore_errors=True)
