"""The store as builds fill and use it, and `melpy store`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_busybox, make_repository
from tests.factories.tree import File, Link, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository

OUT = "melange-out/one"


@pytest.fixture
def repository(tmp_path: Path, toy_repository: Repository) -> Repository:
    """Return a repository of the test's own."""
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    return repository


def recipe(*packages: str, runs: str = f"mkdir -p {OUT}") -> str:
    listed = "".join(f"\n      - {name}" for name in ("busybox", *packages))
    return shell_recipe("one", runs=runs).replace("\n      - busybox", listed)


def entries(project: Project) -> list[dict[str, object]]:
    run = project.melpy("store", "show", "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)["entries"]
    assert isinstance(found, list)
    return found


def test_a_build_sees_what_apk_would_have_installed(tmp_path: Path, repository: Repository) -> None:
    repository.add("base", tree(tmp_path / "base", {"opt": Link("usr/opt"), "usr/opt/a": "a"}).root)
    files = {"opt/b": File("b", 0o755), "usr/opt/su": File("su", 0o4755)}
    repository.add("other", tree(tmp_path / "other", files).root)
    script = "\n".join(
        [
            f"mkdir -p {OUT}",
            f"cat /usr/opt/a /usr/opt/b /opt/b > {OUT}/texts",
            f"readlink /opt > {OUT}/link",
            f"grep -c '^P:' /lib/apk/db/installed > {OUT}/count",
            f"cat /etc/apk/world > {OUT}/world",
            f"cat /etc/passwd > {OUT}/passwd",
            f"ls -l /usr/opt/su > {OUT}/su",
            "id builder",
            "test -d /srv/builder",
        ]
    )
    text = recipe("other", "base", runs=script).replace(
        "environment:\n",
        "environment:\n  accounts:\n    users:\n      - {username: builder, uid: 1234, homedir: /srv/builder}\n",
    )
    project = Project(tmp_path / "project", repository)
    project.write("one.yaml", text)
    built = project.melpy("build", "one.yaml")
    assert built.returncode == 0, built.stderr
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        seen = {item.name: tar.extractfile(item).read().decode(errors="replace") for item in tar if item.isreg()}  # type: ignore[union-attr]  # regular
    assert seen["texts"] == "abb"
    assert seen["link"] == "usr/opt\n"
    assert seen["count"] == "3\n"
    assert seen["world"] == "base\nbusybox\nother\n"
    assert "builder:x:1234:1234:builder:/srv/builder:/bin/sh\n" in seen["passwd"]
    assert seen["su"].startswith("-rwsr-xr-x")


def test_packages_that_do_not_go_together(tmp_path: Path, repository: Repository) -> None:
    for name in ("first", "second"):
        repository.add(name, tree(tmp_path / name, {"usr/share/common": name, "usr/share/more": name}).root)
    project = Project(tmp_path / "project", repository)
    project.write("one.yaml", recipe("first", "second"))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 37
    assert run.stderr.endswith(
        "error: /usr/share/common: is in first-1-r0 and second-1-r0\n"
        "  /usr/share/more: is in first-1-r0 and second-1-r0\n"
        "  environment of one-1.0-r0/x86_64\n"
        "hint: one of them must name the other in replaces, or stay out: !second\n"
    )
    assert project.packages() == {}


def test_account_that_would_break_the_file(tmp_path: Path, repository: Repository) -> None:
    project = Project(tmp_path / "project", repository)
    users = "environment:\n  accounts:\n    users:\n      - {username: 'a:0:0:', uid: 5}\n"
    project.write("one.yaml", recipe().replace("environment:\n", users))
    run = project.melpy("check", "one.yaml")
    assert run.returncode == 11
    assert "'a:0:0:' cannot stand in /etc/passwd or /etc/group" in run.stdout + run.stderr


@pytest.fixture
def project(tmp_path: Path, repository: Repository) -> Project:
    found = Project(tmp_path / "project", repository)
    found.write("one.yaml", recipe())
    built = found.melpy("build", "one.yaml")
    assert built.returncode == 0, built.stderr
    return found


def test_show(project: Project) -> None:
    run = project.melpy("store", "show")
    assert run.returncode == 0
    assert [line.split()[:2] for line in run.stdout.splitlines()] == [
        ["Name", "Kind"],
        ["busybox-1-r0", "package"],
        ["x86_64,", "1"],
    ]
    assert "1 package, 1 environment, " in run.stderr
    package, environment = entries(project)
    assert (package["kind"], package["name"]) == ("package", "busybox-1-r0")
    assert environment["packages"] == [package["entry"]]
    assert abs(float(str(environment["last_use"])) - time.time()) < 100


def test_show_where_nothing_is(project: Project) -> None:
    run = project.melpy("store", "show", "--cache-dir", "elsewhere")
    assert (run.returncode, run.stdout) == (0, "")
    assert "0 packages, 0 environments, 0 B" in run.stderr


def test_verify_and_repair(project: Project) -> None:
    run = project.melpy("store", "verify")
    assert run.returncode == 0, run.stderr
    assert "1 package, 1 environment" in run.stderr
    busybox = next((project.directory / "cache").glob("store-*/*/root/usr/bin/busybox"))
    with busybox.open("r+b") as stream:
        stream.write(b"spoilt")
    (busybox.parent / "extra").touch()
    run = project.melpy("store", "verify")
    assert run.returncode == 38
    assert f"error: {project.directory}/cache/store-3/" in run.stderr
    assert ": busybox-1-r0 is damaged\n" in run.stderr
    assert (
        "  /usr/bin/busybox: has other content\n  /usr/bin/extra: does not belong there\nhint: melpy store"
        in run.stderr
    )
    (found,) = json.loads(project.melpy("store", "verify", "--json").stdout)
    assert found["faults"] == ["/usr/bin/busybox: has other content", "/usr/bin/extra: does not belong there"]
    assert project.melpy("store", "verify", "--repair").returncode == 0
    # The environment shares its files, and went with it.
    assert entries(project) == []
    built = project.melpy("build", "one.yaml")
    assert built.returncode == 0, built.stderr
    assert project.melpy("store", "verify").returncode == 0


def test_prune(project: Project) -> None:
    assert project.melpy("store", "prune", "--older-than", "1d").returncode == 0
    assert len(entries(project)) == 2
    run = project.melpy("store", "prune", "--max-size", "0", "--dry-run")
    assert len(run.stdout.splitlines()) == 2
    assert "would be removed; 0 packages, 0 environments, 0 B left" in run.stderr
    assert len(entries(project)) == 2
    for manifest in (project.directory / "cache").glob("store-*/*/manifest"):
        os.utime(manifest, (1, 1))
    run = project.melpy("store", "prune", "--older-than", "1d", "--json")
    assert json.loads(run.stdout) == []  # the environment that has it was used today
    run = project.melpy("store", "prune", "--max-size", "0kB", "--json")
    assert [item["kind"] for item in json.loads(run.stdout)] == ["environment", "package"]
    assert entries(project) == []


@pytest.mark.parametrize(
    "arguments", [("--older-than", "soon"), ("--max-size", "much"), ("--older-than", "-1d"), ("--older-than", "30")]
)
def test_prune_asks_for_what_it_understands(project: Project, arguments: tuple[str, str]) -> None:
    run = project.melpy("store", "prune", *arguments)
    assert run.returncode == 2
    assert f"error: {arguments[0]}: not a" in run.stderr
    assert len(entries(project)) == 2


def test_what_a_build_uses_is_kept(project: Project, tmp_path: Path) -> None:
    project.write("two.yaml", recipe(runs=f"mkdir -p {OUT}\ntouch begun\nwhile test ! -e go; do sleep 0.1; done"))
    command = [sys.executable, "-m", "melpy", "build", "--force", "two.yaml"]
    build = subprocess.Popen(
        command, cwd=project.directory, env=project.full_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        work = project.directory / "cache/work"
        _wait_for(lambda: any(work.glob("*/workspace/begun")))
        run = project.melpy("store", "prune", "--max-size", "0")
        assert "2 used by running builds" in run.stderr
        assert len(entries(project)) == 2
        next((project.directory / "cache").glob("store-*/*/root/usr/bin/ls")).unlink()
        run = project.melpy("store", "verify", "--repair")
        assert run.returncode == 38
        assert "is used by a running build, and was not repaired" in run.stderr
        next(work.glob("*/workspace")).joinpath("go").touch()
        _, errors = build.communicate(timeout=60)
        assert build.returncode == 0, errors.decode()
    finally:
        build.kill()
        build.wait()
    assert project.melpy("store", "prune", "--max-size", "0").returncode == 0
    assert entries(project) == []


def _wait_for(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_a_killed_extraction_leaves_no_entry(project: Project, tmp_path: Path) -> None:
    many = {f"usr/share/many/{number}": f"{number}" for number in range(20000)}
    project.repository.add("many", tree(tmp_path / "many", many).root)
    project.write("one.yaml", recipe("many"))
    store = project.directory / "cache/store-3"
    before = {path.name for path in store.iterdir()}
    command = [sys.executable, "-m", "melpy", "build", "--force", "one.yaml"]
    build = subprocess.Popen(command, cwd=project.directory, env=project.full_environment(), stderr=subprocess.DEVNULL)
    _wait_for(lambda: any(store.glob(".new-*")))
    build.send_signal(signal.SIGKILL)
    build.wait()
    assert {path.name for path in store.iterdir() if not path.name.startswith(".new-")} == before
    assert project.melpy("store", "verify").returncode == 0
    built = project.melpy("build", "one.yaml")
    assert built.returncode == 0, built.stderr
    assert not any(store.glob(".new-*"))


def test_builds_at_once_share_the_store(project: Project) -> None:
    shutil.rmtree(project.directory / "cache/store-3")
    command = [sys.executable, "-m", "melpy", "build", "--force", "one.yaml"]
    builds = [
        subprocess.Popen(
            [*command, "--out-dir", f"out-{number}"],
            cwd=project.directory,
            env=project.full_environment(),
            stderr=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for build in builds:
        _, errors = build.communicate(timeout=120)
        assert build.returncode == 0, errors.decode()
    assert len(entries(project)) == 2
    assert project.melpy("store", "verify").returncode == 0
