"""The door to processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from melpy.run import run


def test_a_program_that_takes_too_long_is_killed_with_all_that_it_started() -> None:
    outcome = run(["sh", "-c", "sleep 60 & echo started; sleep 60; echo ended"], check=False, timeout=0.5)
    assert (outcome.status, outcome.stdout) == (-9, "started\n")
    assert outcome.tail[-1] == "sh was given up after 0 s"
    assert run(["sh", "-c", "echo quick"], timeout=60).stdout == "quick\n"


def test_an_interrupt_leaves_nothing_of_a_program_with_a_deadline(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    there = tmp_path / "pid"
    # Whoever runs the tests may ignore interrupts, as shells make their jobs in the background do.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", f"sleep 61 & echo $! > {there}; wait"], timeout=60)
    for _ in range(50):
        if not Path(f"/proc/{there.read_text().strip()}").exists() or _is_zombie(there.read_text().strip()):
            return
        time.sleep(0.1)
    pytest.fail("the program's child still runs")


def _is_zombie(pid: str) -> bool:
    return " Z " in Path(f"/proc/{pid}/stat").read_text()
