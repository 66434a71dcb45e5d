"""Whether a sandbox can still end is told from its processes."""

from __future__ import annotations

import pytest

from melpy.sandbox import liveness
from melpy.sandbox.liveness import UNENDING, Liveness

# melpy's child, the first process of its namespace, bubblewrap, the sandbox's first process, a step.
TREE = {1: [2], 2: [3], 3: [4], 4: [5], 5: []}
NAMES = {1: "python3", 2: "python3", 3: "bwrap", 4: "bwrap", 5: "sh"}


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    found = dict.fromkeys(TREE, "S")

    def read(pid: int, name: str) -> str:
        if name == "comm":
            return NAMES[pid]
        if name == "stat":
            return f"{pid} (a) b) {found[pid]} 1 1"
        return " ".join(str(child) for child in TREE[pid] if child in found)

    monkeypatch.setattr(liveness, "_read", read)
    monkeypatch.setattr(liveness, "_PAUSE", 0.0)
    return found


def test_a_step_that_runs(states: dict[int, str]) -> None:
    found = Liveness(patience=0)
    assert [found.look(1) for _ in range(3)] == ["", "", ""]
    states[5] = "T"  # stopped is not dead
    assert found.look(1) == ""


@pytest.mark.parametrize("end", ["dead", "gone"])
def test_a_step_that_ended_unnoticed(states: dict[int, str], end: str) -> None:
    if end == "dead":
        states[5] = "Z"
    else:
        del states[5]
    found = Liveness(patience=0)
    assert [found.look(1) for _ in range(2)] == ["", UNENDING]


def test_patience_begins_anew_with_a_living_child(states: dict[int, str]) -> None:
    found = Liveness(patience=0)
    states[5] = "Z"
    assert found.look(1) == ""
    states[5] = "R"
    assert found.look(1) == ""
    states[5] = "Z"
    assert [found.look(1) for _ in range(2)] == ["", UNENDING]


def test_a_sandbox_that_is_not_there_yet(states: dict[int, str]) -> None:
    del states[3]
    found = Liveness(patience=0)
    assert [found.look(1) for _ in range(3)] == ["", "", ""]
