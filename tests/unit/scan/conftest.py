"""A scan in one line: files in, findings out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

import pytest

from melpy.scan.model import Findings, Subject, Switches
from melpy.scan.scanner import scan_package
from tests.factories.tree import tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.factories.tree import Content


class Scan(Protocol):
    """Scans a package with these files; relatives are given as the files of each by its name."""

    def __call__(
        self,
        files: Mapping[str, Content],
        *,
        package: str = "hello",
        relatives: Mapping[str, Mapping[str, Content]] | None = None,
        runtime: Sequence[str] = (),
        provides: Sequence[str] = (),
        switches: Switches | None = None,
        arch: str = "",
    ) -> Findings: ...


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    numbers = itertools.count()

    def run(
        files: Mapping[str, Content],
        *,
        package: str = "hello",
        relatives: Mapping[str, Mapping[str, Content]] | None = None,
        runtime: Sequence[str] = (),
        provides: Sequence[str] = (),
        switches: Switches | None = None,
        arch: str = "",
    ) -> Findings:
        place = tmp_path / f"build-{next(numbers)}"
        own = tree(place / package, files, package)
        others = [tree(place / name, content, name) for name, content in (relatives or {}).items()]
        return scan_package(
            Subject(own, "1.0-r0", (own, *others), tuple(runtime), tuple(provides), switches or Switches(), arch=arch)
        )

    return run
