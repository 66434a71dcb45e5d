"""A build that failed is entered again, goes on, or is cleaned away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from melpy.apk.segment import read_segments
from tests.factories.project import Project, shell_recipe
from tests.factories.terminal import Terminal

RUNS = """\
echo first > one
cp one /usr/kept
mkdir -p ${{targets.destdir}}/usr/share/one
cp one ${{targets.destdir}}/usr/share/one/one
"""
SECOND = """\
  - name: second
    working-directory: below
    environment: {WHO: nobody}
    runs: |
      echo "$WHO" > two
      test -e /home/build/mended
"""

SHELL = [sys.executable, "-m", "melpy", "shell", "one", "--"]


@pytest.fixture
def failed(project: Project) -> Project:
    """A build whose second step failed."""
    project.write("one.yaml", shell_recipe(runs=RUNS, tail=SECOND))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 60
    assert "hint: look around where it failed: melpy shell one --arch x86_64" in run.stderr
    return project


def kept(project: Project) -> list[Path]:
    return sorted((project.directory / "cache/work").iterdir())


def test_a_shell_is_where_the_step_failed(failed: Project) -> None:
    script = 'pwd; echo "$WHO"; cat two ../one /usr/kept; id -un; grep -v ^$ /run/melpy/step | tail -n 3; exit 7'
    run = failed.melpy("shell", "one", "--", "sh", "-c", script)
    assert run.returncode == 7, run.stderr
    assert run.stdout == (
        "/home/build/below\nnobody\nnobody\nfirst\nfirst\nbuild\n"
        'echo "$WHO" > two\ntest -e /home/build/mended\nexit 0\n'
    )


def test_a_shell_at_another_step(failed: Project) -> None:
    run = failed.melpy("shell", "one.yaml", "--step", "1", "--", "sh", "-c", 'pwd; echo "[$WHO]"')
    assert run.stdout == "/home/build\n[]\n"
    run = failed.melpy("shell", "one", "--step", "9", "--", "true")
    assert run.returncode == 2
    assert "--step: '9' is no step\nhint: steps are 1 runs, 2 second\n" in run.stderr


def test_a_shell_reads_what_the_caller_says(failed: Project) -> None:
    run = failed.melpy("shell", "one", stdin="echo from the shell\nexit 3\n")
    assert (run.returncode, run.stdout) == (3, "from the shell\n")


def test_a_shell_that_was_killed_is_no_hindrance(failed: Project) -> None:
    # A group of its own, or this would end the tests, too.
    run = failed.melpy("shell", "one", "--", "sh", "-c", "echo here > /usr/here; kill -9 0")
    assert run.returncode == 128 + 9
    run = failed.melpy("shell", "one", "--", "cat", "/usr/here")
    assert (run.returncode, run.stdout) == (0, "here\n"), run.stderr


def test_a_shell_has_the_terminal_and_gives_it_back(failed: Project) -> None:
    """It reads what is typed, is interrupted and stopped by keys, and whoever called melpy reads on after it."""
    looping = "while test -z \\$done; do sleep 0.1; done"
    inside = f"trap 'echo seen; done=1' INT; echo ready; read a; echo looping; {looping}; echo got \\$a; kill -USR1 0"
    script = f'"$@" shell one -- sh -c "{inside}"; echo ended $?; read b; echo then $b'
    with Terminal(failed, "sh", "-c", script, "sh", sys.executable, "-m", "melpy") as terminal:
        terminal.expect("ready")
        terminal.type("one\n")
        terminal.expect("looping")
        terminal.type("\x03")
        terminal.expect("seen")
        terminal.expect("got one")
        terminal.expect("ended 138")
        terminal.type("two\n")
        terminal.expect("then two")


def test_a_shell_that_was_killed_gives_the_terminal_back(failed: Project) -> None:
    """Though a job of the shell inside had it."""
    with Terminal(failed, "sh", "-c", '"$@"; echo ended; read b; echo then $b', "sh", *SHELL[:-1]) as terminal:
        terminal.expect("one 2:")
        terminal.type("sh -c 'echo re\"\"ady; sleep 1000'\n")
        terminal.expect("ready")
        own = terminal.process.pid
        (melpy,) = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        os.kill(int(melpy), signal.SIGTERM)
        terminal.expect("ended")
        terminal.type("two\n")
        terminal.expect("then two")


def test_a_shell_in_a_pipeline_has_the_terminal_when_it_asks_for_it(failed: Project) -> None:
    inside = "echo ready; read a; echo got $a; kill -USR1 0"
    script = '"$@" "$0" | cat; read b; echo then $b'
    with Terminal(failed, "sh", "-c", script, inside, *SHELL, "sh", "-c") as terminal:
        terminal.expect("ready")
        terminal.type("one\n")
        terminal.expect("got one")
        terminal.type("two\n")
        terminal.expect("then two")


def test_a_shell_is_stopped_and_goes_on(failed: Project) -> None:
    with Terminal(failed, "bash", "--norc", "-i") as terminal:
        terminal.type(f"{sys.executable} -m melpy shell one -- sh -c 'echo ready; read a; echo got $a'\n")
        terminal.expect("\nready")
        terminal.type_until("\x1a", "Stopped")
        terminal.type("echo 1$((1 + 1))3; fg\n")
        terminal.expect("123")
        terminal.type("one\n")
        terminal.expect("got one")
        terminal.type("exit\n")


def test_a_shell_ends_when_melpy_is_told_to(failed: Project) -> None:
    command = [*SHELL, "sh", "-c", "echo in; sleep 1000"]
    with subprocess.Popen(
        command, cwd=failed.directory, env=failed.full_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"in\n"
        shell.send_signal(signal.SIGTERM)
        assert shell.wait(60) == 130
    assert len(kept(failed)) == 1


def test_a_shell_whose_packages_were_pruned(failed: Project) -> None:
    assert failed.melpy("store", "prune", "--max-size", "0k").returncode == 0
    run = failed.melpy("shell", "one", "--", "true")
    assert run.returncode == 38
    assert "was pruned, and the build root of one-1.0-r0/x86_64 lies upon it\nhint: build it anew" in run.stderr
    assert failed.melpy("build", "--from-step", "2", "one.yaml").returncode == 60
    assert failed.melpy("shell", "one", "--", "true").returncode == 0


def test_what_a_shell_lies_upon_is_not_pruned(failed: Project) -> None:
    command = [*SHELL, "sh", "-c", "echo in; read a; cat /usr/kept"]
    with subprocess.Popen(
        command, cwd=failed.directory, env=failed.full_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"in\n"
        run = failed.melpy("store", "prune", "--max-size", "0k")
        assert "0 packages, 0 environments, 0 B removed" in run.stderr
        assert shell.communicate(b"\n", timeout=60)[0] == b"first\n"


@pytest.mark.parametrize("text", ['{"format": 1}', '{"format": 0}', "[]"])
def test_a_build_that_another_melpy_kept(failed: Project, text: str) -> None:
    (directory,) = kept(failed)
    (directory / "session.json").write_text(text)
    for command in (("shell", "one"), ("build", "--from-step", "2", "one.yaml")):
        run = failed.melpy(*command)
        assert run.returncode == 22
        assert f"error: {directory}: was kept by another version of melpy\nhint: build it anew\n" in run.stderr


def test_no_build_was_kept(project: Project) -> None:
    run = project.melpy("shell", "one")
    assert run.returncode == 2
    assert "no build of 'one' was kept" in run.stderr


def test_a_build_goes_on_from_a_step(failed: Project) -> None:
    assert failed.melpy("shell", "one", "--", "touch", "../mended").returncode == 0
    run = failed.melpy("build", "--from-step", "second", "one.yaml")
    assert run.returncode == 0, run.stderr
    assert "step 1/2" not in run.stderr
    assert list(failed.packages()) == ["x86_64/one-1.0-r0.apk"]
    assert kept(failed) == []
    log = (failed.out / "logs/x86_64/one-1.0-r0.log").read_text()
    assert log.count("==> step 2/2: second") == 2  # what was printed before stays
    # Nobody knows what was done in between: it is no package that a key or an identity stands for.
    with (failed.out / "x86_64/one-1.0-r0.apk").open("rb") as stream:
        inputs = json.loads(read_segments(stream, where="").files[".melpy.json"])
    assert (inputs["key"], inputs["identity"]) == (None, None)


def test_a_build_that_goes_on_and_is_interrupted_stays_kept(failed: Project) -> None:
    failed.write("one.yaml", shell_recipe(runs=RUNS, tail=SECOND.replace("test -e", "touch ../begun; sleep 1000 #")))
    (directory,) = kept(failed)
    # Whoever runs the tests may ignore interrupts, as shells make their jobs in the background do.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "melpy"]
    command += ["build", "--from-step", "2", "one.yaml"]
    with subprocess.Popen(
        command, cwd=failed.directory, env=failed.full_environment(), stderr=subprocess.DEVNULL
    ) as build:
        deadline = time.monotonic() + 60
        while not (directory / "workspace/begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        build.send_signal(signal.SIGINT)
        assert build.wait(60) == 130
    assert failed.melpy("shell", "one", "--", "cat", "../one").stdout == "first\n"


def test_a_build_that_goes_on_makes_the_same_package(failed: Project) -> None:
    failed.melpy("shell", "one", "--", "touch", "../mended")
    failed.melpy("build", "--from-step", "2", "one.yaml")
    first = failed.packages()
    failed.write("one.yaml", shell_recipe(runs="touch mended\n" + RUNS, tail=SECOND))
    assert failed.melpy("build", "one.yaml").returncode == 0
    assert sorted(failed.packages()) == sorted(first)


def test_a_step_before_must_not_have_changed(failed: Project) -> None:
    failed.write("one.yaml", shell_recipe(runs="true\n" + RUNS, tail=SECOND))
    run = failed.melpy("build", "--from-step", "second", "one.yaml")
    assert run.returncode == 2
    assert "--from-step: step 1, 'runs', has changed since\nhint: begin with it: --from-step 1\n" in run.stderr
    run = failed.melpy("build", "--from-step", "third", "one.yaml")
    assert "--from-step: 'third' is no step\nhint: steps are 1 runs, 2 second\n" in run.stderr


def test_what_is_kept_and_what_is_not(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    assert project.melpy("build", "one.yaml").returncode == 0
    assert kept(project) == []
    assert project.melpy("build", "--keep", "one.yaml").returncode == 0
    assert project.melpy("build", "--keep", "one.yaml").returncode == 0
    (only,) = kept(project)
    run = project.melpy("clean", "--dry-run")
    assert run.stdout.startswith(f"{only}  ")
    assert run.stdout.endswith("  kept by --keep\n")
    assert project.melpy("clean", "--only-killed").stdout == ""
    assert kept(project) == [only]
    assert "1 directory removed" in project.melpy("clean").stderr
    assert kept(project) == []


def test_steps_are_traced_when_asked_for(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    assert "+ ln -s greeting" in project.melpy("build", "--debug", "one.yaml").stderr
    assert "+ ln -s" not in project.melpy("build", "-v", "one.yaml").stderr


def processes(of: Path) -> list[int]:
    """Return processes that are in a sandbox of a project."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "cmdline").read_bytes() + (path / "mountinfo").read_bytes()
        except OSError:
            continue
        if os.fsencode(of) in text:
            found.append(int(path.name))
    return found


def test_a_build_that_is_killed_leaves_nothing_that_the_next_one_does_not_sweep(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="touch started\nsleep 1000 & sleep 1000\n"))
    command = [sys.executable, "-m", "melpy", "build", "one.yaml"]
    with subprocess.Popen(
        command, cwd=project.directory, env=project.full_environment(), stderr=subprocess.DEVNULL
    ) as build:
        work = project.directory / "cache/work"
        deadline = time.monotonic() + 60
        while not list(work.glob("*/workspace/started")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert processes(work)
        build.send_signal(signal.SIGKILL)
        build.wait()
    deadline = time.monotonic() + 20
    while processes(work):
        assert time.monotonic() < deadline, processes(work)
        time.sleep(0.02)
    assert str(work) not in Path("/proc/self/mountinfo").read_text()
    (left,) = kept(project)
    run = project.melpy("clean")
    assert f"{left}  " in run.stdout
    assert "left by a build that was killed" in run.stdout
    assert kept(project) == []


def test_the_record_of_a_build_says_what_its_steps_did(project: Project) -> None:
    project.write(
        "one.yaml", shell_recipe(runs="echo x > /usr/new\nhead -c 60000000 /dev/zero | tr '\\0' a | sort > /dev/null")
    )
    run = project.melpy("build", "one.yaml")
    assert "step 'runs' changed the build root: /usr/new" in run.stderr
    record = json.loads((project.out / "logs/x86_64/one-1.0-r0.json").read_text())
    (step,) = record["steps"]
    assert record["ok"] is True
    assert (step["step"], step["status"], step["network"], step["changed"]) == ("runs", 0, False, ["/usr/new"])
    # sort holds all of it; what the process had that melpy was started from counts for nothing.
    assert 60_000_000 < step["memory"] < 300_000_000
    assert 0 < step["cpu-seconds"] <= 4 * step["seconds"]
    assert (record["network"], record["native-tools"], record["emulator"]) == (False, [], None)
    project.melpy("build", "--network", "one.yaml")
    record = json.loads((project.out / "logs/x86_64/one-1.0-r0.json").read_text())
    assert record["network"] is True
    assert record["steps"][0]["changed"] == ["/usr/new"]  # and not what melpy itself writes for the network


def test_a_record_that_cannot_be_written_hides_no_failure(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="false"))
    (project.out / "logs/x86_64/one-1.0-r0.json/in-the-way").mkdir(parents=True)
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 60
    assert "step 1 of 1, 'runs', ended with status 1" in run.stderr
