"""The texts of licences that a recipe keeps in files, for the SBOM: read from the workspace when the steps are done."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy.errors import ExtractError, RecipeError
from melpy.inside import read_regular

if TYPE_CHECKING:
    from melpy.plan.model import Plan

_LARGEST = 8 << 20  # bytes; Chromium's licences together have 3 MB


def load_licence_texts(plan: Plan, workspace: Path) -> dict[str, str]:
    """Return the text of each file that a `license-path` names, by that path.

    Symlinks are followed as long as they stay in the workspace. A text that is not UTF-8 is taken for Latin-1.

    Raises:
        RecipeError: there is no such file, or it is too large; the error names the keys of the recipe.
    """
    texts = {}
    for number, licence in enumerate(plan.licences):
        if not licence.license_path:
            continue
        try:
            data = _read(workspace, licence.license_path)
            problem = "the steps left no such file" if data is None else ""
        except ExtractError as error:
            data, problem = None, error.message
        if data is None:
            hint = "name the file with the licence's text, below the workspace, as it is after the last step"
            missing = RecipeError(f"{problem}: {licence.license_path!r}", hint=hint)
            missing.keys = ("package", "copyright", number, "license-path")
            raise missing
        texts[licence.license_path] = _decode(data)
    return texts


def _read(workspace: Path, path: str) -> bytes | None:
    root = Path(os.path.realpath(workspace))
    place = Path(os.path.realpath(root / PurePosixPath(path)))
    return read_regular(root, place.relative_to(root).as_posix(), _LARGEST) if root in place.parents else None


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
