"""Keys, made once: making them takes longer than all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.apk.signature import load_keyring, load_signer, write_key_pair

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.apk.signature import Keyring, Signer


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key `local.rsa`, its public key beside it."""
    path = tmp_path_factory.mktemp("keys") / "local.rsa"
    write_key_pair(path, 2048)
    return path


@pytest.fixture(scope="session")
def signer(key: Path) -> Signer:
    return load_signer(key)


@pytest.fixture(scope="session")
def keyring(key: Path) -> Keyring:
    return load_keyring([key.with_name("local.rsa.pub")])
