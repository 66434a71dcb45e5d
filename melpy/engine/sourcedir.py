"""The directory with a recipe's own files, `NAME/` beside `NAME.yaml`, which is copied into the workspace.

A recipe of a stranger must not choose a name, or a symlink, that brings files of the caller into its sandbox: the
signing key, its passphrase, the output directory, the cache, the history of the git repository.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import RecipeError

if TYPE_CHECKING:
    from melpy.engine.model import BuildSpec, FileId, PlannedBuild

_OUT_DIR = "the output directory"
_GIT = "a git repository's own files"
_HINT = "name the recipe otherwise, or keep that elsewhere"


def find_source_directory(build: PlannedBuild, spec: BuildSpec) -> Path | None:
    """Return the directory with the recipe's own files, or None; recipes may share one through symlinks.

    Raises:
        RecipeError: a symlink leads out of the recipe's own directory, or the directory holds what no build may see.
    """
    directory = build.recipe.path.parent / build.recipe.path.stem
    if not directory.is_dir():
        return None
    resolved = directory.resolve()
    if build.recipe.path.parent.resolve() not in resolved.parents:
        hint = "what is elsewhere on this machine is not copied into a build"
        raise RecipeError("is a symlink that leaves the directory of the recipe", where=str(directory), hint=hint)
    _check_private(directory, resolved, _find_private(spec))
    return directory


def _find_private(spec: BuildSpec) -> dict[FileId, str]:
    private = dict(spec.secrets)
    for path, what in ((spec.out_dir, _OUT_DIR), (spec.cache_dir, "the cache")):
        info = path.stat() if path.exists() else None
        if info:
            private[info.st_dev, info.st_ino] = what
    return private


def _check_private(directory: Path, resolved: Path, private: dict[FileId, str]) -> None:
    """Check that a directory neither lies in, nor is, nor holds one of these files, which are known by inode."""
    for path in (resolved, *resolved.parents):
        info = path.stat()
        what = private.get((info.st_dev, info.st_ino)) or (_GIT if path.name == ".git" else "")
        if what and (path == resolved or what != _OUT_DIR):  # recipes may lie where their packages go
            text = f"is {what}" if path == resolved else f"lies in {what}"
            raise RecipeError(f"{text}, and would be copied into the build", where=str(directory), hint=_HINT)
    for parent, directories, files in os.walk(resolved):
        for name in (*directories, *files):
            info = Path(parent, name).lstat()
            what = private.get((info.st_dev, info.st_ino), "")
            if name == ".git" and name in directories:
                what = _GIT
            if what:
                found = Path(parent, name).relative_to(resolved)
                text = f"holds {what}, {str(found)!r}, which would be copied into the build"
                raise RecipeError(text, where=str(directory), hint=_HINT)
