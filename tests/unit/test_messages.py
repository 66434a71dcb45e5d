"""What a user reads when a recipe is wrong, word by word: tests/golden/messages/<case>.yaml and <case>.txt, and
tests/golden/warnings for what is probably not meant.

`UPDATE_GOLDEN=1 pytest tests/unit/test_messages.py` writes the texts anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from melpy.arch import parse_arch
from melpy.cli.report import render_error, render_warning
from melpy.errors import MelpyError
from melpy.plan.library import Library
from melpy.plan.planner import examine_recipe, plan_recipe
from melpy.recipe.load import load_recipe

MESSAGES = Path(__file__).parent.parent / "golden" / "messages"
CASES = sorted(path.stem for path in MESSAGES.glob("*.yaml"))
WARNINGS = MESSAGES.parent / "warnings"
WARNED = sorted(path.stem for path in WARNINGS.glob("*.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MESSAGES)
    with pytest.raises(MelpyError) as caught:
        plan_recipe(load_recipe(Path(f"{case}.yaml")), parse_arch("x86_64"), Library((Path("pipelines"),)))
    text = "\n".join([*render_error(caught.value), f"exit status {caught.value.exit_status}", ""])
    golden = MESSAGES / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("case", WARNED)
def test_warning(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(WARNINGS)
    library = Library((Path("pipelines"),))
    _, faults = examine_recipe(load_recipe(Path(f"{case}.yaml")), parse_arch("x86_64"), library)
    faults.raise_found()
    text = "\n".join([line for warning in faults.warnings for line in render_warning(warning)] + [""])
    golden = WARNINGS / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_text_has_its_recipe() -> None:
    assert sorted(path.stem for path in MESSAGES.glob("*.txt")) == CASES
    assert sorted(path.stem for path in WARNINGS.glob("*.txt")) == WARNED
