"""Why a sandbox cannot be set up on this machine, and which switch of it is wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import EmulationError, OverlayError, SandboxError

if TYPE_CHECKING:
    from melpy.run import Outcome

_GUIDE = "docs/how-to/containers.md"
_SECCOMP_OPTION = "--security-opt seccomp=unconfined (podman, docker)"
_PROC = "the sandbox cannot have a /proc of its own"
_PROC_HINT = (
    "in a container, show all of /proc: --security-opt unmask=ALL (podman), --security-opt systempaths=unconfined "
    f"(docker), procMount: Unmasked (Kubernetes); {_GUIDE}"
)
_MOUNT = "this machine does not let user namespaces mount anything"
_MOUNT_HINT = (
    f"in a container, allow it: {_SECCOMP_OPTION}, --security-opt apparmor=unconfined where AppArmor is; {_GUIDE}"
)
_OVERLAY = "the build root cannot be mounted as an overlay"
_OVERLAY_HINT = "put the cache (--cache-dir) on a local ext4, xfs or btrfs file system; Linux 5.11 or newer is needed"
_VOLUME_HINT = f"in a container, keep it on a volume: -v melpy-cache:$HOME/.cache/melpy (podman, docker); {_GUIDE}"
_IDS_HINT = "newuidmap says why; without a range for this user in /etc/subuid, builds do with the user's own id"
_NAMESPACE = "this machine does not let you make user namespaces"
_SAID = (
    (re.compile(r"mount proc on"), _PROC, _PROC_HINT),
    (
        re.compile(r"hostname"),
        "the sandbox cannot have a host name of its own",
        f"in a container, allow it: {_SECCOMP_OPTION}; {_GUIDE}",
    ),
    (re.compile(r"RTM_NEWADDR|RTM_NEWLINK|uid map: "), "user namespaces have no rights on this machine", ""),
    (re.compile(r"namespace"), _NAMESPACE, ""),
    (re.compile(r"mount|pivot_root|Failed to make"), _MOUNT, _MOUNT_HINT),
    (re.compile(r"Resource temporarily unavailable"), "no more processes can be made", "raise ulimit -u"),
)
"""What bubblewrap says, what that means, and what to do; where that is empty, the switch is looked for."""
_REFUSED = re.compile(r"bwrap: (?!execvp )")


def explain_refusal(error: str, directory: Path) -> SandboxError | EmulationError:
    """Return the error for what `enter.py` wrote.

    Args:
        error: `what: reason`.
        directory: one on the file system that builds work on.
    """
    what, _, reason = error.partition(": ")
    reason = reason.lower()
    if what.startswith("binfmt"):
        hint = "Linux 6.7 or newer with binfmt_misc is needed"
        return EmulationError(f"QEMU cannot be registered ({what}): {reason}", hint=hint)
    if what == "overlay" and _find_file_system(directory) == "overlay":
        return OverlayError(f"{_OVERLAY}, since the cache is on one itself", hint=_VOLUME_HINT)
    if what == "overlay":
        return OverlayError(f"{_OVERLAY}: {reason}", hint=_OVERLAY_HINT)
    known = {
        "user-namespace": (_NAMESPACE, namespace_hint),
        "pid-namespace": ("this machine does not let you make PID namespaces", namespace_hint),
        "id-range": ("the ids that /etc/subuid and /etc/subgid grant cannot be used", lambda: _IDS_HINT),
        "proc": (_PROC, lambda: _PROC_HINT),
        **dict.fromkeys(("mount-namespace", "protect", "cover", "move-mount"), (_MOUNT, lambda: _MOUNT_HINT)),
    }
    text, find_hint = known.get(what, (f"the sandbox cannot be set up: {what}", str))
    return SandboxError(f"{text}: {reason}", hint=find_hint() or None)


def explain_bubblewrap(outcome: Outcome) -> SandboxError:
    """Return the error for bubblewrap that ended before it began the command."""
    said = "\n".join(outcome.tail)
    message, hint = "bubblewrap could not start", "melpy doctor looks into it; bubblewrap 0.8 or newer is needed"
    for sign, meaning, remedy in _SAID:
        if sign.search(said):
            message, hint = meaning, remedy
            break
    return SandboxError(message, details=outcome.quoted, hint=hint or namespace_hint())


def is_refused(outcome: Outcome) -> bool:
    """Tell whether bubblewrap failed at its part of a sandbox, when it had begun its first process already."""
    lines = [line for line in outcome.tail if line.strip()]
    return outcome.status == 1 and len(lines) == 1 and bool(_REFUSED.match(lines[0]))


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
    return f"in a container, allow them: {_SECCOMP_OPTION}; {_GUIDE}"


def _find_file_system(directory: Path) -> str:
    """Return the type of the file system that a directory is on, or nothing. Source: proc(5), mountinfo."""
    device = directory.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return ""
