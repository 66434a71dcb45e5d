"""Dependency atoms: `name`, `name>=1.2`, `name~1.2`, `so:libc.so.6`, `!conflict`, `name@tag`, and provides.

Source: apk-tools 3, apk-world(5) and apk-package(5).
"""

from __future__ import annotations

import functools
import re

from melpy.apk.version import compare_versions, is_version
from melpy.codec import Noun
from melpy.errors import PackageFormatError

_ATOM = re.compile(
    r"(?P<not>!?)(?P<name>[^@=><~!\s]+)(?:(?P<op>[=><~]+)(?P<version>[^@\s]+))?(?:@(?P<tag>[A-Za-z0-9_.-]+))?"
)
_OPERATORS = {"=", "<", ">", "<=", ">=", "~", "=~", "~=", "<~", ">~", "><", "=="}


class Atom(Noun, frozen=True):
    """One requirement.

    Attributes:
        name: name of a package or of something that packages provide.
        operator: one of `= < > <= >= ~ >< <~ >~`, or empty for any version.
        version: version to compare with; for `><` the package's checksum.
        conflict: the requirement is that no such package is there.
        tag: repository tag that it is pinned to.
    """

    name: str
    operator: str = ""
    version: str = ""
    conflict: bool = False
    tag: str = ""

    def __str__(self) -> str:
        tag = f"@{self.tag}" if self.tag else ""
        return f"{'!' if self.conflict else ''}{self.name}{self.operator}{self.version}{tag}"

    def is_met_by(self, version: str) -> bool:
        """Tell whether a version satisfies the operator; an empty one (unversioned provide) only meets no operator."""
        if not self.operator:
            return True
        if not version or self.operator == "><":
            return False
        order = compare_versions(version, self.version, fuzzy="~" in self.operator)
        return (
            (order == 0 and ("=" in self.operator or "~" in self.operator))
            or (order < 0 and "<" in self.operator)
            or (order > 0 and ">" in self.operator)
        )


@functools.lru_cache(maxsize=65536)
def parse_atom(text: str) -> Atom:
    """Parse a requirement.

    Raises:
        PackageFormatError: it is not one.
    """
    atom = parse_dependency(text)
    if atom.operator and atom.operator != "><" and not is_version(atom.version):
        raise PackageFormatError(f"invalid version {atom.version!r} in dependency {text!r}")
    return atom


@functools.lru_cache(maxsize=65536)
def parse_dependency(text: str) -> Atom:
    """Parse a requirement of a package in an index; its version may be none, as some in published indexes are.

    Raises:
        PackageFormatError: it is not one.
    """
    match = _ATOM.fullmatch(text.strip())
    operator = (match["op"] or "") if match else ""
    if match is None or (operator and operator not in _OPERATORS):
        raise PackageFormatError(
            f"invalid dependency {text!r}",
            hint="a dependency looks like name, name=1.2-r0, name>=1.2, name~1.2 or !name",
        )
    normal = {"=~": "~", "~=": "~", "==": "="}.get(operator, operator)
    return Atom(match["name"], normal, match["version"] or "", bool(match["not"]), match["tag"] or "")


@functools.lru_cache(maxsize=65536)
def parse_provide(text: str) -> tuple[str, str]:
    """Return the name and the version (or an empty string) of a provide, `cmd:hello=2.10-r0`."""
    name, _, version = text.strip().partition("=")
    return name, version
