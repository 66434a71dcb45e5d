"""Measure start-up, a whole tree of recipes, a build of one file, an index, and GNU hello: what melpy costs itself.

Machines are noisy, so each figure is the best of several runs, and shares are taken within one run.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from melpy.apk.model import PackageInfo
from melpy.apk.signature import load_signer, write_key_pair
from melpy.build.tree import load_tree
from melpy.pack.package import write_package
from tests.bench.tree import RECIPES, write_tree
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_busybox, make_repository

ROOT = Path(__file__).parent.parent.parent
RUNS = 3
PACKAGES, PACKAGE_SIZE = 3000, 200_000


def main() -> None:
    """Print one line for each figure."""
    with tempfile.TemporaryDirectory(prefix="melpy-bench-") as name:
        directory = Path(name)
        measure_start(directory)
        measure_tree(directory / "tree")
        measure_one_file(directory)
        measure_index(directory)
        measure_hello(directory)


def best(*command: str, cwd: Path = ROOT) -> float:
    return best_of([sys.executable, "-m", "melpy", *command], cwd)


def best_of(command: list[str], cwd: Path) -> float:
    times = []
    for _ in range(RUNS):
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
        "promised: under 1 s",
    )


def measure_index(directory: Path) -> None:
    root, key = directory / "index", directory / "index.rsa"
    (root / "x86_64").mkdir(parents=True)
    write_key_pair(key, 2048)
    signer, files = load_signer(key), directory / "files"
    files.mkdir()
    for number in range(PACKAGES):
        name = f"package-{number}"
        (files / "data").write_bytes(os.urandom(PACKAGE_SIZE))
        info = PackageInfo(name=name, version="1.0-r0", arch="x86_64", origin=name, depends=("so:libc.so.6", "busybox"))
        write_package(load_tree(name, files), info, root / "x86_64", mtime=0, signer=signer, level=1)
    ours = best("index", "--out-dir", str(root), "--signing-key", str(key))
    note = "apk is not installed, so not compared"
    if apk := shutil.which("apk"):
        packages = [str(path) for path in sorted((root / "x86_64").glob("*.apk"))]
        theirs = best_of([apk, "index", "--allow-untrusted", "-o", str(directory / "apk.tar.gz"), *packages], ROOT)
        note = f"apk index {theirs:.2f} s, {theirs / ours:.2f} times as long; promised: faster"
    report(f"melpy index, {PACKAGES} packages of {PACKAGE_SIZE // 1000} kB", ours, note)
    shutil.rmtree(root)


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


def report(what: str, seconds: float, note: str) -> None:
    print(f"{what:45} {seconds:7.2f} s   {note}")  # noqa: T201  # its only output


if __name__ == "__main__":
    main()
