"""What Debian leaves out of Python packages, and pip needs: the list of a distribution's files.

pip removes what is installed before it installs another version of it, even below another root, and refuses where
there is no RECORD. A recipe of a module that its own environment has, such as idna, could not be built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODULES = "usr/lib/python3/dist-packages"


def add_record(root: Path) -> None:
    """Write the RECORD of the distribution in an unpacked package, unless there are none or several, or it has one.

    Source of the format: the Python packaging specification of recorded installations; hashes and sizes are optional.
    """
    modules = root / MODULES
    found = sorted(modules.glob("*.dist-info"))
    if len(found) != 1 or (found[0] / "RECORD").exists():
        return
    own = [path.relative_to(modules).as_posix() for path in modules.rglob("*") if path.is_symlink() or path.is_file()]
    names = sorted([*own, f"{found[0].name}/RECORD"])
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' if {",", '"'} & set(name) else name for name in names]
    (found[0] / "RECORD").write_text("".join(f"{name},,\n" for name in quoted), encoding="utf-8")
    (found[0] / "RECORD").chmod(0o644)
