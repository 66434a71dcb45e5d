"""What is said over the connection to a worker, whole or not."""

from __future__ import annotations

import signal
import socket
from contextlib import closing

import pytest

from melpy.codec import encode
from melpy.engine import worker
from melpy.engine.message import Broken, Done, Ended, Refused, Told
from melpy.engine.result import Result
from melpy.errors import MelpyError
from melpy.events import Note, Tape

TOLD = encode(Told(1, Note("one", "a\0b\udcff"))) + b"\n"
DONE = encode(Done(Result("one"))) + b"\n"
ENDED = b"\n" + encode(Ended(0)) + b"\n"


def follow(said: bytes, tape: Tape | None = None) -> Result:
    ours, theirs = socket.socketpair()
    with closing(ours):
        theirs.sendall(said)
        theirs.close()
        return worker._follow(ours, "one", tape or Tape())


def test_events_and_a_result_come_in_their_order() -> None:
    tape = Tape()
    assert follow(TOLD + DONE, tape) == Result("one")  # nobody waits for the worker's end
    assert tape.events == [Note("one", "a\0b\udcff")]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        # Killed while it wrote: that counts, and not the half line.
        (TOLD[:-9] + b"\n" + encode(Ended(-signal.SIGKILL)) + b"\n", "the process that built it was killed by SIGKILL"),
        (TOLD + b"\n" + encode(Ended(130)) + b"\n", "the process that built it ended with status 130"),
        (TOLD[:-9], "the connection to the processes that build was lost"),
        (b"", "the connection to the processes that build was lost"),
        (encode(Refused(11, "no more")) + b"\n", "no process can be started for it: no more"),
    ],
)
def test_the_end_of_a_worker_is_explained(said: bytes, text: str) -> None:
    with pytest.raises(MelpyError) as caught:
        follow(said)
    assert caught.value.where == "one"
    assert caught.value.message.startswith(text)


@pytest.mark.parametrize("said", [b"{}\n" + ENDED, b"{}\n" + TOLD + DONE + ENDED, encode(Broken("Traceback")) + b"\n"])
def test_a_fault_of_melpy_looks_like_one(said: bytes) -> None:
    with pytest.raises(AssertionError, match="the process that built one "):
        follow(said)
