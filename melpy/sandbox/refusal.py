"""Why a sandbox cannot be set up on this machine, and which switch of it is wrong."""

from __future__ import annotations

from pathlib import Path

from melpy.errors import EmulationError, OverlayError, SandboxError


def explain_refusal(error: str) -> SandboxError | EmulationError:
    """Return the error for what `enter.py` wrote: `what: reason`."""
    what, _, reason = error.partition(": ")
    reason = reason.lower()
    if what == "user-namespace":
        return SandboxError(f"this machine does not let you make user namespaces: {reason}", hint=namespace_hint())
    if what == "id-range":
        hint = "melpy doctor looks into it"
        return SandboxError(f"the ids that /etc/subuid and /etc/subgid grant cannot be used: {reason}", hint=hint)
    if what == "overlay":
        return OverlayError(
            f"the build root cannot be mounted as an overlay: {reason}",
            hint="put the cache (--cache-dir) on a local ext4, xfs or btrfs file system; Linux 5.11 or newer is needed",
        )
    if what.startswith("binfmt"):
        return EmulationError(
            f"QEMU cannot be registered ({what}): {reason}", hint="Linux 6.7 or newer with binfmt_misc is needed"
        )
    return SandboxError(f"the sandbox cannot be set up: {error}")


def namespace_hint() -> str:
    """Return what to do where user namespaces cannot be made: the first switch of this machine that is wrong."""
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
