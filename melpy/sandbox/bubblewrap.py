"""A sandbox spec becomes bubblewrap's arguments: a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melpy.sandbox.model import SandboxSpec

HOSTNAME = "melpy"


def bubblewrap_argv(spec: SandboxSpec, program: str = "bwrap", *, status_fd: int | None = None) -> list[str]:
    """Return the command line that runs the spec's command, its root being mounted already.

    Namespaces are all its own: user, mount, PID, IPC, UTS, cgroup, and network unless the spec has it. The command
    dies with melpy, and has no controlling terminal unless the spec says so.

    `enter.py` opens what stands here as @SECCOMP and, where there is a range of ids, @USERNS: the user namespace that
    the command gets, which bubblewrap itself can only make for a single id.

    Args:
        spec: the sandbox.
        program: bubblewrap.
        status_fd: where bubblewrap tells that it started the command, and how that ended.
    """
    uid, gid = spec.user
    if spec.ids:
        argv = [
            program,
            "--unshare-ipc",
            "--unshare-pid",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--userns2",
            "@USERNS",
        ]
        argv += [] if spec.network else ["--unshare-net"]
    else:
        argv = [program, "--unshare-all", "--uid", str(uid), "--gid", str(gid)]
        argv += ["--share-net"] if spec.network else []
    argv += ["--hostname", HOSTNAME, "--die-with-parent", *([] if spec.terminal else ["--new-session"])]
    argv += ["--seccomp", "@SECCOMP"]
    argv += ["--json-status-fd", str(status_fd)] if status_fd is not None else []
    argv += ["--bind", str(spec.root.mountpoint), "/", "--dev", "/dev", "--proc", "/proc"]
    # Where melpy runs as root, the machine's settings would be writable.
    argv += ["--ro-bind", "/proc/sys", "/proc/sys"]
    for mount in spec.mounts:
        argv += ["--bind" if mount.writable else "--ro-bind", str(mount.source), str(mount.target)]
    argv += ["--cap-drop", "ALL"]
    for capability in spec.capabilities:
        argv += ["--cap-add", capability]
    argv += ["--clearenv"]
    for name, value in spec.environment:
        argv += ["--setenv", name, value]
    return [*argv, "--chdir", str(spec.workdir), "--", *spec.command]
