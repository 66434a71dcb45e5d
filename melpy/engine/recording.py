"""Recordings of runs: a file of JSON lines with the events of a run and their times.

The first line is a `RecordingHeader`; each further line is a `TimedEvent`. What steps print is left out, but for the
last lines of a step that failed; so are `Progress` and `Transfer`. Each line is one write at the end of the file, so
that a run that is killed leaves all but, at most, a part of its last line, which the reader passes over.

A run records itself at `<cache>/runs/<time>-<random>.jsonl`; the newest are kept.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from melpy import __version__, events
from melpy.bound import open_file
from melpy.codec import Noun, decode, encode
from melpy.errors import OutputError, ValueFormatError, reason_of
from melpy.files import is_locked, output_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

RUNS = "runs"
"""Directory of melpy's cache with the recordings of runs."""
FORMAT, VERSION = "melpy-events", 1

_KEPT = 20  # recordings
_TAIL = 60  # lines of a failing step
_LONGEST_LINE = 64 << 20  # bytes; the graph of 6,800 builds takes 8 MB
_LEFT_OUT = (events.Progress, events.Transfer)


class RecordingHeader(Noun, frozen=True):
    """The first line of a recording.

    Attributes:
        format: `melpy-events`.
        version: version of the format.
        start: when the recording began, in seconds since 1970.
        melpy: version of melpy.
        out_dir: absolute path of the repository that the run writes; empty where an older melpy recorded it.
    """

    format: str
    version: int
    start: float
    melpy: str = ""
    out_dir: str = ""


class TimedEvent(Noun, frozen=True):
    """A further line of a recording: an event, and the seconds since the recording began, by a monotonic clock."""

    at: float
    event: events.AnyEvent


class Recording(Noun, frozen=True):
    """The events of a run in the order in which they happened."""

    header: RecordingHeader
    events: tuple[TimedEvent, ...] = ()


class Recorder:
    """A monitor that writes a recording.

    Args:
        path: the file; one that is there is written anew. It may be a pipe.
        clock: tells seconds, and never goes back.
        out_dir: the repository that the run writes; None for none.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic, *, out_dir: Path | None = None) -> None:
        self.path = path
        self.problem = ""  # why it is not whole
        self._clock, self._start = clock, clock()
        self._tails: dict[str, deque[events.Output]] = {}
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise output_error(path, error) from None
        with suppress(OSError):  # a file system without locks; then a recording that is written may be taken for old
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        place = str(out_dir.resolve()) if out_dir else ""
        self._write(encode(RecordingHeader(FORMAT, VERSION, round(time.time(), 3), __version__, place)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1

    def emit(self, event: events.Event) -> None:
        """Write an event."""
        if isinstance(event, _LEFT_OUT):
            return
        with self._lock:
            if isinstance(event, events.Output):
                tail = self._tails.get(event.job)
                if tail is None:
                    tail = self._tails[event.job] = deque(maxlen=_TAIL)
                tail.append(event)
                return
            self._write_tail(event)
            self._write_event(event)

    def _write_tail(self, event: events.Event) -> None:
        """Write the last lines of a step before its failure; forget those of a step that ended well."""
        match event:
            case events.StepFinished(status=0) | events.StepStarted() | events.JobFinished(ok=True):
                self._tails.pop(event.job, None)
            case events.StepFinished() | events.JobFinished():
                for line in self._tails.pop(event.job, ()):
                    self._write_event(line)

    def _write_event(self, event: events.Event) -> None:
        at = round(self._clock() - self._start, 4)
        # Its type is any of the union, which no type checker can know of an Event.
        self._write(encode(TimedEvent(at, event)))  # type: ignore[arg-type]  # see above

    def _write(self, data: bytes) -> None:
        if self.problem or self._descriptor < 0:
            return
        try:
            left = memoryview(data + b"\n")
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:  # the run is worth more than its recording
            self.problem = reason_of(error)


def new_recording_path(cache_dir: Path) -> Path:
    """Return the file for the recording of a run that begins now; remove the oldest ones beyond those that are kept."""
    directory = cache_dir / RUNS
    for old in _find_recordings(directory)[: -(_KEPT - 1)]:
        if not is_locked(old):
            with suppress(OSError):
                old.unlink()
    return directory / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}.jsonl"


def find_newest_recording(cache_dir: Path, out_dir: Path) -> Path | None:
    """Return the recording of the run that began last of those that write a repository, or None."""
    place = str(out_dir.resolve())
    return next((path for path, other in list_recordings(cache_dir) if other == place), None)


def list_recordings(cache_dir: Path) -> list[tuple[Path, str]]:
    """Return all recordings of a cache with the repositories that their runs write, the newest first.

    The repository is empty where a recording does not name it.
    """
    found = []
    for path in _find_recordings(cache_dir / RUNS):
        header = _read_header(path)  # names have whole seconds
        found.append((header.start if header else 0.0, path, header.out_dir if header else ""))
    return [(path, out_dir) for _, path, out_dir in sorted(found, reverse=True)]


def _read_header(path: Path) -> RecordingHeader | None:
    try:
        with open_file(path) as stream:
            return decode(stream.readline(_LONGEST_LINE), RecordingHeader, str(path))
    except (OSError, ValueFormatError):
        return None


def _find_recordings(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*.jsonl") if path.is_file() and not path.is_symlink())


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        OutputError: the file cannot be read.
        ValueFormatError: it is no recording, or is of another version.
    """
    try:
        with open_file(path, piped=True) as stream:
            lines = _read_lines(stream, path)
            first = next(lines, b"")
            header = decode(first, RecordingHeader, f"{path}:1") if first else None
            if header is None or header.format != FORMAT or header.version != VERSION:
                hint = "melpy build --events FILE writes one; without FILE, melpy report takes the newest run's"
                raise ValueFormatError("is no recording of this version of melpy", where=str(path), hint=hint)
            found = tuple(decode(line, TimedEvent, f"{path}:{number}") for number, line in enumerate(lines, 2))
    except OSError as error:
        raise OutputError(f"cannot be read: {reason_of(error)}", where=str(path)) from None
    return Recording(header, found)


def _read_lines(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield whole lines; what follows the last line feed is of a write that a kill cut off.

    Raises:
        ValueFormatError: a line is too long.
    """
    while line := stream.readline(_LONGEST_LINE):
        if line.endswith(b"\n"):
            yield line
        elif len(line) == _LONGEST_LINE:
            raise ValueFormatError("has a line of more than 64 MB", where=str(path))
