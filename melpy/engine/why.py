"""Why a build is not up to date: the inputs that its packages were made from, held against those of today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from melpy.apk.segment import read_segments
from melpy.bound import open_file
from melpy.codec import Noun
from melpy.engine.inputs import render_build_inputs
from melpy.errors import MelpyError
from melpy.pack.content import read_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from melpy.engine.inputs import Inputs

_PLAIN = {"network": "the network for all steps", "build-cache": "the build cache", "compressor": "the compressor"}


class InputChange(Noun, frozen=True):
    """One input that is another one now.

    Attributes:
        what: the input, such as `environment zlib`.
        before: its value when the packages were made; empty where there was none.
        after: its value now; empty where there is none.
    """

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.what} is new: {self.after}" if self.after else f"{self.what} changed"
        return f"{self.what} was {self.before}, and is {self.after}" if self.after else f"{self.what} is gone"


def load_inputs(package: Path) -> Mapping[str, Any]:
    """Return what a package says of the build that made it; nothing where it says nothing."""
    try:
        with open_file(package) as stream:
            return read_inputs(read_segments(stream, where=str(package)))
    except (OSError, MelpyError):
        return {}


def find_changes(before: Mapping[str, Any], inputs: Inputs) -> tuple[InputChange, ...]:
    """Return the inputs that changed; nothing where only the recipe's own plan did.

    Args:
        before: as `load_inputs` gives them.
        inputs: those of today.
    """
    return tuple(_compare(before, render_build_inputs(inputs)))


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[InputChange]:
    old, new = _by_name(before.get("environment")), _by_name(after["environment"])
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield InputChange(f"environment: {name}", _version(old.get(name)), _version(new.get(name), old.get(name)))
    old, new = _by_name(before.get("sources"), "uri"), _by_name(after["sources"], "uri")
    for uri in sorted(old.keys() | new.keys()):
        if old.get(uri) != new.get(uri):
            yield InputChange(f"source: {uri}", _digest(old.get(uri)), _digest(new.get(uri)))
    files, now = _by_path(before.get("files")), _by_path(after["files"])
    for path in sorted(files.keys() | now.keys()):
        if files.get(path) != now.get(path):
            yield InputChange(f"file of the recipe: {path}", files.get(path, "")[:19], now.get(path, "")[:19])
    for key, what in _PLAIN.items():
        if before.get(key) != after[key]:
            yield InputChange(what, str(before.get(key)), str(after[key]))
    if before.get("rules") != after["rules"]:
        yield InputChange("melpy's own rules for packages", str(before.get("rules")), str(after["rules"]))


def _by_name(items: Any, key: str = "name") -> dict[str, Mapping[str, Any]]:
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return {str(item.get(key)): item for item in found}


def _by_path(items: Any) -> dict[str, str]:
    found = [item for item in items if isinstance(item, list) and len(item) == 3] if isinstance(items, list) else []
    return {str(path): f"{kind} {value}" for path, kind, value in found}


def _version(package: Mapping[str, Any] | None, other: Mapping[str, Any] | None = None) -> str:
    if package is None:
        return ""
    version = str(package.get("version"))
    same = other is not None and other.get("version") == package.get("version")
    return f"{version} with other content" if same else version


def _digest(source: Mapping[str, Any] | None) -> str:
    if source is None:
        return ""
    return str(source.get("gitCommit") or source.get("sha512") or source.get("sha256") or "")[:16]
