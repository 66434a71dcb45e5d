"""Packages for every architecture: built once in a run, indexed for all of its architectures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from melpy.apk.index import read_entries
from melpy.apk.segment import read_entry
from melpy.arch import host_arch
from melpy.repo.repository import load_index
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import Repository, add_busybox, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARCHES = ("aarch64", "x86_64")
FOREIGN, OWN = sorted(ARCHES, key=lambda arch: arch == host_arch().apk)
NOARCH = "  target-architecture: [noarch]\n"


def recipe(name: str, *needs: str, runs: str = "", noarch: bool = False, runtime: str = "") -> str:
    """Return a recipe whose package has a file with its name and what the script adds, and needs some at runtime."""
    script = (
        f"mkdir -p ${{{{targets.destdir}}}}/usr/share\necho {name} > ${{{{targets.destdir}}}}/usr/share/{name}\n{runs}"
    )
    head = (NOARCH if noarch else "") + (f"  dependencies:\n    runtime: [{runtime}]\n" if runtime else "")
    more = "".join(f"\n      - {need}" for need in needs)
    return shell_recipe(name, runs=script, head=head).replace("      - busybox", f"      - busybox{more}")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Repository:
    """A busybox for each architecture; both have the program of this machine, which runs anywhere here."""
    require("bwrap", "qemu-aarch64-static" if host_arch().apk == "x86_64" else "qemu-x86_64-static")
    directory = tmp_path_factory.mktemp("both")
    found = make_repository(directory)
    add_busybox(found, directory)
    found.add("busybox", directory / "busybox", arch=FOREIGN)
    if OWN != "x86_64":
        found.add("busybox", directory / "busybox", arch=OWN)
    return found


@pytest.fixture
def project(tmp_path: Path, repository: Repository) -> Project:
    """`words`, for every architecture, what needs it, and a program that it is made with."""
    found = Project(tmp_path / "project", repository)
    settings = found.directory / "melpy.toml"
    settings.write_text(settings.read_text().replace('["x86_64"]', json.dumps(ARCHES)))
    found.write("tool.yaml", recipe("tool"))
    found.write("words.yaml", recipe("words", "tool", noarch=True, runtime="lib"))
    found.write("lib.yaml", recipe("lib"))
    # The runtime closure is that of its own architecture; what the other one made the words with is not there.
    seen = "cat /usr/share/words /usr/share/lib >> ${{targets.destdir}}/usr/share/reader\ntest ! -e /usr/share/tool"
    found.write("reader.yaml", recipe("reader", "words", runs=seen))
    return found


def build(project: Project, *arguments: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """Run `melpy build --json` and return what became of each job, by `NAME/ARCH`."""
    result = project.melpy("build", "--json", *(arguments or (".",)), force=False)
    assert result.returncode == status, result.stdout + result.stderr
    return {job["job"].replace("-1.0-r0", ""): job for job in json.loads(result.stdout) if job["job"]}


def outcomes(project: Project, *arguments: str) -> dict[str, str]:
    return {name: job["outcome"] for name, job in build(project, *arguments).items()}


def made(outcome: str, *names: str, arches: tuple[str, ...] = ARCHES) -> dict[str, str]:
    every = [f"{name}/{arch}" for name in names for arch in (["noarch"] if name == "words" else arches)]
    return dict.fromkeys(every, outcome)


ALL = ("tool", "words", "lib", "reader")


def package(project: Project, arch: str, name: str = "words") -> Path:
    return project.out / arch / f"{name}-1.0-r0.apk"


def have_same(project: Project) -> bool:
    """Tell whether both architectures have the same file, and indexes that say so."""
    checksums = set()
    for arch in ARCHES:
        entries = read_entries(load_index(project.out, arch, keyring=None))
        (entry,) = [entry for entry in entries if entry.info.name == "words"]
        assert entry.info.arch == arch  # where clients look for it
        checksums.add(entry.checksum)
    return len(checksums) == 1 and package(project, OWN).read_bytes() == package(project, FOREIGN).read_bytes()


def test_it_is_built_once_for_all(project: Project) -> None:
    found = build(project)
    assert {name: job["outcome"] for name, job in found.items()} == made("built", *ALL)
    assert have_same(project)
    words = found["words/noarch"]
    assert words["arch"] == "noarch"
    (made_package,) = words["packages"]
    assert made_package["files"] == [str(package(project, arch)) for arch in (OWN, FOREIGN)]
    info = read_entry(package(project, OWN)).info
    assert (info.arch, info.origin) == ("noarch", "words")
    log = (project.out / "logs/noarch/words-1.0-r0.json").read_text()
    assert json.loads(log)["machine"]["arch"] == os.uname().machine
    for arch in ARCHES:
        with tarfile.open(package(project, arch, "reader"), ignore_zeros=True) as content:
            member = content.extractfile("usr/share/reader")
            assert member
            assert member.read() == b"reader\nwords\nlib\n"
    before = project.packages()
    assert outcomes(project) == made("up-to-date", *ALL)
    assert project.packages() == before
    verified = project.melpy("verify", "out", "-k", str(project.repository.public_key))
    assert verified.returncode == 0, verified.stderr
    indexed = project.melpy("index", "out")
    assert indexed.stdout.count("as it was") + indexed.stderr.count("as it was") == len(ARCHES)


def test_all_that_shows_builds_shows_it_once(project: Project) -> None:
    plans = project.melpy("plan", "words.yaml")
    assert plans.stdout.startswith(f"words 1.0-r0 for noarch, in an environment for {OWN}\n")
    assert plans.stdout.count("words 1.0-r0") == 1
    dry = json.loads(project.melpy("build", "--dry-run", "--json", ".", force=False).stdout)
    by_job = {one["job"]: one for one in dry}
    assert by_job["words-1.0-r0/noarch"]["needs"] == [f"tool-1.0-r0/{OWN}"]
    assert by_job["words-1.0-r0/noarch"]["arches"] == [OWN, FOREIGN]
    assert by_job[f"reader-1.0-r0/{FOREIGN}"]["needs"] == [
        f"lib-1.0-r0/{FOREIGN}",
        f"tool-1.0-r0/{FOREIGN}",  # which `words` might need when it is installed
        "words-1.0-r0/noarch",
    ]
    graph = project.melpy("graph", ".").stdout
    assert graph.count("words (noarch, built once)") == 1
    assert f"needs tool/{OWN}: environment tool" in graph
    chain = project.melpy("graph", ".", "--why", f"reader/{FOREIGN}", f"tool/{OWN}").stdout
    assert chain.splitlines() == [
        "reader needs words: environment words, reader.yaml:12:9",
        "words needs tool: environment tool, words.yaml:15:9",
    ]
    assert project.melpy("check", ".").returncode == 0


def test_one_index_without_it_gets_it_without_a_build(project: Project) -> None:
    build(project)
    for lost in ARCHES:
        package(project, lost).unlink()
        assert outcomes(project, "words.yaml") == made("up-to-date", "tool", arches=(OWN,)) | made("cached", "words")
        assert have_same(project)
    # Without the result cache and the journal, the directory of the other architecture has it.
    package(project, FOREIGN).unlink()
    shutil.rmtree(project.directory / "cache")
    assert outcomes(project, "words.yaml")["words/noarch"] == "cached"
    assert have_same(project)
    # Damaged in one of them, it is built.
    package(project, FOREIGN).unlink()
    damaged = package(project, OWN)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    shutil.rmtree(project.directory / "cache")
    assert outcomes(project, "words.yaml")["words/noarch"] == "built"
    assert have_same(project)


@pytest.mark.parametrize("first", ARCHES)
def test_architectures_one_after_the_other(project: Project, first: str) -> None:
    """What the other architecture has is taken: both are to have the same."""
    (second,) = set(ARCHES) - {first}
    assert outcomes(project, "--arch", first, ".") == made("built", *ALL, arches=(first,))
    expected = made("built", "tool", "lib", "reader", arches=(second,)) | made("cached", "words")
    assert outcomes(project, "--arch", second, ".") == expected
    assert have_same(project)
    assert project.melpy("why", "--arch", second, "words.yaml").stdout == "words-1.0-r0/noarch is up to date\n"
    for arch in (first, second):
        assert outcomes(project, "--arch", arch, ".") == made("up-to-date", *ALL, arches=(arch,))
    words = outcomes(project)["words/noarch"]
    assert words == ("up-to-date" if first == OWN else "built")  # in an environment of the run's own
    assert outcomes(project) == made("up-to-date", *ALL)
    # Its recipe changed: what the other one has is of no use.
    project.write("words.yaml", recipe("words", "tool", noarch=True, runtime="lib", runs="echo more"))
    assert outcomes(project, "--arch", second, ".")["words/noarch"] == "built"
    assert outcomes(project)["words/noarch"] in {"built", "cached"}
    assert have_same(project)


def test_rules_for_what_is_stale(project: Project) -> None:
    build(project)
    project.write("words.yaml", recipe("words", "tool", noarch=True, runtime="lib", runs="echo more"))
    assert outcomes(project, "--stale", "version", ".") == made("up-to-date", *ALL)
    package(project, FOREIGN).unlink()
    assert outcomes(project, "--stale", "version", ".")["words/noarch"] == "cached"
    assert have_same(project)
    assert outcomes(project, "--stale", "recipe", ".")["words/noarch"] == "built"
    project.write("tool.yaml", recipe("tool", runs="echo 1 > ${{targets.destdir}}/more"))
    assert outcomes(project, "--stale", "recipe", ".")["words/noarch"] == "up-to-date"
    found = outcomes(project)
    assert (found["words/noarch"], found["reader/aarch64"]) == ("built", "up-to-date")
    assert project.melpy("why", "words.yaml").stdout == "words-1.0-r0/noarch is up to date\n"


def test_a_failure_skips_what_needs_it_on_every_architecture(project: Project) -> None:
    project.write("words.yaml", recipe("words", "tool", noarch=True, runs="exit 3"))
    found = build(project, status=61)
    assert found["words/noarch"]["outcome"] == "failed"
    assert found["words/noarch"]["enter"] == "melpy shell words"
    assert {found[f"reader/{arch}"]["because"] for arch in ARCHES} == {"words-1.0-r0/noarch"}
    assert project.melpy("shell", "words", "--", "pwd").stdout == "/home/build\n"


def test_a_program_of_an_architecture_is_refused(project: Project) -> None:
    copied = "mkdir -p ${{targets.destdir}}/usr/bin\ncp /usr/bin/busybox ${{targets.destdir}}/usr/bin/mine"
    project.write("words.yaml", recipe("words", noarch=True, runs=copied))
    result = project.melpy("build", "words.yaml")
    assert result.returncode == 11
    assert "words.yaml:8:24: the package 'words' is noarch, but has files for" in result.stderr
    assert "usr/bin/mine" in result.stderr
    assert "hint: name the architectures that it is built for instead of noarch, or remove the files" in result.stderr


def test_what_is_held_back_for_one_architecture_is_held_back_for_all(project: Project) -> None:
    """On one of them, a package that could not be built again needs the old name."""
    words = recipe("words", noarch=True).replace(NOARCH, f"{NOARCH}  dependencies:\n    provides: [old=1]\n")
    project.write("words.yaml", words)
    user = recipe("user", runtime="old").replace("version: 1.0", "version: 1.0\n  target-architecture: [aarch64]")
    project.write("user.yaml", user)
    needs_new = recipe("late", "words", runtime="new")
    build(project, "words.yaml", "user.yaml")
    project.write("words.yaml", words.replace("old=1", "new=1"))
    project.write("user.yaml", user.replace("mkdir -p", "false\n      mkdir -p"))
    project.write("late.yaml", needs_new)
    found = build(project, "words.yaml", "user.yaml", "late.yaml", status=61)
    assert found["words/noarch"]["outcome"] == "held-back"
    assert found["words/noarch"]["because"] == "user-1.0-r0, which could not be built again, needs old"
    assert {found[f"late/{arch}"]["outcome"] for arch in ARCHES} == {"held-back"}


def test_a_lock_has_it_for_each_architecture(project: Project) -> None:
    for name in ("tool", "lib", "reader"):
        (project.directory / f"{name}.yaml").unlink()
    project.write("words.yaml", recipe("words", noarch=True))
    locked = project.melpy("lock", "words.yaml")
    assert locked.returncode == 0, locked.stderr
    for arguments in ((), ("--arch", FOREIGN), ("--arch", OWN)):
        shutil.rmtree(project.out, ignore_errors=True)
        shutil.rmtree(project.directory / "cache", ignore_errors=True)
        assert outcomes(project, "--lock", *arguments, "words.yaml") == {"words/noarch": "built"}


def test_other_architectures_beside_it_are_refused(project: Project) -> None:
    project.write("words.yaml", recipe("words", noarch=True).replace("[noarch]", "[noarch, x86_64]"))
    result = project.melpy("build", "words.yaml")
    assert result.returncode == 11
    assert "words.yaml:8:25: `noarch` stands for every architecture, so no other can be named" in result.stderr


def test_packages_without_a_recipe_are_pruned_for_every_architecture(project: Project) -> None:
    build(project)
    kept = project.melpy("build", "--prune", ".", force=False)
    assert "no recipe makes" not in kept.stderr
    for name in ("words", "reader"):
        (project.directory / f"{name}.yaml").unlink()
    pruned = project.melpy("build", "--prune", "--yes", ".", force=False)
    assert pruned.returncode == 0, pruned.stderr
    assert not list(project.out.glob("*/words-*.apk"))
    assert len(list(project.out.glob("*/tool-*.apk"))) == len(ARCHES)


def test_an_interpreter_comes_before_what_needs_a_script(project: Project) -> None:
    """Scanning finds what a script needs; on the other architecture, nothing else says that it comes before."""
    for file in project.directory.glob("*.yaml"):
        file.unlink()
    project.write("zsh.yaml", recipe("zsh", runs=script("zsh", "/bin/sh")))
    project.write("words.yaml", recipe("words", "zsh", noarch=True, runs=script("words", "/usr/bin/zsh")))
    project.write("a-reader.yaml", recipe("a-reader", "words", runs="test -x /usr/bin/zsh"))
    assert outcomes(project) == made("built", "zsh", "words", "a-reader")
    assert read_entry(package(project, OWN)).info.depends == ("cmd:zsh",)
    assert outcomes(project) == made("up-to-date", "zsh", "words", "a-reader")


def script(name: str, interpreter: str) -> str:
    """Return lines that write a script into a package."""
    file = f"${{{{targets.destdir}}}}/usr/bin/{name}"
    return f"mkdir -p ${{{{targets.destdir}}}}/usr/bin\necho '#!{interpreter}' > {file}\nchmod +x {file}"


@pytest.mark.skipif(shutil.which("apk") is None or os.geteuid() != 0, reason="apk is not installed")
@pytest.mark.parametrize("arch", ARCHES)
def test_apk_installs_it_for_each_architecture(project: Project, arch: str) -> None:
    build(project)
    root = project.directory / "root"
    (root / "etc/apk/keys").mkdir(parents=True)
    shutil.copy(project.repository.public_key, root / "etc/apk/keys")
    command = ["apk", "add", "--root", str(root), "--initdb", "--arch", arch, "--no-cache", "-X", str(project.out)]
    run = subprocess.run([*command, "reader", "words"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (root / "usr/share/words").read_text() == "words\n"
