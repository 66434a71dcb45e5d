"""Measure what melpy costs itself: start-up, a tree of recipes, one file, indexes, solving, environments, GNU hello.

Machines are noisy, so each figure is the best of several runs, and shares are taken within one run.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.index import read_index
from melpy.apk.signature import load_keyring, load_signer, write_key_pair
from melpy.arch import host_arch
from melpy.cli.main import COLLECTED_FROM
from melpy.cli.setup import make_spec
from melpy.config.load import load_settings
from melpy.engine.history import find_revision
from melpy.environment.model import EnvironmentSpec
from melpy.environment.resolution import resolve_environment
from melpy.rootfs.model import RootSpec
from melpy.solve.resolver import solve
from melpy.solve.universe import make_universe
from tests.bench.environment import make_environment, make_large_repositories
from tests.bench.packages import CORE, NAMES, VERSIONS, write_large_index, write_packages
from tests.bench.schedule import measure_cost, measure_makespans
from tests.bench.tree import COMMITS, FEW, RECIPES, SMALL_C, write_history, write_tree
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_busybox, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.engine.model import BuildSpec

ROOT = Path(__file__).parent.parent.parent
RUNS = 3
_LONGEST_COMMAND = 1_700_000  # bytes, of the 2 MiB that Linux takes by default
ENVIRONMENTS = {
    "a C compiler": ("build-base", "busybox"),
    "with autotools, perl, git": ("build-base", "busybox", "autoconf", "automake", "libtool", "perl", "git", "texinfo"),
    "with GTK": ("build-base", "busybox", "cmake", "libgtk-3-dev"),
}


def main() -> None:
    """Print one line for each figure."""
    with tempfile.TemporaryDirectory(prefix="melpy-bench-") as name:
        directory = Path(name)
        measure_start(directory)
        measure_tree(directory / "tree")
        measure_small_tree(directory / "small-tree")
        measure_one_file(directory)
        measure_index(directory, 3_000, 200_000, "faster")
        measure_index(directory, 20_000, 20_000, "3 times")
        measure_history(directory)
        measure_solving(directory)
        measure_scheduling(directory)
        measure_run(directory / "run")
        measure_sharing(directory)
        measure_environments(directory)
        measure_hello(directory)
        measure_small_c(directory)
        measure_architectures(directory)


def best(*command: str, cwd: Path = ROOT, before: Callable[[], object] = bool) -> float:
    return best_of([sys.executable, "-m", "melpy", *command], cwd, before)


def best_of(command: list[str], cwd: Path, before: Callable[[], object] = bool) -> float:
    times = []
    for _ in range(RUNS):
        before()
        start = time.perf_counter()
        subprocess.run(command, cwd=cwd, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def measure_start(directory: Path) -> None:
    report("melpy --help", best("--help"), "promised: under 0.15 s")
    recipe = directory / "one.yaml"
    recipe.write_text(shell_recipe())
    report("melpy plan, one recipe", best("plan", "--arch", "x86_64", str(recipe)), "promised: under 0.3 s")


def measure_tree(directory: Path) -> None:
    directory.mkdir()
    write_tree(directory)
    lines = sum(path.read_text().count("\n") for path in directory.glob("*.yaml"))
    command = ("check", "--arch", "x86_64,aarch64", str(directory))
    alone, together = best(*command, "--jobs", "1"), best(*command)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report(f"melpy check, {RECIPES} recipes, two architectures", together, "promised: about 5 s on 2 cores")
    note = f"{lines} lines; largest process {memory:.0f} MB, promised: under 1000; {alone / together:.1f} times as long"
    report("the same in one process", alone, note)


def measure_small_tree(directory: Path) -> None:
    directory.mkdir()
    write_tree(directory, FEW)
    report(f"melpy check, {FEW} recipes", best("check", "--arch", "x86_64", str(directory)), "all of it, as a process")


def measure_one_file(directory: Path) -> None:
    repository = make_repository(directory)
    add_busybox(repository, directory)
    project = Project(directory / "project", repository)
    project.write("one.yaml", shell_recipe())
    first = project.melpy("build", "one.yaml")
    assert first.returncode == 0, first.stderr
    report(
        "melpy build, a recipe that writes one file",
        best("build", "one.yaml", cwd=project.directory),
        "promised: under 0.5 s",
    )
    measure_job(project)


def measure_job(project: Project) -> None:
    """Measure what a process of its own costs a job: of a job that fails at once, all but its own stages."""
    command = [sys.executable, "-m", "tests.factories.work"]
    environment = project.full_environment()
    prepared = subprocess.run(
        [*command, "prepare", "one.yaml"], cwd=project.directory, env=environment, check=True, capture_output=True
    )
    done = subprocess.run(
        [*command, "overhead"],
        input=prepared.stdout,
        cwd=project.directory,
        env=environment,
        check=True,
        capture_output=True,
    )
    report("a process of its own for a job", float(done.stdout), "promised: at most 0.01 s")


def measure_index(directory: Path, count: int, size: int, promised: str) -> None:
    root, key = directory / "index", directory / "index.rsa"
    write_key_pair(key, 2048)
    write_packages(root / "x86_64", count, size)
    cache = directory / "index-cache"
    command = ["index", "--out-dir", str(root), "--signing-key", str(key), "--cache-dir", str(cache)]
    time.sleep(0.2)  # what was written just now is looked into again
    cold = best(*command, before=lambda: shutil.rmtree(cache, ignore_errors=True))
    warm = best(*command)
    note = "apk is not installed, so not compared"
    if apk := shutil.which("apk"):
        packages = [str(path) for path in sorted((root / "x86_64").glob("*.apk"))]
        theirs = best_of([apk, "index", "--allow-untrusted", "-o", str(directory / "apk.tar.gz"), *packages], ROOT)
        note = f"apk index {theirs:.2f} s, {theirs / cold:.1f} times as long; promised: {promised}"
    report(f"melpy index, {count} packages of {size // 1000} kB", cold, note)
    report("the same with nothing changed", warm, f"{cold / warm:.1f} times as fast")
    files = [str(path) for path in sorted((root / "x86_64").glob("*.apk"))]
    named = ["index", *files, "-o", str(directory / "A"), "--signing-key", str(key), "--cache-dir", str(cache)]
    if sum(map(len, named)) < _LONGEST_COMMAND:
        by_name = best(*named, before=lambda: shutil.rmtree(cache, ignore_errors=True))
        report("the same, every file named", by_name, f"{by_name / cold:.2f} times as long; promised: hardly more")
    shutil.rmtree(root)
    shutil.rmtree(cache)
    key.unlink()
    key.with_name(f"{key.name}.pub").unlink()


def measure_history(directory: Path) -> None:
    """Look for the last commits of 100 recipes, which are all over a history."""
    repository = directory / "history"
    repository.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True)
    write_history(repository)
    cache = directory / "history-cache"
    recipes = [repository / f"made-{number}.yaml" for number in range(0, RECIPES, RECIPES // 100)]

    def look() -> float:
        start = time.perf_counter()
        for recipe in recipes:
            assert find_revision([recipe], cache).commit
        return time.perf_counter() - start

    first, again = look(), min(look() for _ in range(RUNS))
    start = time.perf_counter()
    for recipe in recipes:
        subprocess.run(["git", "log", "-1", "--", recipe.name], cwd=repository, check=True, capture_output=True)
    theirs = time.perf_counter() - start
    report(f"last commits of 100 recipes, of {COMMITS} commits", first, f"git log for each: {theirs / first:.1f} times")
    report("the same once more", again, f"git log for each: {theirs / again:.1f} times as long")


def measure_solving(directory: Path) -> None:
    gc.set_threshold(COLLECTED_FROM)  # as the command line does
    key = directory / "solve.rsa"
    keyring = load_keyring([write_key_pair(key, 2048)])
    data = write_large_index(load_signer(key))
    loading, first, again = [], [], []
    world = [f"package-{number}" for number in range(CORE)]
    for _ in range(RUNS):
        start = time.perf_counter()
        universe = make_universe([("r", "", read_index(data, keyring=keyring, where="index"))], "x86_64")
        loaded = time.perf_counter()
        assert len(solve(world, universe).offers) == CORE
        solved = time.perf_counter()
        solve(world, universe)
        again.append(time.perf_counter() - solved)
        loading.append(loaded - start)
        first.append(solved - loaded)
    report(f"reading an index of {NAMES * VERSIONS} packages", min(loading), "signature included; promised: 0.5 s")
    report(f"finding the {CORE} packages of an environment in it", min(first), "promised: 0.3 s")
    report("the same once more", min(again), "")


def measure_scheduling(directory: Path) -> None:
    cost = min(measure_cost(Path(tempfile.mkdtemp(dir=directory))) for _ in range(RUNS))
    report("schedule, admission and journal, for one job", cost, "10,000 jobs; promised: under 0.001 s")
    measure_makespans(lambda name, line: print(f"{name:45} {line}"))  # noqa: T201  # its only output


def measure_run(directory: Path) -> None:
    """Measure a run over a tree beside its builds, and one that has nothing to do."""
    repository = make_repository(directory)
    add_busybox(repository, directory)
    project = Project(directory / "project", repository)
    for number in range(FEW):
        text = shell_recipe(f"made-{number}")
        needed = f"      - busybox\n      - made-{number // 2}" if number else "      - busybox"
        project.write(f"tree/made-{number}.yaml", text.replace("      - busybox", needed))
    command = [sys.executable, "-m", "tests.factories.pretend", "--quiet", "tree/"]
    done = subprocess.run(
        command, cwd=project.directory, env=project.full_environment(), check=True, capture_output=True, text=True
    )
    jobs, seconds, writing = (float(word) for word in re.findall(r"[\d.]+", done.stderr.splitlines()[-1]))
    report("a run, for one job", (seconds - writing) / jobs, f"{jobs:.0f} jobs that write a package; promised: 0.015 s")
    idle = best("build", "--quiet", "tree/", cwd=project.directory)
    project.write("none.toml", "")  # with a list of recipes not to be built, all stamps are looked at
    whole = best("build", "--quiet", "--quarantine", "none.toml", "tree/", cwd=project.directory)
    report(f"nothing to do, {FEW} recipes", idle, f"by the stamp of each build: {whole / idle:.1f} times as long")


def measure_sharing(directory: Path) -> None:
    """Find the packages of many environments of one run: the first reads the index, each sees other own packages."""
    own = 3_000
    repositories = make_large_repositories(directory / "sharing", own)
    world = tuple(f"package-{number}" for number in range(CORE))
    visible = repositories.find_own("x86_64")
    seconds = []
    for number in range(2 + 4 * RUNS):
        asked = EnvironmentSpec(RootSpec("x86_64", world if number % 2 == 0 else world[:10]))
        start = time.perf_counter()
        resolve_environment(asked, repositories, own=visible[number:], where="bench")
        seconds.append(time.perf_counter() - start)
    report(f"the first environment, of {CORE} packages", seconds[0], f"reads the index; {own} own packages beside it")
    report("a further one", min(seconds[2::2]), "with other own packages; the universe of the index is shared")
    report("a further one of 10 packages", min(seconds[3::2]), "promised: 0.015 s")


def measure_hello(directory: Path) -> None:
    key = directory / "bench.rsa"
    write_key_pair(key, 2048)
    command = [
        sys.executable,
        "-m",
        "melpy",
        "build",
        "--json",
        "--arch",
        "x86_64",
        "--out-dir",
        str(directory / "out"),
    ]
    command += ["--signing-key", str(key), "packages/hello.yaml"]
    start = time.perf_counter()
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if first.returncode:
        print(f"melpy build, GNU hello: not measured\n{first.stderr}", file=sys.stderr)  # noqa: T201  # its only output
        return
    report("melpy build, GNU hello, first run here", time.perf_counter() - start, "with what the cache lacks")
    start = time.perf_counter()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - start
    steps = json.loads(again.stdout)[0]["seconds"]["steps"]
    note = (
        f"its steps: {steps:.2f} s, all else: {whole - steps:.2f} s, {100 * (whole - steps) / whole:.0f} % of the whole"
    )
    report("melpy build, GNU hello, warm", whole, note)


def measure_small_c(directory: Path) -> None:
    """Measure what a build costs whose environment is there already, and whose steps take next to nothing."""
    recipe = directory / "small.yaml"
    recipe.write_text(SMALL_C)
    command = ["build", "--quiet", "--config", str(ROOT / "melpy.toml"), "--arch", host_arch().apk]
    command += ["--out-dir", str(directory / "small-out"), "--signing-key", str(directory / "bench.rsa"), str(recipe)]
    first = subprocess.run(
        [sys.executable, "-m", "melpy", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if first.returncode:
        print(f"melpy build, a small recipe in C: not measured\n{first.stderr}", file=sys.stderr)  # noqa: T201  # likewise
        return
    report("warm hello: a small recipe in C, built again", best(*command), "the store has its environment")


def measure_environments(directory: Path) -> None:
    """Measure roots of packages of the seed, which are extracted first if they are not yet."""
    context = seed_spec(directory)
    for count, packages in ENVIRONMENTS.items():
        environment = make_environment(context, packages)
        number = len(environment.solution.offers)
        assembled = min(environment.start() for _ in range(5))
        anew = []
        for _ in range(5):
            environment.forget()
            anew.append(environment.start())
        note = f"not assembled before: {min(anew):.3f} s; promised: 0.15 s for 100"
        report(f"{number} packages to first instruction ({count})", assembled, note)


def measure_architectures(directory: Path) -> None:
    """Measure GNU hello for this machine, for a foreign one, and for that with everything emulated."""
    host = host_arch().apk
    foreign = "aarch64" if host == "x86_64" else "x86_64"
    seconds = {}
    packages = {}
    for name, arch, options in (
        ("native", host, ()),
        ("native tools", foreign, ()),
        ("emulated", foreign, ("--emulate-all",)),
    ):
        out = directory / name.replace(" ", "-")
        command = [sys.executable, "-m", "melpy", "build", "--json", "--arch", arch, "--out-dir", str(out), *options]
        command += ["--signing-key", str(directory / "bench.rsa"), "packages/hello.yaml"]
        if not options:  # the first run fetches what the cache lacks
            subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"GNU hello for {arch}: not measured\n{done.stderr}", file=sys.stderr)  # noqa: T201  # its only output
            return
        seconds[name] = sum(json.loads(done.stdout)[0]["seconds"].values())
        packages[name] = [path.read_bytes() for path in sorted(out.glob("*/*.apk"))]
        ratio = f"{seconds[name] / seconds['native']:.1f} times as long as natively"
        report(f"GNU hello for {arch}, {name}", seconds[name], "" if name == "native" else ratio)
    same = packages["native tools"] == packages["emulated"]
    print(f"promised: at most 2 times with native tools; the same bytes as emulated: {'yes' if same else 'NO'}")  # noqa: T201  # likewise


def seed_spec(directory: Path) -> BuildSpec:
    settings = load_settings({"out-dir": str(directory / "none")}, {}, ROOT)
    return make_spec(settings, events.Null())


def report(what: str, seconds: float, note: str) -> None:
    value = f"{seconds:7.2f} s " if seconds >= 0.1 else f"{1000 * seconds:7.2f} ms"
    print(f"{what:45} {value}  {note}")  # noqa: T201  # its only output


if __name__ == "__main__":
    main()
