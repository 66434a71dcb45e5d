"""Jobs are executed in processes of their own, which know nothing but the job."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.codec import decode, replace
from melpy.engine.clock import Clock
from melpy.engine.inputs import job_identity, job_key
from melpy.engine.job import Job
from melpy.engine.record import record_path, write_record
from melpy.engine.result import Host, Result
from melpy.events import Null
from tests.factories.project import ROOT, Project, shell_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.factories.repository import Repository

WAITS = "mkdir -p ${{targets.destdir}}\necho waits\nsleep 60"


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    return Project(tmp_path / "project", toy_repository)


def work(directory: Path, *arguments: str, stdin: str = "") -> list[str]:
    """Run tests.factories.work in a directory and return the lines that it prints."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(directory)}
    run = subprocess.run(
        [sys.executable, "-m", "tests.factories.work", *arguments],
        cwd=directory,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_a_job_is_executed_from_its_json_alone(project: Project, tmp_path: Path) -> None:
    """In another process, another directory, without configuration: the packages are those of `melpy build`."""
    project.write("one.yaml", shell_recipe())
    (text,) = work(project.directory, "prepare", "one.yaml")
    job = decode(text.encode(), Job)
    (project.directory / "melpy.toml").rename(tmp_path / "gone.toml")
    (project.directory / "one.yaml").rename(tmp_path / "one.yaml")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (told,) = work(elsewhere, "execute", stdin=f"{text}\n")
    result = decode(told.encode(), Result)
    assert result.failure is None
    (package,) = result.packages
    entry = package.entry
    unsigned = (job.run.locations.results / "x86_64" / entry.info.file_name).read_bytes()

    (tmp_path / "gone.toml").rename(project.directory / "melpy.toml")
    (tmp_path / "one.yaml").rename(project.directory / "one.yaml")
    assert project.melpy("build", "one.yaml").returncode == 0
    signed = (project.out / "x86_64" / entry.info.file_name).read_bytes()
    assert signed.endswith(unsigned)
    assert len(signed) > len(unsigned)
    record = json.loads((project.out / "logs/x86_64/one-1.0-r0.json").read_text())
    assert (record["key"], record["identity"]) == (job_key(job.inputs), job_identity(job.inputs))
    assert record["machine"] == {"name": os.uname().nodename, "kernel": os.uname().release, "arch": os.uname().machine}


def test_a_record_is_of_the_machine_that_executed_the_job(project: Project) -> None:
    """It is written from job and result; nothing is asked of the machine where it is written."""
    project.write("one.yaml", shell_recipe())
    (text,) = work(project.directory, "prepare", "one.yaml")
    (told,) = work(project.directory, "execute", stdin=f"{text}\n")
    job, result = decode(text.encode(), Job), decode(told.encode(), Result)
    assert result.host
    assert result.host.processors == len(os.sched_getaffinity(0))
    far = Host("far", "7.1", "riscv64", 96, "9.9", "/usr/bin/qemu-riscv64")
    limits = replace(job.run.options.limits, memory=1 << 30)
    job = replace(job, run=replace(job.run, attempt=2, options=replace(job.run.options, limits=limits)))
    write_record(job, replace(result, host=far, native=("make=4.4-r0",)), Clock(job.name, Null()))
    record = json.loads(record_path(job.run.locations.log).read_text())
    assert record["machine"] == {"name": "far", "kernel": "7.1", "arch": "riscv64"}
    found = [record[key] for key in ("processors", "melpy", "emulator", "native-tools", "attempt", "ok")]
    assert found == [96, "9.9", "/usr/bin/qemu-riscv64", ["make=4.4-r0"], 2, True]
    assert record["limits"]["memory"] == 1 << 30
    write_record(job, None, Clock(job.name, Null()))  # of a worker that was killed
    record = json.loads(record_path(job.run.locations.log).read_text())
    assert (record["ok"], record["machine"], record["key"]) == (False, None, job.inputs.key)


def test_eight_jobs_at_once_have_processors_and_groups_of_their_own(project: Project) -> None:
    """Each sees one processor, and they are spread over those that there are."""
    names = [f"job{number}" for number in range(8)]
    script = "mkdir -p ${{targets.destdir}}\nsleep 1\ngrep Cpus_allowed_list /proc/self/status"
    with (project.directory / "melpy.toml").open("a") as file:
        file.write('cpu = "1"\nmemory = "1Gi"\nprocesses = "50"\n')
    for name in names:
        project.write(f"{name}.yaml", shell_recipe(name, runs=script))
    lines = work(project.directory, "prepare", *(f"{name}.yaml" for name in names))
    start = time.monotonic()
    results = [
        decode(line.encode(), Result) for line in work(project.directory, "execute", stdin="\n".join(lines) + "\n")
    ]
    assert time.monotonic() - start < 60
    assert [result.failure for result in results] == [None] * 8
    logs = [decode(line.encode(), Job).run.locations.log.read_text() for line in lines]
    used = [found for log in logs for found in re.findall(r"Cpus_allowed_list:\s*(\S+)", log)]
    there = sorted(os.sched_getaffinity(0))
    assert len(used) == 8
    if len(there) > 1:
        assert set(used) <= {str(number) for number in there}
        counts = [used.count(str(number)) for number in there]
        assert max(counts) - min(counts) <= 1


def test_a_later_step_sees_the_processors_of_builds_that_have_ended(project: Project) -> None:
    """No step has two processors while both builds run; once the short one has ended, the other's next step has all."""
    there = len(os.sched_getaffinity(0))
    if there < 2:
        pytest.skip("this machine has one")
    out = "mkdir -p ${{targets.destdir}}\n"
    project.write("long.yaml", shell_recipe("long", runs=f"{out}sleep 4; nproc", tail="  - runs: nproc\n"))
    project.write("short.yaml", shell_recipe("short", runs=f"{out}sleep 1; nproc"))
    lines = work(project.directory, "prepare", "long.yaml", "short.yaml")
    told = work(project.directory, "execute", stdin="\n".join(lines) + "\n")
    assert [decode(line.encode(), Result).failure for line in told] == [None, None]
    locations = [decode(line.encode(), Job).run.locations for line in lines]
    seen = [re.findall(r"^\d+$", location.log.read_text(), re.MULTILINE) for location in locations]
    assert seen == [[str((there + 1) // 2), str(there)], [str(there // 2)]]
    assert list(locations[0].results.parent.glob(".*.processors")) == []


def test_a_result_comes_back_where_a_step_fails(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="echo before\nfalse"))
    (text,) = work(project.directory, "prepare", "one.yaml")
    (told,) = work(project.directory, "execute", stdin=f"{text}\n")
    result = decode(told.encode(), Result)
    assert result.packages == ()
    assert [step.status for step in result.steps] == [1]
    assert result.failure
    assert (result.failure.code, result.failure.step[0]) == ("step-failed", 1)
    job = decode(text.encode(), Job)
    assert not job.run.locations.results.exists()


def test_two_attempts_are_told_apart(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    (text,) = work(project.directory, "prepare", "one.yaml")
    job = decode(text.encode(), Job)
    again = replace(job, run=replace(job.run, attempt=2))
    assert job_identity(again.inputs) == job_identity(job.inputs)
    assert again != job


# What goes on while a step runs.


@pytest.fixture
def waiting(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A build, in a session of its own, whose step waits."""
    project.write("one.yaml", shell_recipe(runs=WAITS))
    process = project.begin("build", "-v", "one.yaml")
    yield process
    process.kill()
    process.communicate()


def descendants(process: int) -> set[int]:
    """Return the processes below one, as far as they can be seen."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end(processes: set[int]) -> set[int]:
    """Return the processes that are still alive after a while."""
    until = time.monotonic() + 15
    while (left := {process for process in processes if is_alive(process)}) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def test_the_killed_melpy_leaves_no_process(waiting: subprocess.Popen[str]) -> None:
    below = descendants(waiting.pid)
    assert len(below) >= 4  # the server, a worker, the sandbox, the step
    waiting.kill()
    assert wait_for_the_end(below) == set()


def test_a_killed_worker_is_told_and_leaves_no_process(waiting: subprocess.Popen[str]) -> None:
    """The build is begun anew once; a worker that is killed again ends it."""
    below = descendants(waiting.pid)
    (server,) = [process for process in below if parent_of(process) == waiting.pid]
    worker = find_worker(server)
    assert os.getsid(worker) == worker != os.getsid(waiting.pid)
    os.kill(worker, signal.SIGKILL)
    another = find_worker(server, worker)
    below |= descendants(waiting.pid)
    os.kill(another, signal.SIGKILL)
    _, errors = waiting.communicate(timeout=30)
    killed = "one-1.0-r0/x86_64: the process that built it was killed by SIGKILL"
    assert f"warning: {killed}; it is begun anew in 1 s (attempt 2)" in errors
    assert f"error: {killed}" in errors
    assert waiting.returncode == 71
    assert wait_for_the_end(below) == set()


def test_a_build_whose_worker_was_killed_is_begun_anew(project: Project, tmp_path: Path) -> None:
    """The packages are those of an undisturbed build."""
    cache = "/var/cache/melange/seen"
    runs = f"if ! test -e {cache}; then touch {cache}; echo waits; sleep 1000; fi; mkdir -p ${{{{targets.destdir}}}}/x"
    project.write("one.yaml", shell_recipe(runs=runs))
    process = project.begin("build", "-v", "--build-cache", "recipe", "one.yaml")
    below = descendants(process.pid)
    (server,) = [one for one in below if parent_of(one) == process.pid]
    os.kill(find_worker(server), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "it is begun anew in 1 s (attempt 2)" in errors
    first = project.packages()
    assert list(first) == ["x86_64/one-1.0-r0.apk"]
    again = project.melpy("build", "--build-cache", "recipe", "one.yaml")
    assert again.returncode == 0, again.stderr
    assert project.packages() == first
    assert wait_for_the_end(below) == set()


def find_worker(server: int, before: int = 0) -> int:
    """Return a worker of a server, another one than that which was killed, once its step runs."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        with suppress(OSError):  # one of them has just ended
            found = [process for process in descendants(server) if parent_of(process) == server and process != before]
            if found and len(descendants(found[0])) >= 2:
                return found[0]
        time.sleep(0.05)
    raise AssertionError("no worker came")


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_an_interrupt_cancels_the_job(project: Project, waiting: subprocess.Popen[str]) -> None:
    below = descendants(waiting.pid)
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "Traceback" not in errors
    assert wait_for_the_end(below) == set()
    assert list((project.directory / "cache/work").iterdir()) == []


def test_the_key_is_in_no_process_but_the_publisher(project: Project, waiting: subprocess.Popen[str]) -> None:
    """Neither in memory nor in open files; melpy itself has it, so the search is one that finds."""
    key = project.repository.public_key.with_suffix("").read_text()
    text = key.splitlines()[5].encode()
    assert finds(waiting.pid, text, number_of(key))
    for process in descendants(waiting.pid):
        assert not finds(process, text, number_of(key)), process


def number_of(pem: str) -> bytes:
    """Return a prime of a private key as memory holds it: little-endian words."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.encode(), None)
    prime: int = key.private_numbers().p  # type: ignore[union-attr]  # an RSA key
    return prime.to_bytes(128, "little")


def finds(process: int, *texts: bytes) -> bool:
    """Tell whether a process has one of these bytes in its memory, its environment, or a file that it has open."""
    base = Path(f"/proc/{process}")
    with suppress(OSError):
        if any(text in (base / "environ").read_bytes() for text in texts):
            return True
        for link in (base / "fd").iterdir():
            if str(os.readlink(link)).endswith(".rsa"):  # noqa: PTH115  # of a process's own links
                return True
    with suppress(OSError), (base / "mem").open("rb", 0) as memory:
        for line in (base / "maps").read_text().splitlines():
            if line.split()[1].startswith("r") and "[v" not in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                with suppress(OSError, ValueError):
                    memory.seek(start)
                    data = memory.read(end - start)
                    if any(text in data for text in texts):
                        return True
    return False


@pytest.mark.parametrize("kind", ["env", "fd"])
def test_a_key_from_a_variable_or_a_descriptor_reaches_no_worker(project: Project, kind: str) -> None:
    key = project.repository.public_key.with_suffix("").read_bytes()
    project.write("one.yaml", shell_recipe(runs=WAITS))
    read, write = os.pipe()
    os.write(write, key)
    os.close(write)
    place = "env:SECRET" if kind == "env" else f"fd:{read}"
    arguments = ("--signing-key", place, "--signing-key-name", project.repository.public_key.name, "one.yaml")
    secret = {"SECRET": key.decode()} if kind == "env" else {}
    process = project.begin("build", "-v", *arguments, secret=secret, pass_fds=(read,))
    os.close(read)
    try:
        below = descendants(process.pid)
        assert len(below) >= 4
        text = key.splitlines()[5]
        for one in below:
            assert not finds(one, text, number_of(key.decode())), one
    finally:
        process.kill()
        process.communicate()


def test_a_signal_to_all_processes_cancels_the_job_and_leaves_no_directory(
    project: Project, waiting: subprocess.Popen[str]
) -> None:
    """As timeout(1), a closed terminal and a service manager send it."""
    below = descendants(waiting.pid)
    (server,) = [process for process in below if parent_of(process) == waiting.pid]
    (worker,) = [process for process in below if parent_of(process) == server]
    for process in (server, worker, waiting.pid):
        os.kill(process, signal.SIGTERM)
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "Traceback" not in errors
    assert "killed" not in errors
    assert wait_for_the_end(below) == set()
    assert list((project.directory / "cache/work").iterdir()) == []


def test_a_closed_terminal_cancels_the_job(project: Project, waiting: subprocess.Popen[str]) -> None:
    below = descendants(waiting.pid)
    os.killpg(waiting.pid, signal.SIGHUP)
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "killed" not in errors
    assert wait_for_the_end(below) == set()
    assert list((project.directory / "cache/work").iterdir()) == []


def test_a_killed_server_is_told_and_leaves_no_process(waiting: subprocess.Popen[str]) -> None:
    below = descendants(waiting.pid)
    (server,) = [process for process in below if parent_of(process) == waiting.pid]
    os.kill(server, signal.SIGKILL)
    _, errors = waiting.communicate(timeout=30)
    assert "error: one-1.0-r0/x86_64: the connection to the processes that build was lost" in errors
    assert waiting.returncode == 71
    assert wait_for_the_end(below) == set()


def test_nobody_reads_what_melpy_prints(project: Project) -> None:
    """The job is cancelled, and cleans up."""
    project.write("one.yaml", shell_recipe(runs="echo waits\nwhile sleep 0.1; do echo more; done"))
    process = project.begin("build", "-v", "one.yaml")
    below = descendants(process.pid)
    assert process.stderr
    process.stderr.close()
    assert process.wait(30) == 141
    assert wait_for_the_end(below) == set()
    assert list((project.directory / "cache/work").iterdir()) == []


@pytest.mark.parametrize("closed", ["0", "02"])
def test_closed_streams_are_no_files_of_workers(project: Project, closed: str) -> None:
    """What melpy opens would get their numbers."""
    project.write("one.yaml", shell_recipe())
    script = "exec " + " ".join(f"{number}<&-" for number in closed) + ' ; exec "$@"'
    run = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "melpy", "build", "one.yaml"],
        cwd=project.directory,
        env=project.full_environment(),
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0
    assert list(project.packages()) == ["x86_64/one-1.0-r0.apk"]


FAULTS = """
import os, resource, signal, sys, time
from pathlib import Path
from melpy.codec import decode
from melpy.engine import execute
from melpy.engine.job import Job
from melpy.engine.worker import start_workers
from melpy.errors import MelpyError
from melpy.events import Null

job = decode(sys.stdin.buffer.readline(), Job)
if os.geteuid() == 0:
    os.setuid(65534)  # root's processes are not counted
with start_workers() as workers:
    (server,) = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    time.sleep(1)  # it has begun to wait for jobs by then
    if sys.argv[1] == "killed":
        os.kill(server, signal.SIGKILL)
        time.sleep(0.2)
    elif sys.argv[1] == "processes":
        resource.prlimit(server, resource.RLIMIT_NPROC, (0, 0))
    elif sys.argv[1] == "files":
        resource.prlimit(server, resource.RLIMIT_NOFILE, (3, 3))
    for _ in range(2):
        try:
            workers.execute(job, Null())
        except MelpyError as error:
            print(f"{error} [{error.hint}]")
"""


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("killed", "one-1.0-r0/x86_64: the connection to the processes that build was lost [the machine may have run "),
        ("processes", "one-1.0-r0/x86_64: no process can be started for it: resource temporarily unavailable [raise "),
        ("files", "one-1.0-r0/x86_64: the connection to the processes that build was lost [the machine may have run "),
    ],
)
def test_no_worker_can_be_started(project: Project, fault: str, text: str) -> None:
    """It is an error of each job, and not the end of melpy."""
    project.write("one.yaml", shell_recipe())
    (job,) = work(project.directory, "prepare", "one.yaml")
    run = subprocess.run(
        [sys.executable, "-c", FAULTS, fault],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        input=f"{job}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert [line[: len(text)] for line in run.stdout.splitlines()] == [text] * 2


CANCELS = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from melpy.codec import decode
from melpy.engine.job import Job
from melpy.engine.worker import start_workers
from melpy.errors import MelpyError
from melpy.events import Output
from tests.e2e.test_worker import descendants, wait_for_the_end

class Begun:
    def __init__(self):
        self.event = threading.Event()
    def emit(self, event):
        if isinstance(event, Output) and event.line == "| waits":
            self.event.set()

def told(future):
    try:
        return future.result(30)
    except MelpyError as error:
        return f"{type(error).__name__}: {error}"

one, two = (decode(line, Job) for line in sys.stdin.buffer)
with start_workers() as workers, ThreadPoolExecutor(2) as pool:
    monitors = [Begun(), Begun()]
    first = pool.submit(workers.execute, one, monitors[0])
    assert monitors[0].event.wait(30)
    own = {child for child in descendants(%PID%)}
    second = pool.submit(workers.execute, two, monitors[1])
    assert monitors[1].event.wait(30)
    both = descendants(%PID%)
    workers.cancel(one)
    print(told(first))
    (server,) = map(int, Path(f"/proc/self/task/{%PID%}/children").read_text().split())
    print(wait_for_the_end(own - {server}), second.done(), len(both - own) >= 3)
    workers.cancel(two)
    print(told(second))
    print(wait_for_the_end(both - {server}))
    workers.cancel(one)  # before it is executed
    begin = time.monotonic()
    print(told(pool.submit(workers.execute, one, Begun())), time.monotonic() - begin < 1)
    third = Begun()  # a job that was cancelled may be executed anew
    future = pool.submit(workers.execute, one, third)
    print(third.event.wait(30))
    workers.cancel(one)
    print(told(future))
    begin, said = time.monotonic(), set()
    for number in range(12):  # as soon as its process is there, and later
        future = pool.submit(workers.execute, one, Begun())
        time.sleep(0.004 * number)
        workers.cancel(one)
        said.add(told(future))
    print(said, time.monotonic() - begin < 9)  # a signal that is lost costs ten seconds
print(descendants(%PID%))
"""


def run_script(script: str, jobs: list[str], *arguments: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", script.replace("%PID%", "__import__('os').getpid()"), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        input="".join(f"{job}\n" for job in jobs),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


def test_jobs_in_threads_are_cancelled_one_by_one(project: Project) -> None:
    """An interrupt reaches the main thread only, which then cancels them; nothing of them is left."""
    for name in ("one", "two"):
        project.write(f"{name}.yaml", shell_recipe(name, runs=WAITS))
    jobs = work(project.directory, "prepare", "one.yaml", "two.yaml")
    assert run_script(CANCELS, jobs) == [
        "CancelledError: one-1.0-r0/x86_64: was cancelled",
        "set() False True",
        "CancelledError: two-1.0-r0/x86_64: was cancelled",
        "set()",
        "CancelledError: one-1.0-r0/x86_64: was cancelled True",
        "True",
        "CancelledError: one-1.0-r0/x86_64: was cancelled",
        "{'CancelledError: one-1.0-r0/x86_64: was cancelled'} True",
        "set()",
    ]
    assert list((project.directory / "cache/work").iterdir()) == []
    assert str(project.directory) not in Path("/proc/self/mountinfo").read_text()


UNREAD = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from melpy.codec import decode
from melpy.engine.job import Job
from melpy.engine.worker import start_workers
from melpy.errors import MelpyError
from melpy.events import Null, Output

class Stuck:
    \"\"\"Somebody who does not read on.\"\"\"
    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()
    def emit(self, event):
        if isinstance(event, Output):
            self.begun.set()
            self.go.wait(60)

one, two = (decode(line, Job) for line in sys.stdin.buffer)
with start_workers() as workers, ThreadPoolExecutor(2) as pool:
    stuck = Stuck()
    first = pool.submit(workers.execute, one, stuck)
    assert stuck.begun.wait(30)
    time.sleep(2)  # its worker waits for room by then
    (server,) = map(int, Path(f"/proc/self/task/{%PID%}/children").read_text().split())
    (worker,) = map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())
    os.kill(worker, signal.SIGKILL)
    time.sleep(0.5)  # the server knows
    print(pool.submit(workers.execute, two, Null()).result(60).failure)
    stuck.go.set()
    try:
        first.result(60)
    except MelpyError as error:
        print(error)
"""


def test_a_worker_whose_words_nobody_reads_stops_no_other(project: Project) -> None:
    """What the server says of its end waits for room, and other jobs go on; it is heard when somebody reads."""
    project.write("one.yaml", shell_recipe("one", runs="seq 1000000"))
    project.write("two.yaml", shell_recipe("two"))
    jobs = work(project.directory, "prepare", "one.yaml", "two.yaml")
    assert run_script(UNREAD, jobs) == [
        "None",
        "one-1.0-r0/x86_64: the process that built it was killed by SIGKILL",
    ]
