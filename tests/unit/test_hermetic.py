"""The fixture that keeps unit tests from processes and the network does so."""

from __future__ import annotations

import socket  # to see that it is forbidden

import pytest

from melpy.run import run


def test_a_process_fails_a_unit_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="starts a process"):
        run(["true"])


def test_a_connection_fails_a_unit_test() -> None:
    with socket.socket() as connection, pytest.raises(pytest.fail.Exception, match="opens a connection"):
        connection.connect(("127.0.0.1", 9))
