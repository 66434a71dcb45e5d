"""A build root: the packages' layers, and on top of them the few files that belong to no package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.files import write_file
from melpy.inside import read_regular
from melpy.sandbox.model import Root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DIRECTORIES = ("dev", "proc", "run", "tmp", "var/tmp", "home/build", "var/cache/melange")
_ACCOUNTS_LIMIT = 1 << 20
_BUILD_USER = "build:x:1000:1000:build:/home/build:/bin/sh"
_BUILD_GROUP = "build:x:1000:build"
_ROOT_USER = "root:x:0:0:root:/root:/bin/sh"
_ROOT_GROUP = "root:x:0:"


def make_root(layers: Sequence[Path], directory: Path) -> Root:
    """Return a build root made of layers, topmost last, whose changes go below `directory`.

    Mount points are made, and the user and group `build` (1000) are added to the packages' own accounts.
    """
    upper = directory / "upper"
    for name in _DIRECTORIES:
        (upper / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (upper / name).chmod(0o1777)
    _add_accounts(layers, upper / "etc/passwd", (_ROOT_USER, _BUILD_USER))
    _add_accounts(layers, upper / "etc/group", (_ROOT_GROUP, _BUILD_GROUP))
    lower = tuple(reversed(layers)) or (directory / "lower",)
    if not layers:
        lower[0].mkdir(exist_ok=True)  # an overlay without lower directories cannot be mounted
    return Root(lower, upper, directory / "work", directory / "root")


def _add_accounts(layers: Sequence[Path], target: Path, wanted: Sequence[str]) -> None:
    name = f"{target.parent.name}/{target.name}"
    found = (read_regular(layer, name, _ACCOUNTS_LIMIT) for layer in reversed(layers))
    existing = next((data for data in found if data is not None), b"")
    lines = existing.decode(errors="surrogateescape").splitlines()
    known = {line.partition(":")[0] for line in lines}
    lines += [line for line in wanted if line.partition(":")[0] not in known]
    write_file(target, ("\n".join(lines) + "\n").encode(errors="surrogateescape"))
