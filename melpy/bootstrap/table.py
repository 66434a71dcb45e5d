"""The table of a suite: what Wolfi's names mean there, and what Debian's scripts would have done.

It is data, `suites/<suite>.yaml`, so that it can be read and changed without reading code. Unknown keys in it are
errors.
"""

from __future__ import annotations

import functools
import re  # noqa: TC003  # pydantic reads the annotation
from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from melpy.bootstrap.manifest import CONVERTER
from melpy.digest import identity, sha256_hex
from melpy.errors import SeedError, hint_near

_SUITES = resources.files("melpy.bootstrap") / "suites"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Change(_Strict):
    """What is different in a Debian package when it is converted.

    Attributes:
        depends: further APK names that it needs.
        without: Debian names that only its scripts needed.
        omit: files that are left out.
        links: symlinks that are added, path to target: Debian's alternatives.
        concatenate: files made of all files that match a pattern, in the order of their names.
        files: files that are added, path to content.
        edits: texts that are replaced in a file, by path: each must be there exactly once.
        replaces: APK names of packages of others, which may have some of its files.
    """

    depends: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)
    concatenate: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    edits: dict[str, dict[str, str]] = Field(default_factory=dict)
    replaces: tuple[str, ...] = ()


class Name(_Strict):
    """A package that is not Debian's: a name that stands for others, or the base layout.

    Attributes:
        depends: APK names; the first one gives its version.
        version: APK version where nothing is depended upon.
        directories: mode by path.
        files: content by path.
        links: symlinks, path to target.
        provides: names that it provides without a version.
    """

    depends: tuple[str, ...] = ()
    version: str = ""
    directories: dict[str, int] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    provides: tuple[str, ...] = ()

    @field_validator("directories", mode="before")
    @classmethod
    def _modes(cls, value: object) -> object:
        """Read modes as octal; they are strings, since YAML 1.1 and 1.2 differ about octal numbers."""
        if not isinstance(value, dict):
            return value
        return {path: int(mode, 8) if isinstance(mode, str) else mode for path, mode in value.items()}


class Rule(_Strict):
    """How a name that is nobody's is turned into one that may be somebody's.

    In what it looks for, `{0}` is the whole match, `{1}` its first group.

    Attributes:
        match: regular expression for the whole name.
        names: names to try in turn: packages at first, what they provide after `alike`.
        again: a name to be looked up in its place; it must be shorter, so that there is an end.
        version: what the version of what is found must begin with.
        alike: Debian's packages of this name, a version in it.
        ending: what comes after the version in these.
        sources: Debian's source packages to try in turn, a version in their names or not; all that is made from the
            first one and that `keep` takes is meant.
        keep: regular expression for the whole name of what is taken from a source package.
    """

    match: re.Pattern[str]
    names: tuple[str, ...] = ()
    again: str = ""
    version: str = ""
    alike: str = ""
    ending: str = ""
    sources: tuple[str, ...] = ()
    keep: str = ".*"

    @field_validator("names", "sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value


class Table(_Strict):
    """Everything melpy knows about one suite; see suites/trixie.yaml for what each part is for."""

    drop: tuple[str, ...] = ()
    ignore: frozenset[str] = frozenset()
    prefer: dict[str, str] = Field(default_factory=dict)
    alternatives: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, Change] = Field(default_factory=dict)
    names: dict[str, Name] = Field(default_factory=dict)
    ranges: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    late_rules: tuple[Rule, ...] = ()

    @field_validator("names", mode="before")
    @classmethod
    def _short_names(cls, value: object) -> object:
        """Let `name: a b c` stand for `name: {depends: [a, b, c]}`."""
        if not isinstance(value, dict):
            return value
        return {key: {"depends": item.split()} if isinstance(item, str) else item for key, item in value.items()}


def known_suites() -> tuple[str, ...]:
    """Return the suites that there is a table for."""
    return tuple(sorted(item.name[: -len(".yaml")] for item in _SUITES.iterdir() if item.name.endswith(".yaml")))


@functools.lru_cache(maxsize=8)
def read_table(suite: str) -> bytes:
    """Return the text of a suite's table.

    Raises:
        SeedError: there is none.
    """
    known = known_suites()
    if suite not in known:
        raise SeedError(
            f"there is no table for the Debian suite {suite!r}",
            hint=hint_near(suite, known, f"known are {', '.join(known)}"),
        )
    return (_SUITES / f"{suite}.yaml").read_bytes()


def recipe_digest(suite: str) -> str:
    """Return the identity of how this melpy makes a seed of the suite: its table, and how packages are converted."""
    return identity([sha256_hex(read_table(suite)), CONVERTER])


def load_table(suite: str) -> Table:
    """Read and check the table of a suite.

    Raises:
        SeedError: there is none, or it is not valid.
    """
    return parse_table(read_table(suite), where=f"suites/{suite}.yaml")


def parse_table(text: bytes, *, where: str) -> Table:
    """Read and check a table.

    Raises:
        SeedError: it is not valid.
    """
    try:
        value: Any = yaml.load(text, Loader=yaml.CSafeLoader)  # the safe loader, in C
        return Table.model_validate(value or {})
    except yaml.YAMLError as error:
        raise SeedError("is not YAML", where=where, details=str(error).splitlines()) from None
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise SeedError("the table is not valid", where=where, details=faults) from None
