"""The door to processes."""

from __future__ import annotations

from melpy.run import run


def test_a_program_that_takes_too_long_is_killed_with_all_that_it_started() -> None:
    outcome = run(["sh", "-c", "sleep 60 & echo started; sleep 60; echo ended"], check=False, timeout=0.5)
    assert (outcome.status, outcome.stdout) == (-9, "started\n")
    assert outcome.tail[-1] == "sh was given up after 0 s"
    assert run(["sh", "-c", "echo quick"], timeout=60).stdout == "quick\n"
