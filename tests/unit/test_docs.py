"""Generated pages say what the code says."""

from __future__ import annotations

import importlib.util
import re
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


@pytest.mark.parametrize(
    "name", ["commands.md", "errors.md", "native-tools.md", "pipelines.md", "recipe.md", "settings.md"]
)
def test_generated_pages_are_current(name: str) -> None:
    assert (DOCS / "reference" / name).read_text() == load_pages()[name], "run: make docs"


def test_every_input_of_a_pipeline_is_explained() -> None:
    rows = [line for line in load_pages()["pipelines.md"].splitlines() if line.startswith(("| `", "| **`"))]
    assert len(rows) > 150
    assert [row for row in rows if not row.split(" | ")[-1].removesuffix(" |").strip()] == []


def test_every_link_of_a_page_leads_somewhere() -> None:
    """To a file, and to a heading of it as GitHub names headings."""
    for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith("https://"):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            assert file.exists(), (page.name, target)
            if anchor:
                assert anchor in headings(file), (page.name, target)


def headings(page: Path) -> set[str]:
    lines = [line.lstrip("#").strip() for line in page.read_text().splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
