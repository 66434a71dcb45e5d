"""Recipes that reach for the machine, for other builds and for the caller, tried through the command line."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = "${{targets.destdir}}"


def build(project: Project, recipe: str, *arguments: str, name: str = "one") -> subprocess.CompletedProcess[str]:
    """Build a recipe; however it ends, it is no crash."""
    project.write(f"{name}.yaml", recipe)
    result = project.melpy("build", f"{name}.yaml", *arguments)
    assert "Traceback" not in result.stderr
    return result


def log(project: Project, name: str = "one") -> str:
    return (project.out / f"logs/x86_64/{name}-1.0-r0.log").read_text(errors="replace")


def start(project: Project, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "melpy", *arguments],
        cwd=project.directory,
        env=project.full_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(is_so: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


# What is secret.


def test_the_signing_key_is_nowhere_in_the_sandbox(project: Project) -> None:
    line = project.repository.public_key.with_suffix("").read_text().splitlines()[3]
    project.environment["MELPY_SECRET"] = line
    project.write("one/control", line)  # so that looking finds what is there
    pattern = f"{line[:20]}[{line[20]}]"  # which is not the text itself
    script = f"""
    mkdir -p {OUT}
    find / /home/build -xdev -type f -exec grep -alF -f /home/build/control {{}} + || true
    for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/fd/*; do
      test ! -f $file || grep -al '{pattern}' $file || true
    done
    env
    """
    result = build(project, shell_recipe(runs=script))
    assert result.returncode == 0, result.stderr
    found = [text for text in log(project).splitlines() if text.startswith("/")]
    assert set(found) == {"/home/build/control"}
    assert line not in log(project)


def test_the_directory_of_a_recipe_is_no_way_to_the_machine(project: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret of the host")
    directory = project.directory / "recipes"
    for name in ("out", "in", "within"):
        script = (
            f"mkdir -p {OUT}\nfind . | sort\nfor name in link directory/key; do if cat $name; then exit 1; fi; done"
        )
        project.write(f"recipes/{name}.yaml", shell_recipe(name, runs=script))
    (directory / "out").symlink_to(secret)
    (directory / "shared").mkdir()
    (directory / "shared/file").write_text("of several recipes")
    (directory / "shared/link").symlink_to(secret / "key")
    (directory / "shared/directory").symlink_to(secret)
    (directory / "in").symlink_to("shared")
    (directory / "within").symlink_to(".")
    for name in ("out", "within"):
        run = project.melpy("build", f"recipes/{name}.yaml")
        assert run.returncode == 11, run.stderr
        assert f"error: recipes/{name}: is a symlink that leaves the directory of the recipe\n" in run.stderr
    run = project.melpy("build", "recipes/in.yaml")
    assert run.returncode == 0, run.stderr
    seen = [text for text in log(project, "in").splitlines() if text.startswith(".")]
    # Symlinks come as symlinks, and lead nowhere there.
    assert seen == [".", "./directory", "./file", "./link", "./melange-out", "./melange-out/in"]
    assert "secret of the host" not in log(project, "in")


@pytest.mark.parametrize("way", ["name", "symlink", "above", "hard link", "passphrase", "descriptor"])
def test_the_signing_key_is_in_no_directory_of_a_recipe(project: Project, tmp_path: Path, way: str) -> None:
    key = project.write("private/keys/local.rsa", project.repository.public_key.with_suffix("").read_text())
    options = ["--signing-key", "private/keys/local.rsa"]
    name, where = {"name": ("keys", "private/keys"), "above": ("private", "private")}.get(way, ("one", "one"))
    prefix: tuple[str, ...] = ()
    if way == "symlink":
        (project.directory / "one").symlink_to("private/keys")
    elif way == "hard link":
        (project.directory / "one/below").mkdir(parents=True)
        (project.directory / "one/below/data").hardlink_to(key)
    elif way == "passphrase":
        options += ["--signing-passphrase", "one/word"]
        project.write("one/word", "secret\n")
    elif way == "descriptor":
        (project.directory / "one").symlink_to("private/keys")
        prefix, options = ("sh", "-c", 'exec "$@" 3< private/keys/local.rsa', "sh"), ["--signing-key", "fd:3"]
        options += ["--signing-key-name", "local.rsa.pub"]
    recipe = project.write(f"{where.rpartition('/')[0] or '.'}/{name}.yaml", shell_recipe(name))
    run = project.melpy("build", str(recipe.relative_to(project.directory)), *options, prefix=prefix)
    assert run.returncode == 11, run.stderr
    what = "the passphrase of the signing key" if way == "passphrase" else "the signing key"
    assert f"error: {where}: holds {what}, '" in run.stderr
    assert not list(project.out.glob("*/*.apk"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("out", "is the output directory, and"),
        ("cache", "is the cache, and"),
        ("cache/work", "lies in the cache, and"),
        (".git", "is a git repository's own files, and"),
        (".git/hooks", "lies in a git repository's own files, and"),
    ],
)
def test_no_directory_of_melpy_is_that_of_a_recipe(project: Project, target: str, message: str) -> None:
    (project.directory / target).mkdir(parents=True)
    (project.directory / "one").symlink_to(target)
    run = build(project, shell_recipe())
    assert run.returncode == 11, run.stderr
    assert f"error: one: {message} would be copied into the build\n" in run.stderr
    assert "hint: name the recipe otherwise, or keep that elsewhere\n" in run.stderr


# Other builds.


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is nobody's alias")
def test_root_gives_steps_another_id_wherever_the_cache_is(project: Project, tmp_path: Path) -> None:
    """The cache lies below directories that only root may pass, and is named by a symlink in one of them."""
    (tmp_path / "closed/real").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    (tmp_path / "closed/link").symlink_to("real")
    recipe = shell_recipe(runs=f"mkdir -p {OUT}\nbusybox stat -c 'device of %u' /dev/null\n")
    result = build(project, recipe, "--cache-dir", str(tmp_path / "closed/link"))
    assert result.returncode == 0, result.stderr
    assert "device of 65534\n" in log(project)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is nobody's alias")
def test_root_without_the_capability_to_mount_builds_as_before(project: Project, require: Callable[..., None]) -> None:
    """As in a container: there is no other id then."""
    require("setpriv")
    project.write("one.yaml", shell_recipe(runs=f"mkdir -p {OUT}\nbusybox stat -c 'device of %u' /dev/null\n"))
    result = project.melpy("build", "one.yaml", prefix=("setpriv", "--bounding-set=-sys_admin"))
    assert result.returncode == 0, result.stderr
    assert "device of 1000\n" in log(project)


def test_builds_at_the_same_time_see_nothing_of_each_other(project: Project) -> None:
    waits = "touch began\ni=0; while [ ! -e end ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done"
    project.write("other.yaml", shell_recipe("other", runs=f"mkdir -p {OUT}\necho marker > /usr/marker\n{waits}"))
    with start(project, "build", "other.yaml") as other:
        work = project.directory / "cache/work"
        wait_for(lambda: bool(list(work.glob("other-*/workspace/began"))))
        place = next(iter(work.glob("other-*")))
        script = f"""
        mkdir -p {OUT}
        test ! -e /usr/marker
        test ! -e {place}
        for process in /proc/[0-9]*; do tr '\\0' ' ' < $process/cmdline; echo; done
        ls /proc/sys/fs/binfmt_misc /tmp /dev/shm
        grep -c other-x86_64 /proc/self/mountinfo || true
        """
        result = build(project, shell_recipe(runs=script))
        (place / "workspace/end").touch()
    assert result.returncode == 0, result.stderr
    assert other.returncode == 0
    assert "other-x86_64" not in log(project)
    assert "/usr/marker" not in result.stderr


def test_the_store_stays_as_it_is(project: Project) -> None:
    assert build(project, shell_recipe(runs=f"mkdir -p {OUT}")).returncode == 0
    store = next(iter((project.directory / "cache").glob("store-*")))

    def facts() -> dict[str, tuple[int, str]]:
        found = [path for path in store.rglob("*") if path.name != "packages"]  # whose time says when it was used
        return {str(path): (path.lstat().st_mode, digest(path)) for path in found}

    def digest(path: Path) -> str:
        return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    before = facts()
    script = (
        f"mkdir -p {OUT}\necho x >> /bin/busybox\nchmod -R 777 /usr\nln /usr/bin/env /usr/env\nrm -rf /etc /usr/bin/id"
    )
    result = build(project, shell_recipe(runs=script))
    assert result.returncode in {0, 60}, result.stderr
    after = facts()
    assert {path: after.get(path) for path in before} == before


def test_no_directory_with_what_steps_made_is_open_to_other_users(project: Project) -> None:
    """Steps may make setuid programs that belong to whoever runs melpy."""
    script = (
        f"mkdir -p {OUT}\nfor d in . /usr /var/cache/melange; do cp /bin/busybox $d/su; chmod 6755 $d/su; done\nfalse"
    )
    result = build(project, shell_recipe(runs=script), "--build-cache", "recipe")
    assert result.returncode == 60, result.stderr
    cache = project.directory / "cache"
    programs = [path for path in cache.rglob("su") if path.is_file() and path.lstat().st_mode & stat.S_ISUID]
    assert len(programs) == 3
    for program in programs:
        below = program.relative_to(cache).parents
        assert any(not (cache / parent).stat().st_mode & 0o011 for parent in below), program


def test_two_recipes_have_logs_and_caches_of_their_own(project: Project) -> None:
    for name, version in (("a", "1.0"), ("a-1.0", "2")):
        recipe = shell_recipe(name, runs=f"mkdir -p {OUT}\necho I am {name}").replace(
            "version: 1.0", f"version: {version}"
        )
        assert build(project, recipe, "--build-cache", "recipe", name=name).returncode == 0
    logs = sorted(project.out.rglob("*.log"))
    assert [path.name for path in logs] == ["a-1.0-2-r0.log", "a-1.0-r0.log"]
    assert ["I am a\n" in path.read_text() for path in logs] == [False, True]
    assert len(list((project.directory / "cache/build-cache/x86_64").iterdir())) == 2


# The caller: terminal, processes, time and disk.


def test_a_shell_types_nothing_into_the_terminal(project: Project, attempts: Path) -> None:
    program = project.directory / "one/attempts"
    program.parent.mkdir()
    shutil.copy(attempts, program)
    assert build(project, shell_recipe(runs=f"mkdir -p {OUT}\nfalse")).returncode == 60
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(project.directory)
        words = [sys.executable, "-m", "melpy", "shell", "one", "--", "./attempts", "terminal"]
        os.execve(sys.executable, words, project.full_environment())
    seen = b""
    while piece := _read(terminal):
        seen += piece
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert status == 0, seen
    answers = dict(line.split(": ") for line in seen.decode().splitlines() if ": " in line)
    assert answers == dict.fromkeys(["TIOCSTI", "TIOCSTI-high-bits", "TIOCLINUX"], "EPERM")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""  # nobody writes any more


ENDLESS = {
    "stopped": "kill -STOP $$",
    "silent": "exec > /dev/null 2>&1 < /dev/null\nsleep 60",
    "closed": "exec >&- 2>&-\nbusybox sleep 60",
    "deaf": "trap '' TERM INT HUP QUIT\nsleep 60",
    "daemons": "(busybox setsid sh -c 'trap \"\" TERM; sleep 60' &)\nwhile :; do busybox sleep 1; done",
    "stopped init": "busybox kill -STOP 1\nsleep 60",
}


@pytest.mark.parametrize("how", ENDLESS)
def test_a_step_that_goes_on_is_ended_at_its_time(project: Project, how: str) -> None:
    began = time.monotonic()
    result = build(project, shell_recipe(runs=f"mkdir -p {OUT}\n{ENDLESS[how]}"), "--timeout", "1s")
    assert result.returncode == 60, result.stderr
    assert "took longer than the 1 s that the build may take" in result.stderr
    assert time.monotonic() - began < 15
    assert processes(project.directory) == []


def test_what_a_step_prints_without_an_end_of_line_is_not_held(project: Project) -> None:
    """48 megabytes go through; the log has them all, and melpy's memory does not grow with them."""
    script = f"mkdir -p {OUT}\ndd if=/dev/zero bs=1M count=48 2>/dev/null | tr '\\\\0' x"
    project.write("one.yaml", shell_recipe(runs=script))
    with start(project, "build", "one.yaml") as process:
        # What the process table says of its peak begins with that of whoever started it; what it has now does not.
        peak = 0
        while process.poll() is None:
            with suppress(OSError, ValueError, IndexError):
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                peak = max(peak, pages * os.sysconf("SC_PAGE_SIZE"))
            time.sleep(0.02)
    assert process.returncode == 0
    assert 10_000_000 < peak < 150_000_000
    path = next(project.out.rglob("*.log"))
    assert path.stat().st_size > 48_000_000
    path.unlink()


def test_builds_that_were_killed_leave_nothing_that_stays(project: Project) -> None:
    script = f"mkdir -p {OUT}/a /usr/x\nchmod 000 {OUT}/a /usr/x\n(busybox setsid sleep 60 &)\nsleep 60"
    if os.geteuid() == 0:
        script = f"mkdir -p {OUT}/a\nbusybox chown 7:7 {OUT}/a || true\n{script}"
    project.write("one.yaml", shell_recipe(runs=script))
    work = project.directory / "cache/work"
    for number in range(8):
        process = start(project, "build", "one.yaml")
        # What a killed one left is swept away by the next.
        left = set(work.glob("*"))
        wait_for(lambda left=left: set(work.glob("*")) - left)  # type: ignore[misc]  # of a default that is a set
        time.sleep(0.05 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: not processes(project.directory), seconds=5)
    assert str(project.directory) not in Path("/proc/self/mounts").read_text()
    run = project.melpy("clean")
    assert run.returncode == 0, run.stderr
    assert list(work.iterdir()) == []


def processes(directory: Path) -> list[str]:
    """Return the processes that have a directory among their words, or mounted for them alone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            mounts = (process / "mountinfo").read_text()
        except OSError:
            continue
        if f"{directory}/cache" in words or f"{directory}/cache" in mounts:
            found.append(f"{process.name} {words[:80]}")
    return found


# What is in the packages.


def test_owners_inside_are_no_users_of_the_machine(project: Project) -> None:
    """With a range of ids files belong to others while the build is there, and to nobody else of this machine."""
    script = f"""
    mkdir -p {OUT}
    for n in 0 1 33 1000 1001 65535; do echo > {OUT}/$n; busybox chown $n:$n {OUT}/$n || true; done
    false
    """
    assert build(project, shell_recipe(runs=script)).returncode == 60
    kept = next(iter((project.directory / "cache/work").glob("one-*/workspace/melange-out/one")))
    owners = {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in kept.iterdir()}
    assert owners["1000"] == (os.geteuid(), os.getegid())
    others = {uid for name, uid in owners.items() if name != "1000"} - {(os.geteuid(), os.getegid())}
    assert all(uid >= 65536 and gid >= 65536 for uid, gid in others), owners
    assert project.melpy("clean").returncode == 0
    assert not kept.exists()


def test_odd_files_are_packed_as_what_they_are(project: Project) -> None:
    script = f"""
    mkdir -p {OUT}/d
    busybox mkfifo {OUT}/fifo
    ln -s /proc/self/environ {OUT}/environ
    ln -s ../../../../../../etc/shadow {OUT}/d/shadow
    ln -s /proc/1/root {OUT}/root
    echo x > outside && ln outside {OUT}/hard
    touch "{OUT}/with a blank"
    """
    result = build(project, shell_recipe(runs=script))
    assert result.returncode == 0, result.stderr
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        kinds = {item.name: item.type for item in tar if not item.name.startswith((".", "var"))}
    links = {name for name, kind in kinds.items() if kind == tarfile.SYMTYPE}
    assert links == {"environ", "d/shadow", "root"}
    assert kinds["fifo"] == tarfile.FIFOTYPE
    assert kinds["hard"] == kinds["with a blank"] == tarfile.REGTYPE


@pytest.mark.parametrize(
    "pipeline",
    [
        "uses: ../../secret",
        "uses: /etc/passwd",
        "uses: own/../../secret",
        "uses: git-checkout\n    with: {repository: 'ext::sh -c touch% {there}', branch: main}",
        "uses: git-checkout\n    with: {repository: '--upload-pack=touch {there}', branch: main}",
        "uses: git-checkout\n    with: {repository: 'file:///nowhere', branch: '--upload-pack=touch {there}'}",
        "uses: git-checkout\n    with: {repository: 'file:///nowhere', tag: '../../x y'}",
    ],
)
def test_names_in_recipes_run_and_read_nothing_of_the_machine(project: Project, tmp_path: Path, pipeline: str) -> None:
    there = tmp_path / "planted"
    (tmp_path / "secret.yaml").write_text("runs: secret of the host")
    run = build(project, shell_recipe(tail=f"  - {pipeline}\n".replace("{there}", str(there))))
    assert run.returncode not in {0, 1}, run.stderr
    assert "secret of the host" not in run.stderr
    assert not there.exists()
    assert project.packages() == {}


def test_records_do_not_tell_more_than_they_should(project: Project) -> None:
    project.environment["MELPY_TOKEN"] = "hidden-token"
    assert build(project, shell_recipe(runs=f"mkdir -p {OUT}\nenv")).returncode == 0
    record = json.loads(next(project.out.rglob("logs/x86_64/*.json")).read_text())
    assert record["ok"]
    assert "hidden-token" not in json.dumps(record) + log(project)


def test_the_output_directory_may_be_that_of_the_recipes(project: Project) -> None:
    project.write("one/file", "of the recipe\n")
    script = f"mkdir -p {OUT}\ncat file"
    result = build(project, shell_recipe(runs=script), "--out-dir", ".")
    assert result.returncode == 0, result.stderr
    assert "of the recipe\n" in (project.directory / "logs/x86_64/one-1.0-r0.log").read_text()
