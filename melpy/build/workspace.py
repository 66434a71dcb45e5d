"""The workspace: the directory that steps see as `/home/build`."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from melpy.files import output_error
from melpy.run import run

if TYPE_CHECKING:
    from pathlib import Path


def fill_workspace(workspace: Path, source: Path | None) -> None:
    """Make a workspace and copy a recipe's source directory into it: files with their modes, directories, symlinks.

    A symlink is copied as it is, wherever it leads: what it means is for the steps to see, and nothing of this machine
    is read through it. Devices, pipes and sockets are left out.

    Raises:
        OutputError: the workspace cannot be written.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        workspace.chmod(0o755)
        if source is not None:
            _copy(source, workspace)
    except OSError as error:
        raise output_error(workspace, error) from None


def _copy(source: Path, target: Path) -> None:
    for item in sorted(source.rglob("*")):
        mode = item.lstat().st_mode
        place = target / item.relative_to(source)
        # Modes but for what the umask of whoever checked the recipe out decides.
        if stat.S_ISDIR(mode):
            place.mkdir(exist_ok=True)
            place.chmod(0o755)
        elif stat.S_ISLNK(mode):
            place.symlink_to(os.readlink(item))  # noqa: PTH115  # pathlib would tidy it up
        elif stat.S_ISREG(mode):
            shutil.copyfile(item, place, follow_symlinks=False)
            place.chmod(0o755 if is_executable(item, mode) else 0o644)


def is_executable(path: Path, mode: int) -> bool:
    """Tell whether a file of a recipe is a program in a workspace: some file systems show every file as one."""
    return bool(mode & stat.S_IXUSR) and os.access(path, os.X_OK)


def remove_tree(path: Path) -> None:
    """Remove a directory, whatever steps left in it: directories without permissions, or nested beyond measure."""
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        # chmod and rm go down by descriptors, so no path is too long; neither follows a symlink.
        run(["chmod", "-R", "u+rwx", "--", str(path)], check=False)
        run(["rm", "-rf", "--", str(path)], check=False)
