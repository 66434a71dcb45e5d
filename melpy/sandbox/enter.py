"""Set up what bubblewrap cannot, then become bubblewrap. A program of its own, run by `melpy.sandbox.runner`.

    python -I -S enter.py SPEC.json ERROR_FD

In a new user and mount namespace, where it is root in name only, it mounts the overlay that is the sandbox's root
and, for a foreign architecture, a binfmt_misc with QEMU registered in it. Nothing of this is seen by the host, and
all of it is gone when the sandbox ends. If something fails, it writes `what: reason` to ERROR_FD.

Run by the machine's root, it gives the sandbox an id of its own: directories are shown to the sandbox through id-mapped
mounts, in which root's files belong to that id. On disk they stay root's. Source: mount_setattr(2).

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
import stat
import sys

TYPE_CHECKING = False  # typing takes as long to load as all of these
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000
KEYCTL_JOIN_SESSION_KEYRING = 1
MOUNT_ATTR_IDMAP = 0x00100000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
PR_SET_DUMPABLE = 4
PR_SET_PDEATHSIG = 1
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442  # the same on every architecture
ALL_IDS = 65536
CAPABILITY = "security.capability"
MOST_LAYERS = 500  # in one overlay
NAME_ROOM = 32  # bytes for the name of a process in /proc, and more than it can have

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
    try:
        with open(usage, "w", encoding="utf-8") as stream:  # noqa: PTH123  # pathlib is not loaded
            stream.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
    except OSError:  # the disk is full: what the step says of it counts, not how much memory it took
        pass
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
    mount_proc()
    child = 0 if terminal else os.fork()
    if child:
        end_all(child)


def mount_proc() -> None:
    """Mount a /proc that shows this process's PID namespace: bubblewrap looks for its own child there by number.

    Where parts of /proc are hidden, as in most containers, the kernel refuses it, as it would refuse the command's own.
    Source: mount_too_revealing of fs/namespace.c.
    """
    call("proc", libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None))


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


def enter_range(ids: dict[str, Any], usage: str, directories: list[str], programs: list[str]) -> None:
    """Fork; the child becomes root of a user namespace with many ids, the parent waits for it and ends as it does."""
    ready, mapped, parent = os.pipe(), os.pipe(), os.getpid()
    child = os.fork()
    if child == 0:
        is_shifted = bool(directories) and shift(ids, directories, programs)
        call("user-namespace", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        die_with_parent(parent)
        os.write(ready[1], (b"2" if is_shifted else b"1") + own_name())
        os.close(mapped[1])
        if os.read(mapped[0], 1) != b"1":
            os._exit(1)  # the parent has told why
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        libc.prctl(PR_SET_DUMPABLE, 1)  # else its files in /proc belong to the machine's root
        die_with_parent(parent)
        for descriptor in (*ready, mapped[0]):
            os.close(descriptor)
        return
    os.close(ready[1])
    answer = os.read(ready[0], NAME_ROOM)
    if answer:
        owners = own_ids(ids) if answer[:1] == b"2" else (os.geteuid(), os.getegid())
        map_range(answer[1:].decode(), ids, owners)
        os.write(mapped[1], b"1")
    os.close(mapped[1])
    end_as(child, usage)


def own_ids(ids: dict[str, Any]) -> tuple[int, int]:
    """Return the ids that stand for root's where the sandbox has ids of its own: those after the range."""
    return ids["uid"] + ids["count"], ids["gid"] + ids["count"]


def shift(ids: dict[str, Any], directories: list[str], programs: list[str]) -> bool:
    """Show directories, in a mount namespace of this process, as if root's files were the sandbox's own.

    Args:
        ids: the range.
        directories: those that the sandbox needs; what is mounted below them is not seen any more.
        programs: those that it needs.

    Returns:
        Whether that was done; kernels and file systems that cannot do it change nothing.
    """
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        return False  # root of a container, without the capability
    covers = {cover for cover in map(find_closed, directories) if cover}
    if any(find_closed(path) or path.startswith(tuple(f"{cover}/" for cover in covers)) for path in programs):
        return False
    rows = [
        [(0, own, 1), (ids[kind], ids[kind], ids["count"])]
        for kind, own in zip(("uid", "gid"), own_ids(ids), strict=True)
    ]
    try:
        namespace = make_user_namespace(rows)
    except (SetupError, OSError):
        return False
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_IDMAP, 0, 0, namespace)
    trees = []
    for directory in directories:
        tree = libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(directory), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
        size = ctypes.sizeof(attributes)
        if tree < 0 or libc.syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size):
            return False
        trees.append(tree)
    for cover in covers:
        call("cover", libc.mount(b"tmpfs", os.fsencode(cover), b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=755"))
    for directory, tree in zip(directories, trees, strict=True):
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103  # pathlib is not loaded
        place = os.fsencode(directory)
        call("move-mount", libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH))
        os.close(tree)
    for descriptor in range(3):
        # Steps open their output again as /dev/stdout.
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, *own_ids(ids))
    return True


def find_closed(directory: str) -> str:
    """Return the first directory on the way to one that not everybody may pass; empty where there is none."""
    path = ""
    for name in directory.strip("/").split("/")[:-1]:
        path = f"{path}/{name}"
        if not os.stat(path).st_mode & stat.S_IXOTH:  # noqa: PTH116  # pathlib is not loaded
            return path
    return ""


def own_name() -> bytes:
    """Return the number by which /proc knows this process.

    It is another than the process id where /proc is that of a PID namespace around this one, as after
    `unshare --pid` without a /proc of its own. Source: proc(5), /proc/self.
    """
    try:
        return os.readlink(b"/proc/self")  # noqa: PTH115  # pathlib is not loaded
    except OSError as error:
        raise SetupError(f"own-proc: {error.strerror}") from None


def map_range(child: str, ids: dict[str, Any], owners: tuple[int, int]) -> None:
    """Map the owner to 0 and the range to what follows; `newuidmap` does it for ordinary users.

    Args:
        child: the process in the namespace, by its name in /proc.
        ids: the range.
        owners: user and group id on this machine that become 0.
    """
    for kind, own in zip(("uid", "gid"), owners, strict=True):
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


def make_user_namespace(maps: list[list[tuple[int, int, int]]]) -> int:
    """Return a user namespace with these rows of its map of user ids, and of group ids."""
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mapped[1])  # so that it does not wait for itself when the parent is killed
        os.write(ready[1], own_name() if libc.unshare(CLONE_NEWUSER) == 0 else b"-")
        os.read(mapped[0], 1)
        os._exit(0)
    name = os.read(ready[0], NAME_ROOM).decode()
    if not name.isdecimal():
        raise SetupError("second-namespace: it cannot be made")
    for kind, rows in zip(("uid", "gid"), maps, strict=True):
        write(f"/proc/{name}/{kind}_map", "".join(f"{a} {b} {c}\n" for a, b, c in rows).encode())
    descriptor = os.open(f"/proc/{name}/ns/user", os.O_RDONLY)
    os.write(mapped[1], b"1")
    os.waitpid(child, 0)
    for end in (*ready, *mapped):
        os.close(end)
    return descriptor


def exchanged(own: int) -> list[tuple[int, int, int]]:
    """Return the rows of a map of all ids to themselves, but for `own` and 0, which change places.

    The command's user is whoever is root in the namespace around it, and the reverse.
    """
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
    """Mount the root, whose directories are named by short links, since a page must hold all options.

    The kernel takes 500 layers in one overlay (OVL_MAX_STACK of fs/overlayfs), and overlays as layers of another, one
    deep (FILESYSTEM_MAX_STACK_DEPTH). So the lowest layers of a larger root are overlays of up to 500 each.
    """
    os.chdir(names)
    lower = [format(number, "x") for number in range(layers)]
    groups = max(0, -((MOST_LAYERS - layers) // (MOST_LAYERS - 1)))
    own = MOST_LAYERS - groups
    below, lower = lower[own:], lower[:own]
    for number in range(groups):
        name = f"group{number:x}"
        group = below[number * MOST_LAYERS : (number + 1) * MOST_LAYERS]
        os.makedirs(name, exist_ok=True)  # noqa: PTH103  # pathlib is not loaded
        options = f"lowerdir={':'.join(group)},userxattr"  # at least two, as an overlay without `upperdir` needs
        call("overlay", libc.mount(b"overlay", name.encode(), b"overlay", MS_RDONLY, options.encode()))
        lower.append(name)
    options = f"lowerdir={':'.join(lower)},upperdir=upper,workdir=work,userxattr,volatile"
    call("overlay", libc.mount(b"overlay", os.fsencode(mountpoint), b"overlay", 0, options.encode()))
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
        descriptors["USERNS"] = make_user_namespace([exchanged(own) for own in spec["user"]])
    enter_pid_namespace(spec["usage"], terminal=spec["terminal"])
    for descriptor in descriptors.values():
        os.set_inheritable(descriptor, True)
    argv = [
        str(descriptors[word[1:]]) if word[:1] == "@" and word[1:] in descriptors else word for word in spec["argv"]
    ]
    os.execv(argv[0], argv)  # noqa: S606  # no shell is meant


def reclaim(directories: list[str], record: str) -> None:
    """Give everything below these directories to the caller; the record gets `uid gid path`, each ended by a NUL."""
    linked: dict[tuple[int, int], tuple[int, int]] = {}  # files of several names lose their owner at the first of them
    with open(record, "wb") as stream:  # noqa: PTH123  # pathlib is not loaded
        for directory in directories:
            for parent, names, entry, info in walk(os.fsencode(directory)):
                identity, owner = (info.st_dev, info.st_ino), (info.st_uid, info.st_gid)
                if owner != (0, 0):
                    give(parent, entry, info, (0, 0))
                    if info.st_nlink > 1:
                        linked[identity] = owner
                owner = linked.get(identity, owner)
                if owner != (0, 0):
                    stream.write(b"%d %d %s\0" % (*owner, b"/".join([*names, entry])))
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
        own_name()  # without a /proc that knows it, nothing else works either
        leave_session()
        join_group(spec["cgroup"], spec["processors"])
        if spec["probe"]:
            os._exit(0 if shift(spec["ids"], spec["directories"], []) else 1)
        if spec["ids"]:
            enter_range(spec["ids"], spec["usage"], spec["directories"], spec.get("protect", []))
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
