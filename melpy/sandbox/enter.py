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
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


class SetupError(Exception):
    """A system call failed: what it was for, and why."""


def call(what: str, result: int) -> None:
    """Check the result of a system call."""
    if result != 0:
        raise SetupError(f"{what}: {os.strerror(ctypes.get_errno())}")


def enter_namespaces() -> None:
    """Become root of a user namespace that holds this user only, with mounts of its own."""
    uid, gid = os.geteuid(), os.getegid()
    call("user-namespace", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    try:
        write("/proc/self/setgroups", b"deny")
        write("/proc/self/uid_map", f"0 {uid} 1".encode())
        write("/proc/self/gid_map", f"0 {gid} 1".encode())
    except OSError as error:
        raise SetupError(f"user-namespace: {error.strerror}") from None
    call("mount-namespace", libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))


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
    options = f"lowerdir={lower},upperdir=upper,workdir=work,userxattr".encode()
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
        enter_namespaces()
        mount_overlay(spec["names"], spec["layers"], spec["mountpoint"])
        if spec["binfmt"]:
            register_emulator(spec["binfmt"], bytes.fromhex(spec["registration"]))
        os.execv(spec["argv"][0], spec["argv"])  # noqa: S606  # no shell is meant
    except (SetupError, OSError) as error:
        os.write(error_fd, str(error).encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
