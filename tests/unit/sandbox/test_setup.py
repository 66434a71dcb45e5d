"""What a sandbox is told to set up."""

from __future__ import annotations

import os

from melpy.sandbox.setup import _choose_processors


def test_processors_are_those_that_were_given() -> None:
    there = sorted(os.sched_getaffinity(0))
    assert _choose_processors(1, (there[-1],)) == [there[-1]]
    assert _choose_processors(0, ()) == _choose_processors(len(there), ()) == _choose_processors(10**6, ()) == []


def test_without_any_they_are_the_first_whoever_asks() -> None:
    """Not chosen by process: only who runs several sandboxes knows which processors are in use."""
    there = sorted(os.sched_getaffinity(0))
    expected = there[:1] if len(there) > 1 else []
    for _ in range(3):  # processes with numbers that follow one another
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, str(_choose_processors(1, ())).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(write)
        assert os.read(read, 100).decode() == str(expected)
        os.close(read)
