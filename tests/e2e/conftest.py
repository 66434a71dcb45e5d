from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    return Project(tmp_path / "project", toy_repository)
