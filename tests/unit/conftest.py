"""Unit tests are hermetic: whoever starts a process or opens a connection fails."""

from __future__ import annotations

import os
import socket  # to forbid it
import subprocess  # to forbid it
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def _forbidden(what: str) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail(f"a unit test {what}; such a test belongs to tests/sandbox or tests/e2e")

    return refuse


@pytest.fixture(autouse=True)
def hermetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbid processes and connections, and forget settings of whoever runs the tests."""
    monkeypatch.setattr(subprocess, "Popen", _forbidden("starts a process"))
    monkeypatch.setattr(os, "posix_spawn", _forbidden("starts a process"))
    monkeypatch.setattr(socket.socket, "connect", _forbidden("opens a connection"))
    for name in list(os.environ):
        if name.startswith("MELPY_") or name == "SOURCE_DATE_EPOCH":
            monkeypatch.delenv(name)
