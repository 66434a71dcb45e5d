"""The nouns of the sandbox. A sandbox is a value; running it is another module's business."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from melpy.codec import Noun
from melpy.inside import RESERVED

NATIVE = RESERVED / "native"
"""Where the loader and the libraries of native tools are seen."""

LOADER_CACHE = RESERVED / "cache"
"""Where the cache of that loader is seen: not longer than /etc/ld.so.cache, whose place the name takes."""

BASE_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETUID",
)
"""What installing files may need. They reach only what belongs to the sandbox's own user namespace."""


class Mount(Noun, frozen=True):
    """A directory or file of this machine that is seen inside."""

    source: Path
    target: PurePosixPath
    writable: bool = False


class IdRange(Noun, frozen=True):
    """Ids of this machine that a sandbox may use beside the user's own: 65,535 from a start on.

    Attributes:
        uid: first user id.
        gid: first group id.
        newuidmap: program that grants user ids; empty for root, who needs none.
        newgidmap: program that grants group ids, likewise.
    """

    uid: int
    gid: int
    newuidmap: str = ""
    newgidmap: str = ""

    def inside(self, uid: int, gid: int, own: tuple[int, int], user: tuple[int, int]) -> tuple[int, int]:
        """Return what an owner of this machine's is inside.

        Args:
            uid: user id of a file.
            gid: group id of a file.
            own: ids of whoever runs melpy.
            user: ids of the steps, which own what that one owns.
        """
        return _inside(uid, own[0], self.uid, user[0]), _inside(gid, own[1], self.gid, user[1])


def _inside(number: int, own: int, start: int, user: int) -> int:
    if number == own:
        return user
    place = number - start + 1
    return 0 if place == user else place


class Limits(Noun, frozen=True):
    """What a sandbox may use; None and 0 are without a limit.

    Attributes:
        seconds: time by the clock; None where nobody has said anything.
        processors: how many.
        memory: bytes.
        disk: bytes that may be added to the workspace and the root.
        processes: how many at the same time.
    """

    seconds: float | None = None
    processors: int = 0
    memory: int = 0
    disk: int = 0
    processes: int = 0


NO_LIMITS = Limits()


class Emulator(Noun, frozen=True):
    """How programs of another architecture are run.

    Attributes:
        arch: APK name of the architecture.
        interpreter: QEMU's user-mode emulator on this machine; empty when the host's own registration is used.
        registration: line for binfmt_misc, empty likewise.
    """

    arch: str
    interpreter: str = ""
    registration: bytes = b""


class NativeTools(Noun, frozen=True):
    """Programs of this machine in the places of foreign ones; see `melpy.sandbox.native`.

    Attributes:
        layers: the programs, for the top of a root, topmost last.
        directory: their loader and libraries.
        cache: the cache by which the loader finds the libraries.
        packages: the packages that they come from, as `name=version`.
    """

    layers: tuple[Path, ...]
    directory: Path
    cache: Path
    packages: tuple[str, ...]

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What has to be seen for them to run."""
        return (Mount(self.directory, NATIVE), Mount(self.cache, LOADER_CACHE))


class Root(Noun, frozen=True):
    """A root directory as overlay layers.

    Attributes:
        layers: read-only directories, topmost first.
        upper: directory that takes the changes; it and `work` lie on one file system.
        work: overlayfs' own directory.
        mountpoint: an empty directory to mount on; the mount is seen by the sandbox only.
    """

    layers: tuple[Path, ...]
    upper: Path
    work: Path
    mountpoint: Path


class SandboxSpec(Noun, frozen=True):
    """One command in one sandbox.

    Attributes:
        root: what is seen as `/`.
        command: the command and its arguments, paths as seen inside.
        workdir: directory to start in, as seen inside.
        environment: the whole environment.
        mounts: what else is seen.
        user: uid and gid inside.
        capabilities: Linux capabilities that the command keeps.
        network: whether the machine's network is seen; otherwise there is a loopback only.
        emulator: needed when the root is of another architecture.
        state: directory for files that set-up needs, on a file system of this machine.
        ids: ids beside the user's own; None where there are none.
        limits: what it may use.
        terminal: whether it has the caller's terminal, for a user to work in.
        processors: numbers of the processors that it was given, where somebody hands them out; otherwise it may use the
            first ones, as many as the limits say.
        name: tells its control group from those of other sandboxes of this process.
    """

    root: Root
    command: tuple[str, ...]
    workdir: PurePosixPath
    environment: tuple[tuple[str, str], ...]
    state: Path
    mounts: tuple[Mount, ...] = ()
    user: tuple[int, int] = (1000, 1000)
    capabilities: tuple[str, ...] = BASE_CAPABILITIES
    network: bool = False
    emulator: Emulator | None = None
    ids: IdRange | None = None
    limits: Limits = NO_LIMITS
    terminal: bool = False
    processors: tuple[int, ...] = ()
    name: str = ""
