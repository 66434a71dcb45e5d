"""RSA keys and the signatures in packages and indexes.

A signature is RSA PKCS#1 v1.5 over the compressed bytes that follow it, in a file named
`.SIGN.<algorithm>.<name of the public key>`. melpy writes RSA256 (SHA-256) and reads RSA (SHA-1), RSA256 and RSA512.
Source: apk-tools 3, apk-v2(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from melpy.errors import KeyFileError, OutputError, SignatureError
from melpy.files import output_error, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "RSA": hashes.SHA1,
    "RSA256": hashes.SHA256,
    "RSA512": hashes.SHA512,
}
_KEYGEN_HINT = "make one with: melpy keygen"


@dataclass(frozen=True)
class Signer:
    """A private key and the name under which its public key is trusted.

    Attributes:
        key_name: file name of the public key, `local.rsa.pub`.
        key: the private key.
    """

    key_name: str
    key: rsa.RSAPrivateKey

    @property
    def member_name(self) -> str:
        """The name of the signature file."""
        return f".SIGN.RSA256.{self.key_name}"

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`; the same data and key give the same bytes."""
        return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())


@dataclass(frozen=True)
class Keyring:
    """The public keys that are trusted, by file name."""

    keys: tuple[tuple[str, rsa.RSAPublicKey], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the trusted keys."""
        return tuple(name for name, _ in self.keys)

    def check(self, member_name: str, signature: bytes, data: bytes, *, where: str) -> None:
        """Check the signature of `data`.

        Raises:
            SignatureError: the key is not trusted or the signature does not fit.
        """
        _, _, rest = member_name.partition(".SIGN.")
        algorithm, _, key_name = rest.partition(".")
        key = dict(self.keys).get(key_name)
        if key is None or algorithm not in _HASHES:
            trusted = ", ".join(self.names) or "none"
            raise SignatureError(
                f"signed with {key_name or member_name!r} ({algorithm or 'unknown'}), which is not trusted",
                where=where,
                hint=f"trusted keys: {trusted}; add its public key with --keyring-append",
            )
        try:
            key.verify(signature, data, padding.PKCS1v15(), _HASHES[algorithm]())
        except InvalidSignature:
            raise SignatureError(
                f"the signature by {key_name} does not fit",
                where=where,
                hint="the file was changed after it was signed",
            ) from None


def load_signer(path: Path) -> Signer:
    """Read a private key, PEM, PKCS#1 or PKCS#8, without a passphrase.

    Raises:
        KeyFileError: it is missing, unreadable, or not such a key.
    """
    data = _read_key(path, "signing key")
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = "keys with a passphrase are not supported" if isinstance(error, TypeError) else _KEYGEN_HINT
        raise KeyFileError("not an unencrypted RSA private key in PEM form", where=str(path), hint=hint) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyFileError("not an RSA key, and APK signatures are RSA", where=str(path), hint=_KEYGEN_HINT)
    return Signer(f"{path.name}.pub", key)


def load_keyring(paths: Iterable[Path]) -> Keyring:
    """Read public keys, PEM, each under its file name.

    Raises:
        KeyFileError: one is missing, unreadable, or not an RSA public key.
    """
    keys: dict[str, rsa.RSAPublicKey] = {}
    for path in paths:
        try:
            key = serialization.load_pem_public_key(_read_key(path, "public key"))
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError("not a public key in PEM form", where=str(path)) from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise KeyFileError("not an RSA key, and APK signatures are RSA", where=str(path))
        keys[path.name] = key
    return Keyring(tuple(sorted(keys.items())))


def _read_key(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise KeyFileError(f"no such {what}", where=str(path), hint=_KEYGEN_HINT) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise KeyFileError(f"cannot read the {what}: {reason}", where=str(path)) from None


def write_key_pair(path: Path, bits: int = 4096) -> Path:
    """Make a private key at `path` (PKCS#1 PEM, mode 0600) and its public key at `<path>.pub`; return the latter.

    Raises:
        OutputError: one of the files is there already, or cannot be written.
    """
    public = path.with_name(f"{path.name}.pub")
    for existing in (path, public):
        if os.path.lexists(existing):
            raise OutputError(
                "is there already and is not overwritten",
                where=str(existing),
                hint="name another key, or remove it",
            )
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The mode is set when the file is made: nobody else can open it in between.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise output_error(path, error) from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(private_pem)
    write_file(public, public_pem)
    return public
