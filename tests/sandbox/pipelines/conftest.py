from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import Bench
from tests.factories.repository import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["busybox", "bash"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, require: Callable[..., None]) -> Bench:
    require(str(BUSYBOX), "bwrap", "bash")
    return Bench(tmp_path / "bench", request.param)


@pytest.fixture
def bare(tmp_path: Path, require: Callable[..., None]) -> Bench:
    """A bench with busybox and nothing else."""
    require(str(BUSYBOX), "bwrap")
    return Bench(tmp_path / "bench", "busybox", usr={})
