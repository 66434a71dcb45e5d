"""Why a sandbox cannot be set up on this machine, and which switch of it, or of its container, is wrong.

What fails is known from the set-up itself; what refuses it is read from the kernel (`container.py`).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import EmulationError, OverlayError, SandboxError, find_limit_hint
from melpy.sandbox.container import (
    find_container,
    find_covers,
    find_file_system,
    find_label,
    has_filter,
    is_chroot,
)
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFUSED = tuple(os.strerror(number).lower() for number in (errno.EPERM, errno.EACCES))
_FULL = os.strerror(errno.ENOSPC).lower()

_FILTER_OFF = {
    "docker": "--security-opt seccomp=unconfined",
    "podman": "--security-opt seccomp=unconfined",
    "kubernetes": "set securityContext.seccompProfile.type to Unconfined",
    "lxc": "empty lxc.seccomp.profile in the container's configuration",
}
_LABEL_OFF = {
    "docker": "--security-opt apparmor=unconfined (SELinux: label=disable)",
    "podman": "--security-opt apparmor=unconfined (SELinux: label=disable)",
    "kubernetes": "set securityContext.appArmorProfile.type to Unconfined",
    "lxc": "set lxc.apparmor.profile = unconfined in the container's configuration",
}
_COVERS_OFF = {
    "docker": "--security-opt systempaths=unconfined",
    "podman": "--security-opt unmask=ALL",
    "kubernetes": "set securityContext.procMount to Unmasked (and hostUsers to false)",
    "systemd-nspawn": "start the container with SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes in systemd-nspawn's environment",
}


def explain_refusal(error: str, upper: Path | None = None) -> SandboxError | EmulationError:
    """Return the error for what `enter.py` wrote.

    Args:
        error: `what: reason`.
        upper: directory that the overlay's changes go to, where there is an overlay.
    """
    what, _, reason = error.partition(": ")
    reason = reason.lower()
    if what == "overlay":
        return _overlay_error(reason, upper)
    if what.startswith("binfmt"):
        return EmulationError(f"QEMU cannot be registered ({what}): {reason}", hint=_binfmt_hint(reason))
    if what == "user-namespace":
        text, hint = f"this machine does not let you make user namespaces: {reason}", _namespace_hint(reason)
    elif what == "second-namespace":
        text, hint = "this machine does not let you make one user namespace in another", _namespace_hint(reason)
    elif what == "own-proc":
        text = "/proc is not mounted, or does not know this process"
        hint = "mount it: mount -t proc proc /proc (unshare: --mount-proc; chroot: mount --rbind /proc DIR/proc)"
    elif what == "proc":
        text, hint = f"the sandbox cannot have a /proc of its own: {reason}", _proc_hint(reason)
    elif what == "id-range":
        text = f"the ids that /etc/subuid and /etc/subgid grant cannot be used: {reason}"
        hint = "take the range out of /etc/subuid and /etc/subgid to build without it; melpy doctor tries it"
    else:
        text, hint = f"the sandbox cannot be set up: {error}", _refusal_hint(error.lower())
    return SandboxError(text, hint=hint or None)


def explain_bubblewrap(lines: Sequence[str], quoted: Sequence[str]) -> SandboxError:
    """Return the error for a sandbox that bubblewrap could not set up.

    Args:
        lines: the last lines that it printed.
        quoted: the same, marked as another program's.
    """
    text = lines[-1].lower() if lines else ""
    if "namespace" in text and "hostname" not in text:
        hint = _namespace_hint(text)
    elif "mount proc" in text or "on /newroot/proc" in text:
        hint = _proc_hint(text)
    else:
        hint = _refusal_hint(text)
    return SandboxError("bubblewrap could not set up the sandbox", details=quoted, hint=hint or "melpy doctor tries it")


def _overlay_error(reason: str, upper: Path | None) -> OverlayError:
    if upper and find_file_system(upper) == "overlay":
        engine = find_container()
        volume = f"{engine} run -v melpy-cache:/cache" if engine in {"docker", "podman"} else "a volume"
        return OverlayError(
            "the cache is on an overlay itself, as a container's root is, and the kernel mounts none on one",
            hint=f"keep the cache on another file system ({volume}), and name it with --cache-dir or MELPY_CACHE_DIR",
        )
    return OverlayError(
        f"the build root cannot be mounted as an overlay: {reason}",
        hint=(_refusal_hint(reason) if reason in _REFUSED else "")
        or "put the cache (--cache-dir) on a local ext4, xfs or btrfs file system; Linux 5.11 or newer is needed",
    )


def _binfmt_hint(reason: str) -> str:
    if os.strerror(errno.ENODEV).lower() in reason:
        return "the kernel has no binfmt_misc; as root of the machine itself: modprobe binfmt_misc"
    hint = _refusal_hint(reason) if reason in _REFUSED else ""
    return hint or "Linux 6.7 or newer with binfmt_misc is needed"


def _proc_hint(reason: str) -> str:
    covers = find_covers()
    if not covers:
        return _refusal_hint(reason) or "mount a whole /proc: mount -t proc proc /proc"
    container = find_container()
    cure = _COVERS_OFF.get(container, "have it show all of /proc, or unmount these")
    if has_filter() and container in _FILTER_OFF:
        cure += f"; its seccomp filter may refuse what comes next: {_FILTER_OFF[container]}"
    return f"something covers parts of /proc ({shorten_list(covers)}): {cure}"


def _namespace_hint(reason: str) -> str:
    """Return what to do where user namespaces cannot be made: the first switch that is wrong."""
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
    if _FULL in reason:
        return "this container or user has as many as it may: raise user.max_user_namespaces outside of it"
    if is_chroot():
        return "no user namespace can be made in a chroot: enter it with systemd-nspawn -D, or podman run --rootfs"
    return _refusal_hint(reason) or "allow this user to make them, or run on another machine"


def _refusal_hint(reason: str) -> str:
    """Return what to do about a system call that was refused; empty where nothing is known to refuse it."""
    container = find_container()
    for number in (errno.EAGAIN, errno.EMFILE):
        if os.strerror(number).lower() in reason:
            return find_limit_hint(number)
    if os.strerror(errno.EACCES).lower() in reason and find_label():
        cure = _LABEL_OFF.get(container, "run it unconfined, or allow it in the profile")
        return f"the profile {find_label()} refuses it: {cure}"
    if any(text in reason for text in _REFUSED) and has_filter():
        cure = _FILTER_OFF.get(
            container,
            "run it without (of a service: SystemCallFilter= and RestrictNamespaces=; of a container: its own)",
        )
        return f"a seccomp filter refuses it: {cure}"
    if any(text in reason for text in _REFUSED) and find_label():
        cure = _LABEL_OFF.get(container, "run it unconfined, or allow it in the profile")
        return f"the profile {find_label()} refuses it: {cure}"
    return ""
