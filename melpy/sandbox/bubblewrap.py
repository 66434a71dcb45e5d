"""A sandbox spec becomes bubblewrap's arguments: a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melpy.sandbox.model import SandboxSpec

HOSTNAME = "melpy"


def bubblewrap_argv(spec: SandboxSpec, program: str = "bwrap", *, status_fd: int | None = None) -> list[str]:
    """Return the command line that runs the spec's command, its root being mounted already.

    Namespaces are all its own: user, mount, PID, IPC, UTS, cgroup, and network unless the spec has it. The command
    has no controlling terminal and dies with melpy.

    Args:
        spec: the sandbox.
        program: bubblewrap.
        status_fd: where bubblewrap tells that it started the command, and how that ended.
    """
    uid, gid = spec.user
    argv = [program, "--unshare-all", "--uid", str(uid), "--gid", str(gid), "--hostname", HOSTNAME]
    argv += ["--share-net"] if spec.network else []
    argv += ["--die-with-parent", "--new-session"]
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
