"""Secrets, from files, variables and descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from melpy.apk.secret import SIZE_LIMIT, SecretPlace, parse_secret, read_secret
from melpy.errors import KeyFileError, SettingsError


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\n")
    assert read_secret(parse_secret(str(tmp_path / "secret")), "key") == b"\xff\n"


def test_a_variable_is_read_once_and_then_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "quiet")
    assert read_secret(parse_secret("env:SECRET"), "key") == b"quiet"
    assert "SECRET" not in os.environ
    with pytest.raises(KeyFileError, match="env:SECRET: no key: the variable is not set"):
        read_secret(parse_secret("env:SECRET"), "key")


def test_a_descriptor_is_read_and_closed() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"quiet")
    os.close(writer)
    assert read_secret(parse_secret(f"fd:{reader}"), "key") == b"quiet"
    with pytest.raises(KeyFileError, match=f"fd:{reader}: cannot read the key: bad file descriptor"):
        read_secret(parse_secret(f"fd:{reader}"), "key")


@pytest.mark.parametrize("number", ["", "-1", "x", "0x3", "\u0663", "1" * 20])
def test_what_is_no_descriptor(number: str) -> None:
    with pytest.raises(SettingsError, match=r"^not the number of a file descriptor$"):
        parse_secret(f"fd:{number}")


@pytest.mark.parametrize("name", ["", "A=B"])
def test_what_is_no_variable(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^not the name of a variable$"):
        parse_secret(f"env:{name}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("env:KEY", SecretPlace(variable="KEY")),
        ("fd:0", SecretPlace(descriptor=0)),
        ("keys/a.rsa", SecretPlace(path=Path("keys/a.rsa"))),
        ("environment", SecretPlace(path=Path("environment"))),
    ],
)
def test_places(text: str, place: SecretPlace) -> None:
    assert parse_secret(text) == place
    assert str(place) == text


def test_no_file_has_that_size(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (SIZE_LIMIT + 1))
    with pytest.raises(KeyFileError, match="too large to be a key"):
        read_secret(parse_secret(str(tmp_path / "large")), "key")


def test_what_may_be_the_secret_itself_is_not_told() -> None:
    with pytest.raises(KeyFileError) as caught:
        read_secret(parse_secret("hunter2"), "passphrase", where="signing-passphrase")
    assert str(caught.value) == "signing-passphrase: no such passphrase"
