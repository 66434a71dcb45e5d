"""Generated pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


def load_pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.pages())


@pytest.mark.parametrize("name", ["commands.md", "errors.md", "native-tools.md", "settings.md"])
def test_generated_pages_are_current(name: str) -> None:
    assert (DOCS / "reference" / name).read_text() == load_pages()[name], "run: make docs"
