"""Mount points in a build root: each one is a real entry of the root's upper layer before bubblewrap runs.

bubblewrap follows symlinks when it makes a missing mount point, and it does so where the host's files are seen as
/oldroot. Neither a package of the environment nor an earlier step may decide where that leads. An entry of the upper
layer hides whatever a lower layer has of the same name.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from melpy.errors import ExtractError, find_limit_hint, reason_of
from melpy.inside import open_below, open_root

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.sandbox.model import SandboxSpec

_SYSTEM = tuple(map(PurePosixPath, ("/dev", "/proc")))


def settle_mount_points(spec: SandboxSpec) -> None:
    """Make every mount point of a sandbox a real directory or an empty regular file of the root's upper layer.

    Args:
        spec: the sandbox; its upper layer and its state directory are on one file system.

    Raises:
        ExtractError: an earlier step gave a directory on the way to another user, or closed it.
    """
    targets = dict.fromkeys(_SYSTEM, True) | {mount.target: mount.source.is_dir() for mount in spec.mounts}
    with open_root(spec.root.upper) as root:
        for target, is_directory in targets.items():
            try:
                _settle(root, target, spec.state, is_directory=is_directory)
            except OSError as error:
                hint = find_limit_hint(error.errno) or "an earlier step closed it, or gave it to another user"
                text = f"cannot be a mount point: {reason_of(error)}"
                raise ExtractError(text, where=str(target), hint=hint) from None


def _settle(root: int, target: PurePosixPath, state: Path, *, is_directory: bool) -> None:
    *directories, name = target.parts[1:]
    for depth, part in enumerate(directories):
        with open_below(root, directories[:depth]) as parent:
            _make_entry(parent, part, state, is_directory=True)
    with open_below(root, directories) as parent:
        _make_entry(parent, name, state, is_directory=is_directory)


def _make_entry(parent: int, name: str, state: Path, *, is_directory: bool) -> None:
    """Make an entry of a directory what it must be; what is in its way is moved to the state directory or removed."""
    is_kind = stat.S_ISDIR if is_directory else stat.S_ISREG
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        mode = 0
    if is_kind(mode):
        return
    if stat.S_ISDIR(mode):
        os.rename(name, f"{tempfile.mkdtemp(dir=state, prefix='replaced-')}/{name}", src_dir_fd=parent)
    elif mode:
        os.unlink(name, dir_fd=parent)
    if is_directory:
        with open_below(parent, (name,), make=True):
            pass
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o444, dir_fd=parent))
