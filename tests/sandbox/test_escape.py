"""Ways out of the sandbox, tried by a program in it: system calls, programs of the machine, sockets, mount points."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from melpy.arch import parse_arch
from melpy.build.model import Machine
from melpy.build.step import StepSite, run_script
from melpy.plan.model import PlanStep
from melpy.sandbox.emulator import registration
from melpy.sandbox.identity import WANTED, find_id_range
from melpy.sandbox.model import BASE_CAPABILITIES, Emulator, Mount, NativeTools, Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox
from tests.factories.repository import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.sandbox.model import IdRange

REFUSED = {"EPERM", "ENOSYS", "EACCES", "EROFS", "EAFNOSUPPORT", "ENOENT"}


@pytest.fixture
def layer(tmp_path: Path, attempts: Path, require: Callable[..., None]) -> Path:
    require(str(BUSYBOX), "bwrap")
    directory = tmp_path / "layer"
    (directory / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    (directory / "bin/sh").symlink_to("busybox")
    shutil.copy(attempts, directory / "bin/attempts")
    return directory


@pytest.fixture(params=["one id", "a range of ids"])
def ids(request: pytest.FixtureRequest) -> IdRange | None:
    found = find_id_range()
    if request.param == "one id":
        return None
    if found is None:
        pytest.skip("this user has no range of ids")
    return found


def spec(tmp_path: Path, layer: Path, script: str, ids: IdRange | None = None, **more: object) -> SandboxSpec:
    return SandboxSpec(
        root=Root((layer,), tmp_path / "upper", tmp_path / "work", tmp_path / "root"),
        command=("/bin/sh", "-c", f"busybox mkdir -p /tmp\n{script}"),
        workdir=PurePosixPath("/"),
        environment=(("PATH", "/bin"),),
        state=tmp_path / "state",
        ids=ids,
        **more,  # type: ignore[arg-type]  # a test's own
    )


def run(sandbox: SandboxSpec) -> list[str]:
    lines: list[str] = []
    outcome = run_sandbox(sandbox, lines.append)
    assert outcome.status == 0, lines
    return lines


def answers(lines: list[str]) -> dict[str, str]:
    """Return what the program said of each attempt."""
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("what", ["namespaces", "kernel", "sockets", "first-process"])
def test_system_calls_that_reach_for_the_machine_are_refused(
    tmp_path: Path, layer: Path, ids: IdRange | None, what: str
) -> None:
    found = answers(run(spec(tmp_path, layer, f"attempts {what}", ids)))
    assert len(found) >= 5
    assert {name: error for name, error in found.items() if error not in REFUSED} == {}


def test_a_step_that_freezes_the_first_process_is_ended(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    lines: list[str] = []
    outcome = run_sandbox(spec(tmp_path, layer, "attempts freeze", ids), lines.append)
    assert answers(lines) == {"opened": "done", "read": "done", "written": "done"}
    assert (outcome.status, outcome.stopped) == (-9, "left its sandbox unable to end")
    assert _processes(tmp_path) == []


def test_who_may_mount_cannot_undo_the_mounts_of_the_sandbox(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    (tmp_path / "shared").mkdir()
    script = r"""
    busybox mkdir -p /tmp/x
    cat > /tmp/try <<'END'
    for place in /proc/sys $DEVICE /shared; do
      busybox umount $place && echo "unmounted $place"
      busybox umount -l $place && echo "detached $place"
      busybox mount -o remount,bind,rw $place && echo "made $place writable"
    done
    busybox mount --bind /proc/sys /tmp/x; busybox mount -o remount,bind,rw /tmp/x && echo "made a copy writable"
    busybox mount -t proc proc /tmp/x && echo "mounted a second /proc"
    busybox mount -t sysfs sysfs /tmp/x && echo "mounted /sys"
    echo > /shared/file && echo "wrote to /shared"
    busybox chmod 666 /dev/null && echo "changed /dev/null"
    true
END
    busybox sh /tmp/try; busybox unshare -m busybox sh /tmp/try; busybox unshare -U -r -m -p -f -i busybox sh /tmp/try
    """.replace("cat >", "busybox cat >")
    # An ordinary user's step may not change the machine's device files anyhow.
    device = "/dev/null" if os.geteuid() == 0 else ""
    lines = run(
        spec(
            tmp_path,
            layer,
            f"export DEVICE={device}\n{script}",
            ids,
            capabilities=(*BASE_CAPABILITIES, "CAP_SYS_ADMIN"),
            mounts=(Mount(tmp_path / "shared", PurePosixPath("/shared")),),
        )
    )
    assert [line for line in lines if re.match("unmounted|detached|made|mounted|wrote|changed", line)] == []
    assert any("Operation not permitted" in line or "Permission denied" in line for line in lines)


def test_programs_of_the_machine_that_run_inside_cannot_be_changed(
    tmp_path: Path, layer: Path, ids: IdRange | None
) -> None:
    """A bubblewrap in the user's home belongs to the user, and one of root's to root, as whom melpy may run."""
    bwrap = tmp_path / "bin/bwrap"
    bwrap.parent.mkdir()
    shutil.copy(shutil.which("bwrap") or "", bwrap)
    before = bwrap.stat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{bwrap.parent}:{os.environ['PATH']}")
        lines = run(spec(tmp_path, layer, "busybox readlink /proc/1/exe; attempts programs 1", ids))
    assert lines[0] == str(bwrap)
    assert set(answers(lines[1:]).values()) <= {"EROFS", "ETXTBSY", "EACCES"}
    assert bwrap.stat().st_ctime_ns == before.st_ctime_ns


def test_the_emulator_cannot_be_changed(
    tmp_path: Path, layer: Path, ids: IdRange | None, require: Callable[..., None]
) -> None:
    require("qemu-aarch64-static")
    arch = parse_arch("aarch64")
    emulator = tmp_path / "bin/qemu"
    emulator.parent.mkdir()
    shutil.copy(shutil.which("qemu-aarch64-static") or "", emulator)
    before = emulator.stat()
    # A program of that architecture that never ends: `b .` at the entry point of a static ELF file.
    (layer / "bin/foreign").write_bytes(_endless())
    (layer / "bin/foreign").chmod(0o755)
    script = "foreign & busybox sleep 0.5; busybox readlink /proc/$!/exe; attempts programs $!; kill $!"
    lines = run(
        spec(
            tmp_path,
            layer,
            script,
            ids,
            emulator=Emulator("aarch64", str(emulator), registration(arch, str(emulator))),
        )
    )
    assert lines[0] == str(emulator)
    assert set(answers(lines[1:4]).values()) <= {"EROFS", "ETXTBSY", "EACCES"}
    assert emulator.stat().st_ctime_ns == before.st_ctime_ns


def _endless() -> bytes:
    import struct

    base, size = 0x400000, 64 + 56 + 4
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x10000)
    return header + segment + struct.pack("<I", 0x14000000)


def test_no_open_file_of_the_machine_comes_along(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    """Pipes, and with a range of ids the step's own user namespace, which bubblewrap does not close."""
    script = "for fd in /proc/self/fd/* /proc/1/fd/*; do echo $(busybox readlink $fd); done"
    lines = [line for line in run(spec(tmp_path, layer, script, ids)) if line]
    assert {re.sub(r":\[\d+\]$", "", line) for line in lines} <= {"pipe", "anon_inode:[eventfd]", "user"}


def test_servers_of_the_machine_are_not_reached(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    name = f"melpy-test-{os.getpid()}"
    with socket.socket() as loopback, socket.socket(socket.AF_UNIX) as abstract:
        loopback.bind(("127.0.0.1", 0))
        loopback.listen()
        abstract.bind(f"\0{name}")
        abstract.listen()
        script = f"attempts reach {loopback.getsockname()[1]} {name}"
        assert answers(run(spec(tmp_path, layer, script, ids))) == {
            "loopback": "ECONNREFUSED",
            "abstract": "ECONNREFUSED",
        }
        # The attempt is sound: with the network it succeeds, which docs/explanation/sandbox.md says.
        (tmp_path / "again").mkdir()
        found = answers(run(spec(tmp_path / "again", layer, script, ids, network=True)))
        assert found == {"loopback": "done", "abstract": "done"}


def test_only_processes_of_the_sandbox_are_seen(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    script = """
    for process in /proc/[0-9]*; do busybox tr '\\0' ' ' < $process/cmdline; echo; done
    """
    lines = run(spec(tmp_path, layer, script, ids))
    commands = [line.split()[0] for line in lines if line.startswith(("/", "busybox"))]
    assert {Path(command).name for command in commands} <= {"bwrap", "sh", "busybox", "tr"}


def test_setuid_programs_give_nothing(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    script = """
    cd /tmp; busybox cp /bin/busybox busybox; busybox chown 0:0 busybox; busybox chmod 6755 busybox; ./busybox id -u
    busybox grep NoNewPrivs /proc/self/status
    """
    lines = run(spec(tmp_path, layer, script, ids))
    assert lines[-2:] == ["1000", "NoNewPrivs:\t1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is nobody's alias")
def test_the_user_of_a_step_is_not_the_root_of_the_machine(tmp_path: Path, layer: Path) -> None:
    ids = find_id_range()
    if ids is None:
        pytest.skip("this is the root of a container")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/file").write_text("root's")
    mounts = (Mount(tmp_path / "shared", PurePosixPath("/shared"), writable=True),)
    script = """
    busybox stat -c '%u %n' /dev/null /proc/sys /proc/cpuinfo /dev/tty
    busybox stat -c '%u %n' /bin/busybox /shared/file
    echo by the step > /shared/new; busybox chown 8:8 /shared/new; echo to stdout > /dev/stdout
    busybox id -u
    """
    lines = run(spec(tmp_path, layer, script, ids, mounts=mounts))
    assert lines[:4] == [f"65534 {path}" for path in ("/dev/null", "/proc/sys", "/proc/cpuinfo", "/dev/tty")]
    assert lines[4:] == ["1000 /bin/busybox", "1000 /shared/file", "to stdout", "1000"]
    # On disk they belong to whom they would without that.
    assert (tmp_path / "shared/new").stat().st_uid == ids.uid + 7
    assert (tmp_path / "shared/file").stat().st_uid == 0


def test_a_step_sees_its_own_kernel_id(tmp_path: Path, layer: Path, ids: IdRange | None) -> None:
    """The user of a step, as this machine knows it, has no file of the machine."""
    lines: list[str] = []
    seen: set[int] = set()

    def look(line: str) -> None:
        lines.append(line)
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cmdline").read_bytes().endswith(b"\0marked-as-this\0"):
                    seen.add(process.stat().st_uid)
        (tmp_path / "shared/seen").touch()

    # Its words are set before it prints, and it ends when it has been seen, however long that takes.
    (tmp_path / "shared").mkdir()
    script = "busybox sh -c 'echo up; until [ -e /shared/seen ]; do busybox sleep 0.1; done' marked-as-this"
    mounts = (Mount(tmp_path / "shared", PurePosixPath("/shared")),)
    run_sandbox(spec(tmp_path, layer, script, ids, mounts=mounts), look)
    assert lines == ["up"]
    expected = ids.uid + WANTED if ids and os.geteuid() == 0 else os.geteuid()
    assert seen == {expected}


# What one step leaves for the next.


@pytest.mark.parametrize("replaced", ["native", "cache", "step"])
def test_mount_points_that_a_step_replaced_lead_nowhere(tmp_path: Path, layer: Path, replaced: str) -> None:
    """bubblewrap makes mount points where the host is seen as /oldroot, and follows symlinks there."""
    host = tmp_path / "host"
    host.mkdir()
    place = _site(tmp_path, layer)
    plant = (
        "busybox mv /run/melpy /gone; busybox mkdir -p /run/melpy\n"
        f"busybox ln -s /oldroot{host}/planted /run/melpy/{replaced}; busybox ls -l /run/melpy"
    )
    lines: list[str] = []
    for script in (plant, "busybox cat /run/melpy/native/file /run/melpy/cache"):
        outcome = run_script(_step(script), place, lines.append)
        assert outcome.status == 0, lines
    assert "of the toolsof the cache" in lines
    assert any("/oldroot" in line for line in lines)
    assert list(host.iterdir()) == []


_MOUNT_POINTS = [
    "dev",
    "dev/null",
    "home",
    "home/build",
    "proc",
    "proc/sys",
    "run",
    "run/melpy",
    "run/melpy/cache",
    "run/melpy/native",
    "run/melpy/step",
    "var",
    "var/cache",
    "var/cache/melange",
]


@pytest.mark.parametrize("kind", ["symlink to a file", "symlink to a directory", "dangling symlink", "file"])
@pytest.mark.parametrize("place", _MOUNT_POINTS)
def test_mount_points_that_a_package_ships_lead_nowhere(
    tmp_path: Path, layer: Path, ids: IdRange | None, place: str, kind: str
) -> None:
    host = tmp_path / "host"
    (host / "directory").mkdir(parents=True)
    (host / "file").write_text("of the host")
    shipped = layer / place
    shipped.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        shipped.write_text("of a package")
    else:
        target = {"symlink to a file": "file", "symlink to a directory": "directory"}.get(kind, "planted")
        shipped.symlink_to(f"/oldroot{host}/{target}")
    lines: list[str] = []
    script = "busybox cat /run/melpy/native/file /run/melpy/cache; echo x > file; echo y > /var/cache/melange/file"
    outcome = run_script(_step(script), _site(tmp_path, layer, ids), lines.append)
    assert (outcome.status, lines) == (0, ["of the toolsof the cache"])
    assert (tmp_path / "workspace/file").read_text() == "x\n"
    assert (tmp_path / "kept/file").read_text() == "y\n"
    assert sorted(path.name for path in host.rglob("*")) == ["directory", "file"]
    assert (host / "file").read_text() == "of the host"


def _site(tmp_path: Path, layer: Path, ids: IdRange | None = None) -> StepSite:
    for name in ("workspace", "state", "tools", "kept", "upper"):
        (tmp_path / name).mkdir()
    (tmp_path / "tools/file").write_text("of the tools")
    (tmp_path / "cache").write_text("of the cache")
    return StepSite(
        root=Root((layer,), tmp_path / "upper", tmp_path / "work", tmp_path / "root"),
        workspace=tmp_path / "workspace",
        state=tmp_path / "state",
        environment={},
        user=(1000, 1000),
        capabilities=BASE_CAPABILITIES,
        machine=Machine(None, NativeTools((), tmp_path / "tools", tmp_path / "cache", ()), ids),
        cache=tmp_path / "kept",
        path="/bin",
    )


def _step(script: str) -> PlanStep:
    return PlanStep("step", script)


# What is left when melpy is killed.

ENDLESS = """
import sys
from pathlib import Path, PurePosixPath
from melpy.sandbox.identity import find_id_range
from melpy.sandbox.model import Mount, Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox

directory, layer = map(Path, sys.argv[1:3])
root = Root((layer,), directory / "upper", directory / "work", directory / "root")
script = "(busybox setsid busybox sleep 7654 &); busybox sleep 7654"
spec = SandboxSpec(root, ("/bin/sh", "-c", script), PurePosixPath("/"), (("PATH", "/bin"),), directory / "state",
                   ids=find_id_range() if sys.argv[3] == "range" else None)
run_sandbox(spec, lambda line: None)
"""


@pytest.mark.parametrize("kind", ["single", "range"])
def test_nothing_is_left_when_melpy_is_killed_at_any_moment(tmp_path: Path, layer: Path, kind: str) -> None:
    """Within a tenth of a second the namespaces are made, mounted, and entered; here it ends after 0, 4, 8... ms."""
    if kind == "range" and find_id_range() is None:
        pytest.skip("this user has no range of ids")
    program = tmp_path / "endless.py"
    program.write_text(ENDLESS)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    left = []
    for number in range(24):
        directory = tmp_path / f"run-{number}"
        (directory / "state").mkdir(parents=True)
        process = subprocess.Popen(
            [sys.executable, program, directory, layer, kind],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for(lambda place=directory: (place / "state/sandbox.json").exists())  # type: ignore[misc]  # mypy knows no defaults
        time.sleep(0.004 * number)
        process.kill()
        process.wait()
        with suppress(TimeoutError):
            _wait_for(lambda place=directory: not _processes(place))  # type: ignore[misc]  # likewise
        left += _processes(directory)
    assert left == []


def _wait_for(is_so: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.002)


def _processes(directory: Path) -> list[str]:
    """Return the processes that have a directory among their words, or its root as theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            mounts = (process / "mounts").read_text()
            if str(directory) in words or str(directory) in mounts:
                found.append(f"{process.name} {words[:80]}")
    return found
