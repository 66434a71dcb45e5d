"""What a user reads when a recipe is wrong, word by word: tests/golden/messages/<case>.yaml and <case>.txt.

`UPDATE_GOLDEN=1 pytest tests/unit/test_messages.py` writes the texts anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from melpy.arch import parse_arch
from melpy.cli.report import render_error
from melpy.errors import MelpyError
from melpy.plan.library import Library
from melpy.plan.planner import plan_recipe
from melpy.recipe.load import load_recipe

MESSAGES = Path(__file__).parent.parent / "golden" / "messages"
CASES = sorted(path.stem for path in MESSAGES.glob("*.yaml"))


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


def test_every_text_has_its_recipe() -> None:
    assert sorted(path.stem for path in MESSAGES.glob("*.txt")) == CASES
