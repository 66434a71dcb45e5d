"""What a job came to, as a value that passes between processes: errors as nouns, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.model import IndexEntry
from melpy.build.model import StepRecord
from melpy.codec import Noun
from melpy.errors import FaultsError, MelpyError, Place, RecipeError, StepFault

if TYPE_CHECKING:
    from collections.abc import Iterator


class Failure(Noun, frozen=True):
    """An error of a job.

    Attributes:
        code: code of its class.
        message: what is wrong.
        where: the thing that it is about; empty for none.
        position: file, line and column that it is about; None for none.
        hint: what to do about it.
        details: further lines.
        step: number of the step that it ended, and line of its script; 0 where there is none.
        keys: keys of the recipe that it is about.
        faults: the errors that it stands for, where it stands for several.
        passing: whether another attempt may end well.
        pause: seconds that a server asks to wait before that.
    """

    code: str
    message: str
    where: str = ""
    position: tuple[str, int, int] | None = None
    hint: str | None = None
    details: tuple[str, ...] = ()
    step: tuple[int, int] = (0, 0)
    keys: tuple[str | int, ...] = ()
    faults: tuple[Failure, ...] = ()
    passing: bool = False
    pause: float = 0.0


class UnsignedPackage(Noun, frozen=True):
    """A package that a build made, before it is signed.

    Attributes:
        entry: its index entry; the size is that of the unsigned file.
        content: content digest, SHA-256 in hex; see `melpy.pack.content`.
        sha256: SHA-256 of the unsigned file, in hex.
    """

    entry: IndexEntry
    content: str
    sha256: str


class Host(Noun, frozen=True):
    """The machine that executed a job, for its record; nothing of it goes into a package.

    Attributes:
        name: its name in the network.
        kernel: release of its kernel.
        arch: its architecture, as `uname -m` prints it.
        processors: how many the worker may use.
        melpy: version of melpy there.
        emulator: program that runs foreign programs, or `the host's` for the kernel's own registration; None where the
            machine runs them itself.
    """

    name: str
    kernel: str
    arch: str
    processors: int
    melpy: str
    emulator: str | None = None


class Result(Noun, frozen=True):
    """What a build came to.

    Attributes:
        job: name of the build.
        packages: the packages that it made, in the job's directory for results; empty after a failure.
        steps: what each step did, up to the one that failed.
        stages: seconds that each stage took, in order.
        native: packages that native tools were made of, as `name=version`.
        failure: why it failed; None where it did not.
        host: where it was executed; None where that is not known, such as of a worker that broke down.
    """

    job: str
    packages: tuple[UnsignedPackage, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    stages: tuple[tuple[str, float], ...] = ()
    native: tuple[str, ...] = ()
    failure: Failure | None = None
    host: Host | None = None


def describe_failure(error: MelpyError) -> Failure:
    """Return an error as a noun."""
    place = error.where if isinstance(error.where, Place) else None
    return Failure(
        code=error.code,
        message=error.message,
        where="" if place or error.where is None else str(error.where),
        position=(place.file, place.line, place.column) if place else None,
        hint=error.hint,
        details=error.details,
        step=(error.step.number, error.step.line),
        keys=error.keys,
        faults=tuple(map(describe_failure, error.faults)) if isinstance(error, FaultsError) else (),
        passing=error.passing,
        pause=error.pause,
    )


def make_error(failure: Failure) -> MelpyError:
    """Return the error that a noun stands for."""
    kind = next((kind for kind in _find_kinds(MelpyError) if kind.code == failure.code), MelpyError)
    where = Place(*failure.position) if failure.position else failure.where or None
    error: MelpyError
    if failure.faults:
        faults = map(make_error, failure.faults)
        error = FaultsError(fault for fault in faults if isinstance(fault, RecipeError))
    else:
        error = kind(failure.message, where=where, hint=failure.hint, details=failure.details)
    error.step, error.keys = StepFault(*failure.step), failure.keys
    error.passing, error.pause = failure.passing, failure.pause
    return error


def _find_kinds(kind: type[MelpyError]) -> Iterator[type[MelpyError]]:
    yield kind
    for other in kind.__subclasses__():
        yield from _find_kinds(other)
