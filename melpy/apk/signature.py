"""RSA keys and the signatures in packages and indexes.

A signature is RSA PKCS#1 v1.5 over the compressed bytes that follow it, in a file named
`.SIGN.<algorithm>.<name of the public key>`. melpy writes RSA256 (SHA-256) and reads RSA (SHA-1), RSA256 and RSA512.
Source: apk-tools 3, apk-v2(5).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct

from melpy.apk.secret import SIZE_LIMIT, SecretPlace, read_secret
from melpy.bound import read_file
from melpy.errors import KeyFileError, OutputError, SignatureError, reason_of
from melpy.files import output_error, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "RSA": hashes.SHA1,
    "RSA256": hashes.SHA256,
    "RSA512": hashes.SHA512,
}
_KEYGEN_HINT = "make one with: melpy keygen"
_LOCKED_HINT = "say where it is kept: --signing-passphrase with a file, env:VARIABLE or fd:NUMBER"


class Signer(Struct, frozen=True):
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
        """Return the signature of `data`; the same data and key give the same bytes.

        Raises:
            KeyFileError: the key is damaged. What it would sign could give it away, so that nobody gets to see it.
        """
        signature = self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        try:
            self.key.public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise KeyFileError("the private key is damaged", where=self.key_name, hint=_KEYGEN_HINT) from None
        return signature


class Keyring(Struct, frozen=True):
    """The public keys that are trusted, by file name."""

    keys: tuple[tuple[str, rsa.RSAPublicKey], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the trusted keys."""
        return tuple(name for name, _ in self.keys)

    def pem(self, name: str) -> str:
        """Return a key as PEM; empty where there is none of this name."""
        key = dict(self.keys).get(name)
        form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return key.public_bytes(*form).decode() if key else ""

    def by_id(self) -> dict[bytes, str]:
        """Return the keys' names by the ids that apk-tools 3 gives them: the SHA-512 of the key, cut to 16 bytes."""
        form = serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        return {hashlib.sha512(key.public_bytes(*form)).digest()[:16]: name for name, key in self.keys}

    def fits(self, name: str, signature: bytes, data: bytes) -> bool:
        """Tell whether a key's signature, with SHA-512, is one of `data`."""
        try:
            dict(self.keys)[name].verify(signature, data, padding.PKCS1v15(), hashes.SHA512())
        except InvalidSignature:
            return False
        return True

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


def load_signer(place: SecretPlace | Path, *, key_name: str = "", passphrase: SecretPlace | None = None) -> Signer:
    """Read a private key, PEM, PKCS#1 or PKCS#8.

    Args:
        place: where it is kept.
        key_name: file name of its public key; that of a file with `.pub` by default.
        passphrase: where the passphrase of an encrypted key is kept; a line end after it is no part of it.

    Raises:
        KeyFileError: it is missing, unreadable, or not such a key; or the passphrase is.
    """
    place = place if isinstance(place, SecretPlace) else SecretPlace(path=place)
    where = str(place)
    if not key_name and not place.path:
        raise KeyFileError(
            "such a key has no name", where=where, hint="name its public key: --signing-key-name local.rsa.pub"
        )
    data = read_secret(place, "signing key", hint=_KEYGEN_HINT)
    if data.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"):
        raise KeyFileError("is in OpenSSH's own form", where=where, hint="convert it: ssh-keygen -p -m PEM -f FILE")
    encrypted = b"ENCRYPTED" in data
    if encrypted and passphrase is None:
        raise KeyFileError("has a passphrase, and none is named", where=where, hint=_LOCKED_HINT)
    password = read_passphrase(passphrase) if encrypted and passphrase else None
    try:
        # Whether its numbers fit together is not looked at here, for 40 ms, but seen by each signature.
        key = serialization.load_pem_private_key(data, password, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            message = f"the passphrase from {passphrase} does not open it"
            hint = "name the passphrase of this key with --signing-passphrase, or another key with --signing-key"
            raise KeyFileError(message, where=where, hint=hint) from None
        raise KeyFileError("not an RSA private key in PEM form", where=where, hint=_KEYGEN_HINT) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyFileError("not an RSA key, and APK signatures are RSA", where=where, hint=_KEYGEN_HINT)
    return Signer(key_name or f"{Path(where).name}.pub", key)


def read_passphrase(place: SecretPlace) -> bytes:
    """Return a passphrase without the line end after it.

    Raises:
        KeyFileError: there is none.
    """
    passphrase = read_secret(place, "passphrase", where="signing-passphrase", hint=_LOCKED_HINT).rstrip(b"\r\n")
    if not passphrase:
        raise KeyFileError("is empty", where="signing-passphrase", hint=_LOCKED_HINT)
    return passphrase


def load_keyring(paths: Iterable[Path]) -> Keyring:
    """Read public keys, PEM, each under its file name.

    Raises:
        KeyFileError: one is missing, unreadable, or not an RSA public key.
    """
    keys = {path.name: _parse_public_key(_read_public_key(path), str(path)) for path in paths}
    return Keyring(tuple(sorted(keys.items())))


def parse_keyring(name: str, pem: str, where: str) -> Keyring:
    """Return the keyring with one public key, PEM, under a file name.

    Raises:
        KeyFileError: it is no RSA public key.
    """
    return Keyring(((name, _parse_public_key(pem.encode(), where)),))


def _parse_public_key(pem: bytes, where: str) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError("not a public key in PEM form", where=where) from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyFileError("not an RSA key, and APK signatures are RSA", where=where)
    return key


def _read_public_key(path: Path) -> bytes:
    try:
        return read_file(path, SIZE_LIMIT)
    except FileNotFoundError:
        raise KeyFileError("no such public key", where=str(path), hint=_KEYGEN_HINT) from None
    except OSError as error:
        reason = reason_of(error)
        raise KeyFileError(f"cannot read the public key: {reason}", where=str(path)) from None


def write_key_pair(path: Path, bits: int = 4096, passphrase: bytes = b"") -> Path:
    """Make a private key at `path` (PEM, mode 0600) and its public key at `<path>.pub`; return the latter.

    The private key is PKCS#1; with a passphrase PKCS#8, encrypted.

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
    form = serialization.PrivateFormat.PKCS8 if passphrase else serialization.PrivateFormat.TraditionalOpenSSL
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    private_pem = key.private_bytes(serialization.Encoding.PEM, form, encryption)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The mode is set when the file is made: nobody else can open it in between.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(private_pem)
            write_file(public, public_pem)
        except BaseException:
            path.unlink()  # half a key is none
            raise
    except OSError as error:
        raise output_error(path, error) from None
    return public
