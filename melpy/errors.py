"""Everything that can go wrong and that a user can do something about.

One root, `MelpyError`; each class below it has a code (kebab-case, unique) and an exit status (unique), so that
a script can tell failures apart. Only `melpy.cli` turns an error into an exit. A broken invariant is an
`AssertionError` instead, and looks like a bug.
"""

from __future__ import annotations

import errno
import resource
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from melpy.near import find_nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Place:
    """A place in a file that the user wrote. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class StepFault:
    """The step of a build that an error ended.

    Attributes:
        number: its number, counted from 1; 0 for no step.
        line: line of its script that was run last, counted from 1; 0 where the shell does not tell.
    """

    number: int = 0
    line: int = 0


class MelpyError(Exception):
    """A failure that is explained to the user: what is wrong, where, and what to do.

    Args:
        message: what is wrong, lower case, without a full stop.
        where: the place or the thing it is about.
        hint: what to do about it.
        details: further lines, such as an excerpt or the end of a log.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        where: Place | str | None = None,
        hint: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.details = tuple(details)
        self.job = ""  # the build that it ended, such as hello-2.10-r0/x86_64
        self.step = StepFault()
        self.keys: tuple[str | int, ...] = ()  # where it lies in the recipe, as far as that is not known by line
        self.passing = False  # whether another attempt may end well, as of a server that does not answer now
        self.pause = 0.0  # seconds that a server asks to wait before that

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(MelpyError):
    """The command line itself does not make sense."""

    code = "usage"
    exit_status = 2


class RecipeNotFoundError(MelpyError):
    """A recipe or a directory of recipes that was named is not there."""

    code = "recipe-not-found"
    exit_status = 10


class RecipeError(MelpyError):
    """A recipe is not valid. `FaultsError` reports several of these at once."""

    code = "recipe-invalid"
    exit_status = 11


class RecipeSyntaxError(RecipeError):
    """A recipe is not YAML."""

    code = "recipe-syntax"
    exit_status = 12


class UnknownKeyError(RecipeError):
    """A recipe has a key that the format does not know."""

    code = "unknown-key"
    exit_status = 13


class WrongTypeError(RecipeError):
    """A value in a recipe has the wrong type or form."""

    code = "wrong-type"
    exit_status = 14


class UndefinedVariableError(RecipeError):
    """A template names a variable that does not exist."""

    code = "undefined-variable"
    exit_status = 15


class TemplateError(RecipeError):
    """A template or a condition cannot be parsed or evaluated."""

    code = "template"
    exit_status = 16


class ScriptError(RecipeError):
    """A script of a recipe is not shell, or a scriptlet that cannot be run."""

    code = "script"
    exit_status = 18


class PipelineError(RecipeError):
    """A `uses:` cannot be expanded: no such pipeline, or wrong inputs."""

    code = "pipeline"
    exit_status = 17


class NothingSelectedError(MelpyError):
    """The arguments and filters of a command leave no build to be made."""

    code = "nothing-selected"
    exit_status = 19


class SettingsError(MelpyError):
    """melpy.toml, an environment variable or a flag has a value that cannot be used."""

    code = "settings"
    exit_status = 20


class KeyFileError(MelpyError):
    """A signing or verification key is missing, unreadable or not a key."""

    code = "key"
    exit_status = 21


class OutputError(MelpyError):
    """A place that is to be written cannot be."""

    code = "output"
    exit_status = 22


class CycleError(MelpyError):
    """Recipes need one another in a circle."""

    code = "cycle"
    exit_status = 30
    edges: tuple[Any, ...] = ()  # the needs that close the circle, each a `melpy.graph.model.Edge`
    missing: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # of recipes, names that nothing outside offers


class UnresolvableError(MelpyError):
    """No set of packages satisfies what an environment asks for."""

    code = "unresolvable"
    exit_status = 31
    wanted: tuple[str, ...] = ()  # the constraints of the environment that it is about
    missing: tuple[str, ...] = ()  # names that nothing has
    instead: Mapping[str, str] = MappingProxyType({})  # what the hint says of each


class RepositoryError(MelpyError):
    """A package repository cannot be read or is not what it says."""

    code = "repository"
    exit_status = 32


class SignatureError(RepositoryError):
    """A signature is missing, by an unknown key, or does not fit."""

    code = "signature"
    exit_status = 33


class PackageFormatError(MelpyError):
    """A file is not a valid APK, index or version."""

    code = "package-format"
    exit_status = 34


class ElfError(PackageFormatError):
    """A file starts like an ELF file and then does not hold together: it is cut off, or points outside itself."""

    code = "elf"
    exit_status = 35


class LockError(MelpyError):
    """A lock file is none, or does not hold what the build asks for."""

    code = "lock"
    exit_status = 36


class FileConflictError(MelpyError):
    """Two packages of an environment have the same file, and neither says that it replaces the other."""

    code = "file-conflict"
    exit_status = 37


class StoreError(MelpyError):
    """The store of extracted packages is damaged."""

    code = "store"
    exit_status = 38


class UnreachableError(MelpyError):
    """A source cannot be had: nothing answers, or what answers has no such file."""

    code = "unreachable"
    exit_status = 40
    absent = False  # whether whoever was asked does not have it, and something else may be asked for


class DigestMismatchError(MelpyError):
    """A source is not the bytes that the recipe names."""

    code = "digest-mismatch"
    exit_status = 41


class ExtractError(MelpyError):
    """An archive cannot be unpacked, or would write outside its directory."""

    code = "extract"
    exit_status = 42


class SandboxError(MelpyError):
    """This machine cannot run the sandbox: bubblewrap is missing, or namespaces or mounts are refused."""

    code = "sandbox"
    exit_status = 50


class OverlayError(SandboxError):
    """This machine does not mount overlays for its users."""

    code = "overlay"
    exit_status = 54


class EmulationError(MelpyError):
    """This machine cannot run the programs of another architecture."""

    code = "emulation"
    exit_status = 51


class ToolMissingError(MelpyError):
    """A program that melpy calls on the host is not installed."""

    code = "tool-missing"
    exit_status = 52


class StepFailedError(MelpyError):
    """A build step ended with a non-zero status."""

    code = "step-failed"
    exit_status = 60


class UnsettledError(MelpyError):
    """Packages of recipes that need one another differ each time that they are built with one another."""

    code = "unsettled"
    exit_status = 39


class BuildsFailedError(MelpyError):
    """Some jobs of a run over several failed; the others were gone on with."""

    code = "builds-failed"
    exit_status = 61


class SeedError(MelpyError):
    """The seed repository cannot be made from the Debian suite."""

    code = "seed"
    exit_status = 70


class ValueFormatError(MelpyError):
    """A value of melpy's own is not the JSON that it is written as, or is of another version."""

    code = "value-format"
    exit_status = 72


class ProcessError(MelpyError):
    """A host program that melpy called failed."""

    code = "process"
    exit_status = 71


class CancelledError(MelpyError):
    """A build was cancelled before it had ended."""

    code = "cancelled"
    exit_status = 79


class FaultsError(RecipeError):
    """All faults of one or several recipes, found together.

    The exit status is the faults' own when they are all of one class, otherwise that of `recipe-invalid`.
    """

    code = "recipe-faults"

    def __init__(self, faults: Iterable[RecipeError]) -> None:
        self.faults = tuple(faults)
        assert self.faults, "a FaultsError without faults"
        first = self.faults[0]
        super().__init__(first.message, where=first.where, hint=first.hint, details=first.details)
        statuses = {fault.exit_status for fault in self.faults}
        self.exit_status = statuses.pop() if len(statuses) == 1 else RecipeError.exit_status  # type: ignore[misc]  # narrows the class's default

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def reason_of(error: OSError) -> str:
    """Return what the system says about a failure, as messages end with it: `permission denied`."""
    return (error.strerror or str(error)).lower()


def point_at(error: MelpyError, place: Place, details: Sequence[str] = ()) -> None:
    """Let an error point at a place of a recipe; what it was about goes into its message.

    Args:
        error: the error.
        place: the place.
        details: an excerpt, which comes before the error's own details.
    """
    if error.where:
        error.message = f"{error.where}: {error.message}"
    error.where = place
    error.details = (*details, *error.details)


def find_limit_hint(number: int | None) -> str:
    """Return what to do about an error of the system, by its number, that a limit of this process is the reason of."""
    kinds = {
        errno.EMFILE: (resource.RLIMIT_NOFILE, "on open files", "n", "nofile"),
        errno.EAGAIN: (resource.RLIMIT_NPROC, "on processes of this user", "u", "nproc"),
    }
    if number not in kinds:
        return ""
    limit, what, flag, name = kinds[number]
    allowed = resource.getrlimit(limit)[0]
    now = "" if allowed == resource.RLIM_INFINITY else f", {allowed} now"
    return f"raise the limit {what} (ulimit -{flag}{now}; containers: --ulimit {name}=...)"


def fault_position(fault: MelpyError) -> tuple[str, int, int]:
    """Sort key for faults: file, line, column; what has no place comes first."""
    place = fault.where if isinstance(fault.where, Place) else Place("")
    return place.file, place.line, place.column


def find_near(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None."""
    near = find_nearest(name, known)
    return near[0] if near else None


def hint_near(name: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """Return a hint that asks for the name probably meant, or `otherwise`."""
    near = find_near(name, known)
    return f"did you mean {near!r}?" if near else otherwise
