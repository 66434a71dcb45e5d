"""Runs a sandbox: writes down the set-up, starts it, and tells a failing set-up from a failing command."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import EmulationError, SandboxError
from melpy.run import Outcome, find_tool, stream
from melpy.sandbox.bubblewrap import bubblewrap_argv

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.sandbox.model import SandboxSpec

_ENTER = Path(__file__).with_name("enter.py")
_INSTALL = "install bubblewrap (apt install bubblewrap)"


def check_tools() -> None:
    """Check that what every sandbox needs is installed.

    Raises:
        ToolMissingError: bubblewrap is not.
    """
    find_tool("bwrap", hint=_INSTALL)


def run_sandbox(spec: SandboxSpec, on_line: Callable[[str], None]) -> Outcome:
    """Run the spec's command to its end, handing every line it prints to `on_line`.

    Raises:
        ToolMissingError: bubblewrap is not installed.
        SandboxError: the sandbox cannot be set up on this machine.
        EmulationError: QEMU cannot be registered.
    """
    bwrap = find_tool("bwrap", hint=_INSTALL)
    error_read, error_write = os.pipe()
    status_read, status_write = os.pipe()
    try:
        argv = [sys.executable, "-I", "-S", str(_ENTER), str(_write_setup(spec, bwrap, status_write)), str(error_write)]
        outcome = stream(argv, on_line, env={}, pass_fds=(error_write, status_write))
    finally:
        os.close(error_write)
        os.close(status_write)
        with os.fdopen(error_read, "r") as errors, os.fdopen(status_read, "r") as statuses:
            error, status = errors.read(), statuses.read()
        _remove_work(spec.root.work)
    if error:
        raise _setup_error(error)
    if '"child-pid"' not in status:
        raise SandboxError("bubblewrap could not start", details=outcome.tail, hint=_namespace_hint())
    return outcome


def _write_setup(spec: SandboxSpec, bwrap: str, status_fd: int) -> Path:
    """Write the file that `enter.py` reads, and the short names of the overlay's directories."""
    names = spec.state / "layers"
    shutil.rmtree(names, ignore_errors=True)
    names.mkdir(parents=True)
    for number, layer in enumerate(spec.root.layers):
        (names / format(number, "x")).symlink_to(layer)
    for name, directory in (("upper", spec.root.upper), ("work", spec.root.work)):
        directory.mkdir(parents=True, exist_ok=True)
        (names / name).symlink_to(directory)
    spec.root.mountpoint.mkdir(parents=True, exist_ok=True)
    binfmt = spec.state / "binfmt"
    registration = spec.emulator.registration if spec.emulator else b""
    binfmt.mkdir(exist_ok=True)
    setup = {
        "names": str(names),
        "layers": len(spec.root.layers),
        "mountpoint": str(spec.root.mountpoint),
        "binfmt": str(binfmt) if registration else "",
        "registration": registration.hex(),
        "argv": bubblewrap_argv(spec, bwrap, status_fd=status_fd),
    }
    path = spec.state / "sandbox.json"
    path.write_text(json.dumps(setup, indent=1), encoding="utf-8")
    return path


def _remove_work(work: Path) -> None:
    """Remove what overlayfs left, so that the same upper directory can be mounted again."""
    # The kernel makes directories with mode 0, one in the other; `incompat/volatile` would keep the overlay from being
    # mounted once more. Source: fs/overlayfs/super.c, ovl_create_volatile_dirty.
    inner = work / "work"
    for directory in (inner, inner / "incompat", inner / "incompat" / "volatile"):
        if directory.is_dir():
            directory.chmod(0o700)
    shutil.rmtree(inner, ignore_errors=True)


def _setup_error(error: str) -> SandboxError | EmulationError:
    what, _, reason = error.partition(": ")
    reason = reason.lower()
    if what == "user-namespace":
        return SandboxError(f"this machine does not let you make user namespaces: {reason}", hint=_namespace_hint())
    if what == "overlay":
        return SandboxError(
            f"the build root cannot be mounted as an overlay: {reason}",
            hint="put the cache (--cache-dir) on a local ext4, xfs or btrfs file system; Linux 5.11 or newer is needed",
        )
    if what.startswith("binfmt"):
        return EmulationError(
            f"QEMU cannot be registered ({what}): {reason}", hint="Linux 6.7 or newer with binfmt_misc is needed"
        )
    return SandboxError(f"the sandbox cannot be set up: {error}")


def _namespace_hint() -> str:
    switches = (
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
        ),
    )
    for path, bad, remedy in switches:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == bad:
            return f"allow them: {remedy}"
    return "in a container, allow it user namespaces (docker: --security-opt seccomp=unconfined, or run on the host)"
