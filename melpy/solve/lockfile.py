"""Lock files: the exact packages of environments, kept so that a later build takes the same ones.

One JSON file for an architecture:

    {"format": "melpy-lock-1", "arch": "x86_64",
     "repositories": {"https://…": {"key": "…rsa.pub", "pem": "…"}},
     "recipes": {"hello": {"world": ["…"], "packages": [{"name", "version", "checksum", "repository"}…],
                           "tests": {"hello": {"world": […], "packages": […]}}}}}

Packages stand in the order in which they are installed. A checksum is that of indexes, `Q1…`. Repositories of this
machine's own making have names instead of places, `out-dir` and `seed`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import field

from melpy.apk.version import is_version
from melpy.bound import parse_json, read_file
from melpy.codec import Noun
from melpy.errors import LockError, reason_of
from melpy.recipe.document import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = "melpy-lock-1"
_NAME = re.compile(r"[^\s/@=<>~!.\x00-\x1f][^\s/@=<>~!\x00-\x1f]*")
_CHECKSUM = re.compile(r"Q[12][A-Za-z0-9+/]+=*")
OUT_DIR, SEED = "out-dir", "seed"


class LockedPackage(Noun, frozen=True):
    """An exact package: its name and version, its identity as indexes have it, and where it comes from.

    Its architecture is only stated where it is another than the lock's: `noarch`.
    """

    name: str
    version: str
    checksum: str
    repository: str
    arch: str = ""


class LockedEnvironment(Noun, frozen=True):
    """An environment: what was asked for, and the packages that answer it."""

    world: tuple[str, ...]
    packages: tuple[LockedPackage, ...]


class LockedRecipe(Noun, frozen=True):
    """The environments of a recipe: that of the build, and those of its tests by package."""

    build: LockedEnvironment
    tests: Mapping[str, LockedEnvironment] = field(default_factory=dict)


class LockedRepository(Noun, frozen=True):
    """By whom a repository's index was signed: file name and PEM of the public key; empty where nobody checked."""

    key: str = ""
    pem: str = ""


class Lock(Noun, frozen=True):
    """The environments of recipes for an architecture."""

    arch: str
    repositories: Mapping[str, LockedRepository]
    recipes: Mapping[str, LockedRecipe]

    def packages(self) -> Iterator[LockedPackage]:
        """Yield the packages of all environments."""
        for recipe in self.recipes.values():
            for environment in (recipe.build, *recipe.tests.values()):
                yield from environment.packages


def render_lock(lock: Lock) -> str:
    """Return the text of a lock file: one line for each package, so that changes can be read."""
    return _render(
        {
            "format": FORMAT,
            "arch": lock.arch,
            "repositories": {
                place: {"key": one.key, "pem": one.pem} if one.key else {}
                for place, one in sorted(lock.repositories.items())
            },
            "recipes": {name: _recipe_json(recipe) for name, recipe in sorted(lock.recipes.items())},
        }
    )


def _recipe_json(recipe: LockedRecipe) -> dict[str, object]:
    tests = {name: _environment_json(one) for name, one in sorted(recipe.tests.items())}
    return _environment_json(recipe.build) | ({"tests": tests} if tests else {})


def _environment_json(environment: LockedEnvironment) -> dict[str, object]:
    packages = [
        {"name": one.name, "version": one.version, "checksum": one.checksum, "repository": one.repository}
        | ({"arch": one.arch} if one.arch else {})
        for one in environment.packages
    ]
    return {"world": list(environment.world), "packages": packages}


def _render(value: Mapping[str, object], indent: str = "") -> str:
    inner = f"{indent} "
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and key != "pem":
            text = _render(item, inner).rstrip("\n") if item else "{}"
        elif isinstance(item, list) and item:
            rows = ",\n".join(f"{inner} {json.dumps(one, ensure_ascii=False)}" for one in item)
            text = f"[\n{rows}\n{inner}]"
        else:
            text = json.dumps(item, ensure_ascii=False)
        lines.append(f"{inner}{json.dumps(key, ensure_ascii=False)}: {text}")
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}\n"


def load_lock(path: Path) -> Lock:
    """Read a lock file.

    Raises:
        LockError: it is not there, or is none.
    """
    try:
        data = parse_json(read_file(path, piped=True).decode())
    except FileNotFoundError:
        raise LockError("no such lock file", where=str(path), hint="write one: melpy lock RECIPE") from None
    except OSError as error:
        raise LockError(f"cannot be read: {reason_of(error)}", where=str(path)) from None
    except ValueError as error:
        raise LockError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise LockError(f"is not a lock file of the form {FORMAT}", where=str(path), hint="write it anew: melpy lock")
    try:
        lock = Lock(
            data["arch"],
            {place: _take(LockedRepository, one) for place, one in data["repositories"].items()},
            {name: _read_recipe(one) for name, one in data["recipes"].items()},
        )
        _check_places(lock)
    except (KeyError, TypeError, AttributeError) as error:
        hint = "write it anew: melpy lock"
        what = f"has no {error}" if isinstance(error, KeyError) else f"is a broken lock file: {error}"
        raise LockError(what, where=str(path), hint=hint) from None
    return lock


def _check_places(lock: Lock) -> None:
    for package in lock.packages():
        if package.repository not in lock.repositories:
            raise TypeError(f"{package.name} is from {package.repository!r}, which is none of its repositories")


def _take(kind: type[Any], data: Any) -> Any:  # JSON
    """Return an object of texts."""
    known = set(kind.__struct_fields__)
    for key, value in data.items():
        if key not in known or not isinstance(value, str) or not is_utf8(value):
            raise TypeError(f"unknown key {key!r}" if key not in known else f"{key} is not a text: {value!r}")
    required = kind.__struct_fields__[: len(kind.__struct_fields__) - len(kind.__struct_defaults__)]
    missing = [name for name in required if name not in data]
    if missing:
        raise KeyError(missing[0])
    return kind(**data)


def _read_recipe(data: Any) -> LockedRecipe:  # JSON
    tests = {name: _read_environment(one) for name, one in data.get("tests", {}).items()}
    return LockedRecipe(_read_environment(data), tests)


def _read_environment(data: Any) -> LockedEnvironment:  # JSON
    unknown = [key for key in data if key not in {"world", "packages", "tests"}]
    if unknown:
        raise TypeError(f"unknown key {unknown[0]!r}")
    if not isinstance(data["packages"], list) or not isinstance(data["world"], list):
        raise TypeError("world and packages are lists")
    packages = tuple(_take(LockedPackage, one) for one in data["packages"])
    names = set()
    for one in packages:
        if not _NAME.fullmatch(one.name) or not is_version(one.version) or one.arch not in {"", "noarch"}:
            raise TypeError(f"not a package: {one.name} {one.version} {one.arch}")
        if not _CHECKSUM.fullmatch(one.checksum):
            raise TypeError(f"not a checksum: {one.checksum!r}")
        if one.name in names:
            raise TypeError(f"{one.name} is there twice")
        names.add(one.name)
    return LockedEnvironment(tuple(map(str, data["world"])), packages)
