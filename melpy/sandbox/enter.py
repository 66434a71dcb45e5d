"""Set up what bubblewrap cannot, then become bubblewrap. A program of its own, run by `melpy.sandbox.runner`.

    python -I -S enter.py SPEC.json ERROR_FD

In a new user and mount namespace, where it is root in name only, it mounts the overlay that is the sandbox's root
and, for a foreign architecture, a binfmt_misc with QEMU registered in it. Nothing of this is seen by the host, and
all of it is gone when the sandbox ends. If something fails, it writes `what: reason` to ERROR_FD.

It imports little, since it starts with every step.
"""

import ctypes
import json
import os
import signal
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
KEYCTL_JOIN_SESSION_KEYRING = 1
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


class SetupError(Exception):
    """A system call failed: what it was for, and why."""


def call(what: str, result: int) -> None:
    """Check the result of a system call."""
    if result != 0:
        raise SetupError(f"{what}: {os.strerror(ctypes.get_errno())}")


def leave_session() -> None:
    """Leave what the caller's session would hand on: its keys in the kernel, and signals that it ignores."""
    number = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}.get(os.uname().machine)
    if number is not None:
        libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)
    for number in range(1, signal.NSIG):
        if number not in {signal.SIGKILL, signal.SIGSTOP} and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def enter_namespaces() -> None:
    """Become root of a user namespace that holds this user only, with mounts of its own."""
    uid, gid = os.geteuid(), os.getegid()
    try:  # noqa: SIM105  # contextlib would be loaded with every step
        os.setgroups([gid])  # root's groups need not be seen
    except OSError:
        pass  # an ordinary user cannot drop groups
    call("user-namespace", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    try:
        write("/proc/self/setgroups", b"deny")
        write("/proc/self/uid_map", f"0 {uid} 1".encode())
        write("/proc/self/gid_map", f"0 {gid} 1".encode())
    except OSError as error:
        raise SetupError(f"user-namespace: {error.strerror}") from None
    call("mount-namespace", libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))


def protect_devices() -> None:
    """Make the machine's device files unchangeable, which would be root's to chmod; they can still be used."""
    for name in (b"null", b"zero", b"full", b"random", b"urandom", b"tty"):
        path = b"/dev/" + name
        if libc.mount(path, path, None, MS_BIND, None) == 0:
            libc.mount(None, path, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC, None)


def write(path: str, data: bytes) -> None:
    """Write to a file of the kernel in one call."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def mount_overlay(names: str, layers: int, mountpoint: str) -> None:
    """Mount the root. Its directories are named by short links, since a page must hold all options."""
    os.chdir(names)
    lower = ":".join(format(number, "x") for number in range(layers))
    options = f"lowerdir={lower},upperdir=upper,workdir=work,userxattr,volatile".encode()
    if len(options) > 4095:
        raise SetupError("overlay: too many layers")
    call("overlay", libc.mount(b"overlay", os.fsencode(mountpoint), b"overlay", 0, options))
    os.chdir("/")


def register_emulator(directory: str, registration: bytes) -> None:
    """Mount this namespace's own binfmt_misc and register the emulator."""
    call("binfmt-mount", libc.mount(b"binfmt_misc", os.fsencode(directory), b"binfmt_misc", 0, None))
    try:
        write(f"{directory}/register", registration)
    except OSError as error:
        raise SetupError(f"binfmt-register: {error.strerror}") from None


def main() -> None:
    """Set up and become bubblewrap."""
    error_fd = int(sys.argv[2])
    os.set_inheritable(error_fd, False)
    os.umask(0o022)  # whatever the user's is, steps make the same files
    try:
        with open(sys.argv[1], encoding="utf-8") as stream:  # noqa: PTH123  # pathlib is not loaded
            spec = json.load(stream)
        leave_session()
        enter_namespaces()
        if os.geteuid() == 0:
            protect_devices()
        mount_overlay(spec["names"], spec["layers"], spec["mountpoint"])
        if spec["binfmt"]:
            register_emulator(spec["binfmt"], bytes.fromhex(spec["registration"]))
        os.execv(spec["argv"][0], spec["argv"])  # noqa: S606  # no shell is meant
    except (SetupError, OSError) as error:
        os.write(error_fd, str(error).encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
