"""What a command imports before it does anything: imports were two thirds of a short command."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["libarchive", "ssl", "multiprocessing", "rich", "urllib3", "zipfile", "elftools"]


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("melpy.cli.main", ["msgspec", "pydantic", "yaml", "jinja2", *HEAVY]),
        ("melpy.cli.build, melpy.engine.run", HEAVY),
        # The server of workers does so in each run; half of its time went to pydantic, for a table of five names.
        ("melpy.engine.execute", ["jinja2", "networkx", "pydantic", "melpy.recipe.model", "melpy.config.model"]),
    ],
    ids=["help", "build", "worker"],
)
def test_what_is_not_needed_is_not_imported(imported: str, absent: list[str]) -> None:
    code = f"import sys, {imported}; print(*(name for name in {absent} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
