"""What melpy, the server of workers and workers say to one another: a line of JSON each, but for requests."""

from __future__ import annotations

from melpy.codec import Noun
from melpy.engine.result import Result
from melpy.events import AnyEvent


class Told(Noun, frozen=True, tag=True):
    """An event of a job; events are numbered from 1."""

    number: int
    event: AnyEvent


class Done(Noun, frozen=True, tag=True):
    """The result of a job, its worker's last word."""

    result: Result


class Broken(Noun, frozen=True, tag=True):
    """A fault of melpy in a worker: the traceback."""

    text: str


class Ended(Noun, frozen=True, tag=True):
    """The end of a worker, told by the server: its exit status, or the negative number of the signal that killed it."""

    status: int


class Refused(Noun, frozen=True, tag=True):
    """The server cannot start a worker: number and text of the system's error."""

    number: int
    reason: str


Message = Told | Done | Broken | Ended | Refused


class Request(Noun, frozen=True):
    """What the server is asked: to start a worker for the socket that comes along, or to signal one."""

    number: int
    signal: int = 0
