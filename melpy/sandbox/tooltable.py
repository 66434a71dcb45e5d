"""The table of packages whose programs may run natively in a foreign root: `native.yaml`, which explains itself."""

from __future__ import annotations

import functools
import re
from fnmatch import fnmatchcase
from importlib import resources
from typing import TYPE_CHECKING

import yaml
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from melpy.sandbox.model import NATIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.arch import Arch

_RELEASE = re.compile(r"-r[0-9]+")


class ToolRule(BaseModel):
    """What may be replaced of a package, and how; see native.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    why: str
    only: tuple[str, ...] = ("*",)
    exceptions: tuple[str, ...] = Field(default=(), alias="except")
    moved: dict[str, str] = Field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    script: str = ""
    marks: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


class Tool(Struct, frozen=True):
    """A package of the table, for one architecture.

    Attributes:
        name: name of the package.
        rule: what the table says.
        fills: what stands for the names in braces in the rule's files.
    """

    name: str
    rule: ToolRule
    fills: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, object]:
        """Return what it says as JSON-able values."""
        return {"name": self.name, **self.rule.model_dump()}

    def has_path(self, path: str) -> bool:
        """Tell whether a program at this path may be replaced."""
        rule = self.rule
        return _matches(path, rule.only) and not _matches(path, rule.exceptions)

    def has_plugin(self, path: str) -> bool:
        """Tell whether this is a shared object that the programs load."""
        return _matches(path, self.rule.plugins)

    def is_driver(self, path: str) -> bool:
        """Tell whether a program is called through a script that sets variables."""
        return _matches(path, self.rule.drivers)

    def moved_path(self, path: str) -> str:
        """Return where the other architecture's package has what this machine's has at `path`."""
        for old, new in self.rule.moved.items():
            if path.startswith(f"{old}/"):
                return new + path[len(old) :]
        return path

    @property
    def files(self) -> dict[str, str]:
        """Files that are added beside the loader: path and text."""
        return {self._fill(path): self._fill(text) for path, text in self.rule.files.items()}

    def render_script(self, program: str, foreign: bytes) -> str:
        """Return the script in front of a driver.

        Args:
            program: where the driver is, as seen in the sandbox.
            foreign: the other architecture's program, which may hold marks.
        """
        marks = {name: "yes" if text.encode() in foreign else "no" for name, text in self.rule.marks.items()}
        return "#!/bin/sh\n" + self._fill(self.rule.script, program=program, **marks)

    def _fill(self, text: str, **further: str) -> str:
        for name, value in (*self.fills, *further.items()):
            text = text.replace(f"{{{name}}}", value)
        return text

    def accepts(self, foreign: str, native: str) -> bool:
        """Tell whether this machine's version of the package is the other architecture's, releases aside."""
        return _RELEASE.sub("", foreign) == _RELEASE.sub("", native)


@functools.lru_cache(maxsize=1)
def load_tool_rules() -> Mapping[str, ToolRule]:
    """Return the table, by the names of packages, which may hold `*` and `{multiarch}`."""
    text = (resources.files("melpy.sandbox") / "native.yaml").read_bytes()
    return {name: ToolRule.model_validate(rule) for name, rule in yaml.load(text, Loader=yaml.CSafeLoader).items()}


def find_tool_rule(name: str, arch: Arch) -> Tool | None:
    """Return what the table says of a package of an architecture, or None.

    Args:
        name: name of the package.
        arch: architecture that is built for.
    """
    for pattern, rule in load_tool_rules().items():
        wanted = pattern.replace("{multiarch}", arch.multiarch)
        if fnmatchcase(name, wanted):
            before, star, after = wanted.partition("*")
            version = name[len(before) : len(name) - len(after)] if star else ""
            return Tool(name, rule, (("multiarch", arch.multiarch), ("version", version), ("native", str(NATIVE))))
    return None


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
