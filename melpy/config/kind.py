"""Kinds of settings: how the text of one becomes a typed value, and how that is shown.

A kind is told a text and the directory that relative paths count from. What it cannot use it refuses with a
SettingsError without a place, or with a BoundError; `melpy.config.load` knows who said it. What reads few settings is
imported when one is set, so that `--help` and the processes that build stay small.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from melpy.apk.secret import SecretPlace, parse_secret
from melpy.arch import ARCHES, Arch, parse_arch
from melpy.bound import BoundError, shorten
from melpy.errors import SettingsError, hint_near
from melpy.plan.range import parse_range
from melpy.quantity import DURATION_HINT, NUMBER_HINT, SIZE_HINT, parse_count, parse_duration, parse_size
from melpy.repo.model import Location, parse_location
from melpy.source.place import Rewrite
from melpy.source.rewrite import is_url, parse_rewrite, sort_rewrites

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T_co = TypeVar("T_co", covariant=True)

_LEAST_MEMORY = 16 << 20


def _show(_value: Any, text: str) -> str:
    return text


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """A kind of setting.

    Attributes:
        parse: reads one text.
        show: returns the text of a value that was read, with absolute paths; given the value and its text.
        join: makes one value of the values of several texts; None for a setting of one text.
        unset: the value where there is no text.
        hint: what to write instead of what cannot be used, where the error does not say it itself.
        is_number: whether melpy.toml may say it as a number, too.
    """

    parse: Callable[[str, Path], Any]
    show: Callable[[Any, str], str] = _show
    join: Callable[[Sequence[Any]], T_co] | None = None
    unset: Any = None
    hint: str = ""
    is_number: bool = False


def locate(text: str, base: Path) -> Path:
    """Return the absolute path of a text; `~` is a home directory.

    Raises:
        SettingsError: there is no such user.
    """
    try:
        return Path(os.path.normpath(base / Path(text).expanduser()))
    except RuntimeError:
        user = text.split("/", maxsplit=1)[0]
        raise SettingsError(f"there is no user {user[1:]!r}", hint=f"write the path of {user}") from None


def choice(what: str, *known: str) -> Kind[str]:
    """Return the kind of a text that is one of a few; `what` is what messages call these."""

    def parse(text: str, _base: Path) -> str:
        if text not in known:
            hint = f"known are {', '.join(known)}"
            raise SettingsError(f"not a {what}: {text!r}", hint=hint_near(text, known, hint))
        return text

    return Kind(parse)


def _plain(text: str, _base: Path) -> str:
    return text


def _path_text(value: Path, _text: str) -> str:
    return str(value)


def _place(text: str, base: Path) -> str:
    return text if "://" in text else str(locate(text, base))


def _repository(text: str, base: Path) -> Location:
    location = parse_location(text)
    if not location.address:
        raise SettingsError(f"a tag without a repository: {text!r}", hint="write '@tag /srv/packages' or a URL")
    return Location(_place(location.address, base), location.tag)


def _repository_text(value: Location, _text: str) -> str:
    return f"@{value.tag} {value.address}" if value.tag else value.address


def _rewrite(text: str, base: Path) -> Rewrite:
    found = parse_rewrite(text)
    return found if is_url(found.place) else Rewrite(found.prefix, str(locate(found.place, base)))


def _rewrite_text(value: Rewrite, _text: str) -> str:
    return f"{value.prefix}={value.place}"


def _secret(text: str, base: Path) -> SecretPlace:
    if "-----BEGIN" in text:  # before anything shows it, such as melpy config
        hint = "name a file, env:VARIABLE or fd:NUMBER"
        raise SettingsError("this is a key itself, not where it is kept", hint=hint)
    place = parse_secret(text)
    return SecretPlace(path=locate(str(place.path), base)) if place.path else place


def _file_name(text: str, _base: Path) -> str:
    if "/" in text:
        raise SettingsError("is a path, not a file name", hint="write local.rsa.pub, for example")
    return text


def _arches(text: str, _base: Path) -> list[Arch]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return list(ARCHES.values()) if "all" in names else [parse_arch(name) for name in names]


def _join_arches(items: Sequence[list[Arch]]) -> tuple[Arch, ...]:
    found = tuple(dict.fromkeys(arch for item in items for arch in item))
    if not found:
        raise SettingsError("no architecture is named", hint="name one, such as x86_64, aarch64 or host")
    return found


def _range(text: str, _base: Path) -> tuple[str, frozenset[str]]:
    return parse_range(text)


def _join_ranges(items: Sequence[tuple[str, frozenset[str]]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, keys in items:
        found[name] = found.get(name, frozenset()) | keys
    return found


def _licence(text: str, _base: Path) -> str:
    from melpy.plan.licence import parse_licence  # noqa: PLC0415  # 60 ms for the few who set it

    problem = next((problem for problem in parse_licence(text).problems if problem.fatal), None)
    if problem:
        raise SettingsError(f"{problem.message} in {text!r}", hint=problem.hint)
    return text


def _whole(text: str, _base: Path) -> int:
    return math.ceil(parse_count(text))


def _size(text: str, _base: Path) -> int:
    return parse_size(text)


def _memory(text: str, _base: Path) -> int:
    memory = parse_size(text)
    if 0 < memory < _LEAST_MEMORY:
        raise SettingsError(f"less memory than any program needs: {text!r}", hint="8Gi is eight gibibytes")
    return memory


def _duration(text: str, _base: Path) -> float:
    return parse_duration(text)


def _unique(items: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))


TEXT: Kind[str] = Kind(_plain, unset="")
FILE_NAME_ONLY: Kind[str] = Kind(_file_name, unset="")
LICENCE: Kind[str] = Kind(_licence, unset="")
PATH: Kind[Path] = Kind(locate, _path_text)
OPTIONAL_PATH: Kind[Path | None] = Kind(locate, _path_text)
SECRET: Kind[SecretPlace | None] = Kind(_secret, lambda value, _: str(value))
NUMBER: Kind[int] = Kind(_whole, unset=0, hint=NUMBER_HINT, is_number=True)
SIZE: Kind[int] = Kind(_size, unset=0, hint=SIZE_HINT, is_number=True)
MEMORY: Kind[int] = Kind(_memory, unset=0, hint=SIZE_HINT, is_number=True)
DURATION: Kind[float | None] = Kind(_duration, hint=DURATION_HINT, is_number=True)
TEXTS: Kind[tuple[str, ...]] = Kind(_plain, join=tuple)
PATHS: Kind[tuple[Path, ...]] = Kind(locate, _path_text, tuple)
PLACES: Kind[tuple[str, ...]] = Kind(_place, _path_text, tuple)
REPOSITORIES: Kind[tuple[Location, ...]] = Kind(_repository, _repository_text, _unique)
REWRITES: Kind[tuple[Rewrite, ...]] = Kind(_rewrite, _rewrite_text, sort_rewrites)
ARCHITECTURES: Kind[tuple[Arch, ...]] = Kind(_arches, join=_join_arches)
RANGES: Kind[Mapping[str, frozenset[str]]] = Kind(_range, join=_join_ranges)


def parse_text(kind: Kind[Any], text: str, base: Path) -> tuple[Any, str]:
    """Return what a text means, and how it is shown.

    Raises:
        SettingsError: it cannot be used; the error has no place.
    """
    if "\0" in text:
        raise SettingsError(f"holds a NUL: {shorten(text)}")
    try:
        value = kind.parse(text, base)
    except BoundError as error:
        raise SettingsError(str(error), hint=kind.hint or None) from None
    return value, kind.show(value, text)
