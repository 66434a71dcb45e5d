"""What all tests share.

How hard hypothesis tries: `pytest --hypothesis-profile=thorough tests/property` tries harder. There is no deadline for
one example, nor for making them, as a busy machine would miss it now and then.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.factories.repository import BUSYBOX, Repository, add_busybox, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in jobs that a shell runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has programs ignore
os.umask(0o022)  # as `melpy` sets it; a user's own may be 0002, which test trees would show

settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=2000)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """Skip a test where a program is missing; in CI that is a failure, since CI installs what it needs."""

    def check(*programs: str) -> None:
        missing = [name for name in programs if shutil.which(name) is None and not Path(name).exists()]
        if missing and os.environ.get("CI"):
            pytest.fail(f"not installed: {', '.join(missing)}")
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")

    return check


@pytest.fixture(scope="session")
def toy_repository(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Repository:
    """A signed repository with one package, busybox, which is environment enough for shell recipes."""
    require(str(BUSYBOX), "bwrap")
    directory = tmp_path_factory.mktemp("toy")
    repository = make_repository(directory)
    add_busybox(repository, directory)
    repository.add("wget")  # fetch asks for it, and melpy does its work
    return repository


@pytest.fixture(scope="session")
def attempts(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    """A static program that tries system calls; see tests/factories/attempts.c."""
    require("cc")
    program = tmp_path_factory.mktemp("attempts") / "attempts"
    source = ROOT / "tests/factories/attempts.c"
    made = subprocess.run(["cc", "-static", "-o", program, source], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cc makes no static programs: {made.stderr}")
    return program


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """A cache that outlives the run: the seed of a suite is downloaded and converted once."""
    return Path(os.environ.get("MELPY_TEST_CACHE", ROOT / ".cache"))
