"""Set up what bubblewrap cannot, then become bubblewrap. A program of its own, run by `melpy.sandbox.runner`.

    python -I -S enter.py SPEC.json ERROR_FD

In a new user and mount namespace, where it is root in name only, it mounts the overlay that is the sandbox's root
and, for a foreign architecture, a binfmt_misc with QEMU registered in it. Nothing of this is seen by the host, and
all of it is gone when the sandbox ends. If something fails, it writes `what: reason` to ERROR_FD.

With a range of ids it forks first, since only who stays outside of a user namespace may map a range into it; the
caller's child then waits for bubblewrap and ends as it does. Told of `owners` instead, it gives files to the caller
that steps gave to others, and writes down whose they were; or, told to `restore`, gives them back.

It imports little, since it starts with every step.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys

TYPE_CHECKING = False  # typing takes as long to load as all of these
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000
KEYCTL_JOIN_SESSION_KEYRING = 1
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1
ALL_IDS = 65536
CAPABILITY = "security.capability"

libc = ctypes.CDLL(None, use_errno=True)


class SetupError(Exception):
    """A system call failed: what it was for, and why."""


def call(what: str, result: int) -> None:
    """Check the result of a system call."""
    if result != 0:
        raise SetupError(f"{what}: {os.strerror(ctypes.get_errno())}")


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, however it ends. A change of ids or namespaces forgets it."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it has ended already


def leave_session() -> None:
    """Leave what the caller's session would hand on: its keys in the kernel, and signals that it ignores."""
    number = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}.get(os.uname().machine)
    if number is not None:
        libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)
    for number in range(1, signal.NSIG):
        if number not in {signal.SIGKILL, signal.SIGSTOP} and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def end_as(child: int, usage: str) -> None:
    """Wait for a child, write down the most memory that a process of it had, in bytes, and end as it does.

    What is typed at the terminal is meant for it. This process itself began as a part of melpy, and so did its memory.
    """
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    with open(usage, "w", encoding="ascii") as stream:  # noqa: PTH123  # pathlib is not loaded
        stream.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def enter_pid_namespace(usage: str, *, terminal: bool) -> None:
    """Fork; the child is the first process of a PID namespace, the parent waits for it and ends as it does.

    With the first process all others of the namespace end. bubblewrap alone would leave its own behind when it is
    killed before they have asked to end with it. The first process forks once more, and waits for what becomes
    bubblewrap; but where there is a terminal it becomes that itself, since the first one is spared what is typed.
    """
    call("pid-namespace", libc.unshare(CLONE_NEWPID))
    alive = os.pipe()
    child = os.fork()
    if child:
        os.close(alive[0])
        end_as(child, usage)
    os.close(alive[1])
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_blocking(alive[0], False)
    try:
        os.read(alive[0], 1)  # at its end, the parent has ended already
        os._exit(1)
    except BlockingIOError:
        os.close(alive[0])
    child = 0 if terminal else os.fork()
    if child:
        end_all(child)


def end_all(child: int) -> None:
    """Wait for a child as the first process of a namespace, end all that it left, and end as it does.

    bubblewrap leaves its sandbox without waiting for it; whoever waits learns what it used.
    """
    code = 1
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            break
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                break
    os._exit(code if code >= 0 else 128 - code)


def join_group(cgroup: str, processors: list[int]) -> None:
    """Enter the control group that was made for this sandbox, and take its processors."""
    if cgroup:
        write(f"{cgroup}/cgroup.procs", b"0")
    if processors:
        os.sched_setaffinity(0, processors)


def limit(limits: dict[str, list[int]]) -> None:
    """Set the limits of each process; that on their number counts from here, since user namespaces count apart."""
    for name, values in limits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}")
        hard = resource.getrlimit(number)[1]
        wanted = [value if hard == resource.RLIM_INFINITY else min(value, hard) for value in values]
        resource.setrlimit(number, (wanted[0], wanted[1]))


def enter_single() -> None:
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


def enter_range(ids: dict[str, Any], usage: str) -> None:
    """Fork; the child becomes root of a user namespace with many ids, the parent waits for it and ends as it does."""
    ready, mapped, parent = os.pipe(), os.pipe(), os.getpid()
    child = os.fork()
    if child == 0:
        call("user-namespace", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        die_with_parent(parent)
        os.write(ready[1], b"1")
        os.close(mapped[1])
        if os.read(mapped[0], 1) != b"1":
            os._exit(1)  # the parent has told why
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        die_with_parent(parent)
        for descriptor in (*ready, mapped[0]):
            os.close(descriptor)
        return
    os.close(ready[1])
    if os.read(ready[0], 1) == b"1":
        map_range(child, ids)
        os.write(mapped[1], b"1")
    os.close(mapped[1])
    end_as(child, usage)


def map_range(child: int, ids: dict[str, Any]) -> None:
    """Map this user to 0 and the range to what follows; `newuidmap` does it for ordinary users."""
    for kind, own in (("uid", os.geteuid()), ("gid", os.getegid())):
        rows = [(0, own, 1), (1, ids[kind], ids["count"])]
        if not ids[f"new{kind}map"]:
            try:
                write(f"/proc/{child}/{kind}_map", "".join(f"{a} {b} {c}\n" for a, b, c in rows).encode())
            except OSError as error:
                raise SetupError(f"id-range: {error.strerror}") from None
            continue
        program = ids[f"new{kind}map"]
        words = [str(word) for word in (program, child, *(word for row in rows for word in row))]
        if os.spawnve(os.P_WAIT, program, words, {}) != 0:  # noqa: S606  # no shell is meant
            raise SetupError(f"id-range: {program} refuses")


def make_user_namespace(user: list[int]) -> int:
    """Return a user namespace for the command: as this one, but who is root here is `user` there, and the reverse."""
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mapped[1])  # so that it does not wait for itself when the parent is killed
        os.write(ready[1], b"1" if libc.unshare(CLONE_NEWUSER) == 0 else b"0")
        os.read(mapped[0], 1)
        os._exit(0)
    if os.read(ready[0], 1) != b"1":
        raise SetupError("user-namespace: a second one cannot be made")
    for kind, own in zip(("uid", "gid"), user, strict=True):
        write(f"/proc/{child}/{kind}_map", "".join(f"{a} {b} {c}\n" for a, b, c in exchanged(own)).encode())
    descriptor = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    os.write(mapped[1], b"1")
    os.waitpid(child, 0)
    for end in (*ready, *mapped):
        os.close(end)
    return descriptor


def exchanged(own: int) -> list[tuple[int, int, int]]:
    """Return the rows of a map of all ids to themselves, but for `own` and 0, which change places."""
    if own == 0:
        return [(0, 0, 1), (1, 1, ALL_IDS - 1)]  # no row may span two of the namespace around it
    rows = [(0, own, 1), (1, 1, own - 1), (own, 0, 1), (own + 1, own + 1, ALL_IDS - own - 1)]
    return [row for row in rows if row[2]]


def protect(path: str) -> None:
    """Make a file of the machine unchangeable, whose owner a step may be; it can still be used."""
    name = os.fsencode(path)
    if not os.path.exists(path):  # noqa: PTH110  # pathlib is not loaded
        return
    # Flags of the mount that it is on cannot be taken from it; statvfs(3) has the same bits as mount(2).
    kept = os.statvfs(path).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    call("protect", libc.mount(name, name, None, MS_BIND, None))
    call("protect", libc.mount(None, name, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | kept, None))


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


def become_bubblewrap(spec: dict[str, Any]) -> None:
    """Mount what is to be mounted, and become bubblewrap."""
    call("mount-namespace", libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    # Steps reach programs of the machine that run in the sandbox as /proc/<pid>/exe.
    for path in spec["protect"]:
        protect(path)
    if spec["layers"]:
        mount_overlay(spec["names"], spec["layers"], spec["mountpoint"])
    if spec["binfmt"]:
        register_emulator(spec["binfmt"], bytes.fromhex(spec["registration"]))
    descriptors = {"SECCOMP": os.open(spec["seccomp"], os.O_RDONLY)}
    if spec["ids"]:
        descriptors["USERNS"] = make_user_namespace(spec["user"])
    enter_pid_namespace(spec["usage"], terminal=spec["terminal"])
    for descriptor in descriptors.values():
        os.set_inheritable(descriptor, True)
    argv = [
        str(descriptors[word[1:]]) if word[:1] == "@" and word[1:] in descriptors else word for word in spec["argv"]
    ]
    os.execv(argv[0], argv)  # noqa: S606  # no shell is meant


def reclaim(directories: list[str], record: str) -> None:
    """Give everything below these directories to the caller; the record gets `uid gid path`, each ended by a NUL."""
    with open(record, "wb") as stream:  # noqa: PTH123  # pathlib is not loaded
        for directory in directories:
            for parent, names, entry, info in walk(os.fsencode(directory)):
                if (info.st_uid, info.st_gid) == (0, 0):
                    continue
                stream.write(b"%d %d %s\0" % (info.st_uid, info.st_gid, b"/".join([*names, entry])))
                give(parent, entry, info, (0, 0))
    os._exit(0)


def give_back(directories: list[str], record: str) -> None:
    """Give what is below these directories to whom it belonged, as the record says."""
    with open(record, "rb") as stream:  # noqa: PTH123  # pathlib is not loaded
        words = [line.split(b" ", 2) for line in stream.read().split(b"\0")[:-1]]
    owners = {path: (int(uid), int(gid)) for uid, gid, path in words}
    for directory in directories:
        for parent, names, entry, info in walk(os.fsencode(directory)):
            owner = owners.get(b"/".join([*names, entry]))
            if owner:
                give(parent, entry, info, owner)
    os._exit(0)


def give(parent: int, entry: bytes, info: os.stat_result, owner: tuple[int, int]) -> None:
    """Give a file to somebody; what the kernel then takes from its mode, and its capabilities, are put back."""
    capability = read_capability(parent, entry) if info.st_mode & 0o170000 == 0o100000 else b""
    os.chown(entry, *owner, dir_fd=parent, follow_symlinks=False)
    if capability:
        with open(opened(parent, entry), "rb") as stream:  # pathlib is not loaded
            os.setxattr(stream.fileno(), CAPABILITY, capability)
    if info.st_mode & 0o7000 and info.st_mode & 0o170000 != 0o120000:
        os.chmod(entry, info.st_mode & 0o7777, dir_fd=parent)


def opened(parent: int, entry: bytes) -> int:
    """Open a file of an open directory for its attributes; a pipe that took its place keeps nobody waiting."""
    return os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)


def read_capability(parent: int, entry: bytes) -> bytes:
    """Return the capabilities of a regular file; empty where it has none."""
    with open(opened(parent, entry), "rb") as stream:  # pathlib is not loaded
        try:
            return os.getxattr(stream.fileno(), CAPABILITY)
        except OSError:
            return b""


def walk(directory: bytes) -> Iterator[tuple[int, list[bytes], bytes, os.stat_result]]:
    """Yield everything below a directory: its parent, open and by name, its own name and its facts.

    Directories may nest deeper than paths can be long, calls can go, or files can be open.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    here, names = os.open(directory, flags), [directory]
    left = [os.listdir(here)]  # noqa: PTH208  # pathlib is not loaded
    while left:
        if not left[-1]:
            left.pop()
            names.pop()
            if left:
                above = os.open("..", flags, dir_fd=here)
                os.close(here)
                here = above
            continue
        entry = os.fsencode(left[-1].pop())
        info = os.stat(entry, dir_fd=here, follow_symlinks=False)
        yield here, names, entry, info
        if info.st_mode & 0o170000 == 0o040000:
            below = os.open(entry, flags, dir_fd=here)
            os.close(here)
            here = below
            names.append(entry)
            left.append(os.listdir(here))  # noqa: PTH208  # likewise
    os.close(here)


def main() -> None:
    """Set up and become bubblewrap."""
    error_fd = int(sys.argv[2])
    os.set_inheritable(error_fd, False)
    os.umask(0o022)  # whatever the user's is, steps make the same files
    try:
        with open(sys.argv[1], encoding="utf-8") as stream:  # noqa: PTH123  # pathlib is not loaded
            spec = json.load(stream)
        die_with_parent(spec["parent"])
        leave_session()
        join_group(spec["cgroup"], spec["processors"])
        if spec["ids"]:
            enter_range(spec["ids"], spec["usage"])
        else:
            enter_single()
            die_with_parent(spec["parent"])
        limit(spec["limits"])
        if spec["owners"]:
            (give_back if spec["restore"] else reclaim)(spec["owners"], spec["record"])
        become_bubblewrap(spec)
    except (SetupError, OSError) as error:
        os.write(error_fd, str(error).encode())
        os._exit(1)


if __name__ == "__main__":
    main()
