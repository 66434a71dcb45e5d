"""The signing key of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.secret import stat_secret
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

    if settings.signing_key is None:
        return None
    return load_signer(settings.signing_key, key_name=settings.signing_key_name, passphrase=settings.signing_passphrase)


def find_secrets(settings: Settings) -> tuple[tuple[tuple[int, int], str], ...]:
    """Return device and inode of the files of the signing key and its passphrase, with names for messages."""
    found = []
    for place, what in (
        (settings.signing_key, "the signing key"),
        (settings.signing_passphrase, "the passphrase of the signing key"),
    ):
        info = stat_secret(place) if place else None
        if info:
            found.append(((info.st_dev, info.st_ino), what))
    return tuple(found)


def identify_signer(settings: Settings) -> str:
    """Return what changes when another key signs, without opening it; empty where that cannot be told."""
    place = settings.signing_key
    info = stat_secret(place) if place and place.path else None
    if info is None:
        return ""
    name = settings.signing_key_name
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
