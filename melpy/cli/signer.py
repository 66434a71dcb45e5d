"""The signing key of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from melpy.apk.secret import MARKS, stat_secret
from melpy.errors import SettingsError

if TYPE_CHECKING:
    from melpy.apk.signature import Signer
    from melpy.config.model import Settings


def find_signer(settings: Settings) -> Signer | None:
    """Return the signing key of the settings, or None when they name none.

    Raises:
        KeyFileError: it cannot be used.
    """
    from melpy.apk.signature import load_signer  # noqa: PLC0415  # --help does not need it

    place = settings.text("signing-key")
    if not place:
        return None
    key_name, passphrase = settings.text("signing-key-name"), settings.text("signing-passphrase")
    if "/" in key_name:
        raise SettingsError(
            "is a path, not a file name", where="signing-key-name", hint="write local.rsa.pub, for example"
        )
    return load_signer(place, key_name=key_name, passphrase=passphrase)


def find_secrets(settings: Settings) -> tuple[tuple[tuple[int, int], str], ...]:
    """Return device and inode of the files of the signing key and its passphrase, with names for messages."""
    found = []
    for setting, what in (
        ("signing-key", "the signing key"),
        ("signing-passphrase", "the passphrase of the signing key"),
    ):
        info = stat_secret(settings.text(setting))
        if info:
            found.append(((info.st_dev, info.st_ino), what))
    return tuple(found)


def identify_signer(settings: Settings) -> str:
    """Return what changes when another key signs, without opening it; empty where that cannot be told."""
    place, name = settings.text("signing-key"), settings.text("signing-key-name")
    if not place or place.startswith(MARKS):
        return ""
    try:
        info = Path(place).stat()
    except OSError:
        return ""
    return f"{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}:{info.st_ino} {name} {place}"


def read_signer(settings: Settings) -> Signer:
    """Return the signing key of the settings.

    Raises:
        SettingsError: they name none.
        KeyFileError: it cannot be used.
    """
    signer = find_signer(settings)
    if signer is None:
        raise SettingsError("no key is named", where="signing-key", hint="name a private key with --signing-key")
    return signer
