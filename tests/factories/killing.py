"""Kill `melpy build` over a tree at random moments, again and again, and see what is left and what comes of it.

    python -m tests.factories.killing DIR --made CACHE --recipes 200 --kills 100 --seed 7 --user tester

builds a generated tree once undisturbed (`DIR/calm`), and its copy (`DIR/killed`) in runs that are killed. After each
kill it waits for all processes of the run to end, and looks for those that do not, for mounts, for control groups and
shared memory. In the end it compares packages, indexes and the names of all other files with those of the undisturbed
run, verifies the repository, and prints the result as JSON; the exit status is 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from melpy.codec import replace
from tests.factories.forest import write_forest

ROOT = Path(__file__).parent.parent.parent

_SET_CHILD_SUBREAPER = 36  # source: linux/prctl.h
_PATIENCE = 20.0  # seconds in which all that a killed run has started must end
_RANDOM = re.compile(r"[0-9a-f]{16,}|(?<=-)[a-z0-9_]{8}$")
"""Digests, which go by the place of the tree, and endings that a directory is given at random."""


@dataclass
class Account:
    """What came of it.

    Attributes:
        seed: of the moments.
        kills: runs that were killed.
        early: of these, those that ended before their moment; the tree began from nothing again then.
        left: what killed runs left that should be gone.
        wrong: differences between the trees at the end.
        undisturbed: seconds of the undisturbed run.
        slowest_end: seconds until the last process of a killed run was gone, at most.
        statuses: exit statuses of the runs that came to an end.
    """

    seed: int
    kills: int = 0
    early: int = 0
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    undisturbed: float = 0.0
    slowest_end: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)


@dataclass
class Killer:
    """Runs melpy over a tree as a user, and kills it.

    Attributes:
        user: user and group that it runs as; None for that of the caller.
        arguments: of melpy.
        python: interpreter that the user may run; its version is that of the caller's.
    """

    user: int | None
    arguments: tuple[str, ...]
    python: str = sys.executable

    def begin(self, tree: Path) -> subprocess.Popen[bytes]:
        """Start a run in a session of its own."""
        for name in ("home", "tmp"):
            (tree.parent / name).mkdir(exist_ok=True, mode=0o777)
            (tree.parent / name).chmod(0o777)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tree.parent / "home"),
            "TMPDIR": str(tree.parent / "tmp"),
            "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with (tree.parent / f"{tree.name}.log").open("ab") as log:
            return subprocess.Popen(
                [self.python, "-m", "melpy", *self.arguments],
                cwd=tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user is not None else None,
            )

    def run(self, tree: Path) -> int:
        """Run melpy to its end and return its exit status."""
        return self.begin(tree).wait()

    def kill(self, tree: Path, after: float, *, group: bool) -> tuple[bool, float]:
        """Run melpy for some seconds and kill it, alone or with its process group.

        Returns:
            Whether it ran until then, and the seconds that its processes took to end.
        """
        process = self.begin(tree)
        try:
            process.wait(after)
            was_killed = False
        except subprocess.TimeoutExpired:
            was_killed = True
            if group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
        return was_killed, wait_for_descendants()  # one that came to its end may have helpers that are ending, too


def adopt_orphans() -> None:
    """Become the parent of all that killed descendants leave. Source: prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def find_descendants() -> list[str]:
    """Return the processes below this one, with their command lines."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below = {os.getpid()}
    while True:
        more = {process for process, parent in parents.items() if parent in below} - below
        if not more:
            break
        below |= more
    found = []
    for process in sorted(below - {os.getpid()}):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append(f"process {process}: {command}")
    return found


def wait_for_descendants() -> float:
    """Wait until nothing runs below this process, and return the seconds that it took; give up after a while."""
    start = time.monotonic()
    while time.monotonic() - start < _PATIENCE:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
        time.sleep(0.02)
    return time.monotonic() - start


def find_traces(base: Path) -> set[str]:
    """Return mounts of a directory in any namespace, melpy's control groups, and semaphores that no process uses."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        # Root and mount point of a mount, the file system's options with the directories of an overlay.
        found |= {f"mount: {line}" for line in lines if f"{base}/" in line}
    found |= {f"control group {path}" for path in Path("/sys/fs/cgroup").rglob("melpy-*") if path.is_dir()}
    used = ""
    for path in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            used += path.read_text(errors="replace")
    return found | {f"semaphore {path}" for path in Path("/dev/shm").glob("sem.*") if str(path) not in used}


def wait_for_traces(base: Path, before: set[str]) -> list[str]:
    """Return the traces that there are more of than before, and that do not go away; others may use the machine too."""
    end = time.monotonic() + _PATIENCE
    while (left := find_traces(base) - before) and time.monotonic() < end:
        time.sleep(0.1)
    return sorted(left)


def list_files(tree: Path) -> Counter[str]:
    """Return the names of all that a run wrote; digests, which go by the place of the tree, are left out of them."""
    found: Counter[str] = Counter()
    for top in ("out", "cache", "../tmp"):
        for directory, directories, files in os.walk(tree / top):
            at = Path(directory)
            if at.parent in {tree / "cache" / name for name in ("store-3", "tools-1", "work")}:
                directories.clear()  # an entry of the store; a failed build that is kept
                files.clear()
            if at == tree / "cache/runs":
                files.clear()  # recordings, one of each run
            names = [os.path.relpath(at / name, tree) for name in (*directories, *files)]
            found.update(_RANDOM.sub("…", name) for name in names)
    return found


def list_packages(tree: Path) -> dict[str, str]:
    """Return the digests of packages and indexes. The date of an index is that of its packages."""
    paths = sorted([*tree.glob("out/*/*.apk"), *tree.glob("out/*/APKINDEX.tar.gz")])
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def begin_again(tree: Path) -> None:
    """Remove all that runs over a tree have made, but for extracted packages of the repositories."""
    assert (tree / "expectation.json").is_file(), "not a tree of a test"
    for place in [tree / "out", *[path for path in (tree / "cache").iterdir() if not path.name.startswith("store-")]]:
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists():
            place.unlink()


def compare(calm: Path, killed: Path) -> list[str]:
    """Return how a tree differs from that of an undisturbed run."""
    wrong = []
    expected, found = list_packages(calm), list_packages(killed)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            what = "missing" if name not in found else "too many" if name not in expected else "other bytes"
            wrong.append(f"{name}: {what}")
    files, others = list_files(calm), list_files(killed)
    wrong += [f"left over: {name} ({count})" for name, count in sorted((others - files).items())]
    wrong += [f"not written: {name} ({count})" for name, count in sorted((files - others).items())]
    return wrong


def kill_often(base: Path, killer: Killer, kills: int, seed: int) -> Account:
    """Kill runs over `killed` in a directory, and compare it with `calm`, over which melpy runs undisturbed."""
    account = Account(seed)
    calm, killed = base / "calm", base / "killed"
    chance = random.Random(seed)
    traces = find_traces(base)
    start = time.monotonic()
    expected = killer.run(calm)
    account.undisturbed = round(time.monotonic() - start, 1)
    statuses: Counter[str] = Counter({str(expected): 1})
    # Moments at every depth of a run, and together long enough to come to the end a few times.
    longest = max(3.0, account.undisturbed * min(1.0, 6 / kills))
    for number in range(kills):
        after, group = chance.uniform(0.05, longest), chance.random() < 0.3
        was_killed, seconds = killer.kill(killed, after, group=group)
        account.kills += was_killed
        account.slowest_end = max(account.slowest_end, round(seconds, 2))
        kind = f"kill {number + 1} after {after:.2f} s{' of the group' if group else ''}"
        account.left += [f"{kind}: {found}" for found in (*find_descendants(), *wait_for_traces(base, traces))]
        if not was_killed:
            account.early += 1
            account.wrong += [f"run {number + 1}: {difference}" for difference in compare(calm, killed)]
            begin_again(killed)
    statuses[str(killer.run(killed))] += 1
    account.statuses = dict(statuses)
    account.wrong += compare(calm, killed) + ([] if len(statuses) == 1 else [f"exit statuses {account.statuses}"])
    account.left += wait_for_traces(base, traces)
    verify = replace(killer, arguments=("verify", "out"))
    account.wrong += ["melpy verify fails"] if verify.run(killed) else []
    return account


def prepare(base: Path, user: int | None, *, recipes: int, seed: int, plain: bool, made: Path) -> None:
    """Write the tree and its copy, which belong to the user."""
    write_forest(base / "calm", recipes, seed, plain=plain, made=made)
    shutil.copytree(base / "calm", base / "killed", symlinks=True)
    if user is not None:
        for directory, directories, files in os.walk(base):
            for path in (Path(directory), *(Path(directory, name) for name in (*directories, *files))):
                os.chown(path, user, user, follow_symlinks=False)


def main() -> int:
    """Kill runs over a tree in a new directory."""
    parser = argparse.ArgumentParser(description="Kill melpy build at random moments.")
    parser.add_argument("directory", type=Path, help="a new directory")
    parser.add_argument("--made", type=Path, required=True, metavar="CACHE", help="a cache of melpy with compilers")
    parser.add_argument("--recipes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--plain", action="store_true", help="without recipes of particular shapes")
    parser.add_argument("--user", help="user to run melpy as, for root")
    parser.add_argument("--python", default=sys.executable, help="interpreter that the user may run")
    parser.add_argument("arguments", nargs="*", help="of melpy build")
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    user = pwd.getpwnam(options.user).pw_uid if options.user else None
    base = options.directory.absolute()
    base.mkdir(parents=True)
    prepare(base, user, recipes=options.recipes, seed=options.seed, plain=options.plain, made=options.made)
    adopt_orphans()
    killer = Killer(user, ("build", "-q", *(options.arguments or ["packages/"])), options.python)
    account = kill_often(base, killer, options.kills, options.seed)
    print(json.dumps(asdict(account), indent=1))
    return 1 if account.left or account.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
