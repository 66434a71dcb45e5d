"""A build root: an environment's layers, and above them what is one build's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.sandbox.model import Root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DIRECTORIES = ("dev", "proc", "run", "tmp", "var/tmp", "home/build", "var/cache/melange")


def make_root(layers: Sequence[Path], directory: Path) -> Root:
    """Return a build root made of layers, topmost last, whose changes go below `directory`.

    Mount points are made. Accounts and all else that every build has in common are in the layers.
    """
    upper = directory / "upper"
    for name in _DIRECTORIES:
        (upper / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (upper / name).chmod(0o1777)
    lower = tuple(reversed(layers)) or (directory / "lower",)
    if not layers:
        lower[0].mkdir(exist_ok=True)  # an overlay without lower directories cannot be mounted
    return Root(lower, upper, directory / "work", directory / "root")
