"""Keys and signatures."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from melpy.apk.secret import SecretPlace
from melpy.apk.signature import Keyring, Signer, load_keyring, load_signer, write_key_pair
from melpy.errors import KeyFileError, OutputError, SignatureError

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"compressed bytes"


def private_pem(signer: Signer, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return signer.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_what_is_signed_is_trusted(signer: Signer, keyring: Keyring) -> None:
    keyring.check(signer.member_name, signer.sign(DATA), DATA, where="x.apk")
    assert signer.member_name == ".SIGN.RSA256.local.rsa.pub"


def test_signing_is_deterministic(signer: Signer) -> None:
    assert signer.sign(DATA) == signer.sign(DATA)


@pytest.mark.parametrize(("name", "algorithm"), [("RSA", hashes.SHA1()), ("RSA512", hashes.SHA512())])
def test_older_and_longer_hashes_are_read(
    signer: Signer, keyring: Keyring, name: str, algorithm: hashes.HashAlgorithm
) -> None:
    signature = signer.key.sign(DATA, padding.PKCS1v15(), algorithm)
    keyring.check(f".SIGN.{name}.local.rsa.pub", signature, DATA, where="x.apk")


def test_changed_data_does_not_fit(signer: Signer, keyring: Keyring) -> None:
    with pytest.raises(SignatureError) as caught:
        keyring.check(signer.member_name, signer.sign(DATA), DATA + b"!", where="x.apk")
    assert str(caught.value) == "x.apk: the signature by local.rsa.pub does not fit"
    assert caught.value.hint == "the file was changed after it was signed"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (".SIGN.RSA256.other.rsa.pub", "signed with 'other.rsa.pub' (RSA256), which is not trusted"),
        (".SIGN.DSA.local.rsa.pub", "signed with 'local.rsa.pub' (DSA), which is not trusted"),
        ("nonsense", "signed with 'nonsense' (unknown), which is not trusted"),
        (".SIGN.RSA256.", "signed with '.SIGN.RSA256.' (RSA256), which is not trusted"),
    ],
)
def test_unknown_signers_are_not_trusted(keyring: Keyring, member: str, message: str) -> None:
    with pytest.raises(SignatureError) as caught:
        keyring.check(member, b"", DATA, where="x.apk")
    assert caught.value.message == message
    assert caught.value.hint == "trusted keys: local.rsa.pub; add its public key with --keyring-append"


def test_a_private_key_is_for_its_owner_only(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes().startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert key.with_name("local.rsa.pub").read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize("present", ["local.rsa", "local.rsa.pub"])
def test_keys_are_not_overwritten(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("precious")
    with pytest.raises(OutputError, match="is there already and is not overwritten"):
        write_key_pair(tmp_path / "local.rsa", 2048)
    assert (tmp_path / present).read_text() == "precious"


def test_pkcs_8_is_accepted(tmp_path: Path, signer: Signer) -> None:
    (tmp_path / "new.rsa").write_bytes(private_pem(signer))
    found = load_signer(tmp_path / "new.rsa")
    assert found.key_name == "new.rsa.pub"
    assert found.sign(DATA) == signer.sign(DATA)


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("said", [b"secret", b"secret\n", b"secret\r\n"])
def test_a_passphrase_opens_a_key(
    tmp_path: Path, signer: Signer, form: serialization.PrivateFormat, said: bytes
) -> None:
    encryption = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "locked.rsa").write_bytes(signer.key.private_bytes(serialization.Encoding.PEM, form, encryption))
    (tmp_path / "passphrase").write_bytes(said)
    found = load_signer(tmp_path / "locked.rsa", passphrase=SecretPlace(path=tmp_path / "passphrase"))
    assert found.sign(DATA) == signer.sign(DATA)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "has a passphrase, and none is named"),
        (b"another", "the passphrase from .*/passphrase does not open it"),
        (b"", "signing-passphrase: is empty"),
    ],
)
def test_keys_that_stay_closed(tmp_path: Path, signer: Signer, said: bytes | None, message: str) -> None:
    (tmp_path / "locked.rsa").write_bytes(private_pem(signer, b"secret"))
    (tmp_path / "passphrase").write_bytes(said or b"")
    place = None if said is None else SecretPlace(path=tmp_path / "passphrase")
    with pytest.raises(KeyFileError, match=message) as caught:
        load_signer(tmp_path / "locked.rsa", passphrase=place)
    assert "--signing-passphrase" in (caught.value.hint or "")


def test_a_key_without_a_passphrase_needs_none(tmp_path: Path, key: Path, signer: Signer) -> None:
    found = load_signer(key, passphrase=SecretPlace(path=tmp_path / "nowhere"))
    assert found.sign(DATA) == signer.sign(DATA)


def test_a_key_made_with_a_passphrase(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "locked.rsa", 2048, b"secret")
    assert (tmp_path / "locked.rsa").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    (tmp_path / "passphrase").write_bytes(b"secret\n")
    found = load_signer(tmp_path / "locked.rsa", passphrase=SecretPlace(path=tmp_path / "passphrase"))
    trusted = load_keyring([tmp_path / "locked.rsa.pub"])
    trusted.check(found.member_name, found.sign(DATA), DATA, where="")


def test_a_key_that_is_no_file_needs_a_name(monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
    monkeypatch.setenv("KEY", key.read_text())
    with pytest.raises(KeyFileError, match="env:KEY: such a key has no name"):
        load_signer(SecretPlace(variable="KEY"))
    assert load_signer(SecretPlace(variable="KEY"), key_name="other.rsa.pub").key_name == "other.rsa.pub"


def test_a_damaged_key_signs_nothing(tmp_path: Path) -> None:
    good = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_numbers()
    numbers = rsa.RSAPrivateNumbers(
        good.p, good.q, good.d ^ 2, good.dmp1 ^ 2, good.dmq1, good.iqmp, good.public_numbers
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    form = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (tmp_path / "bad.rsa").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    with pytest.raises(KeyFileError, match=r"bad\.rsa\.pub: the private key is damaged"):
        load_signer(tmp_path / "bad.rsa").sign(b"data")


def test_a_key_in_openssh_s_form_says_how_to_convert_it(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    path = tmp_path / "id_rsa"
    path.write_bytes(key.private_bytes(*form))
    with pytest.raises(KeyFileError, match="is in OpenSSH's own form") as caught:
        load_signer(path)
    assert caught.value.hint == "convert it: ssh-keygen -p -m PEM -f FILE"


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", b"\xff\x00"])
def test_garbage_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.rsa"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="not an RSA private key in PEM form"):
        load_signer(path)
    with pytest.raises(KeyFileError, match="not a public key in PEM form"):
        load_keyring([path])


def test_only_rsa_keys_sign_packages(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "ec.pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(KeyFileError, match="not an RSA key, and APK signatures are RSA"):
        load_signer(tmp_path / "ec")
    with pytest.raises(KeyFileError, match="not an RSA key, and APK signatures are RSA"):
        load_keyring([tmp_path / "ec.pub"])


def test_a_private_key_is_no_public_key(key: Path) -> None:
    with pytest.raises(KeyFileError, match="not a public key in PEM form"):
        load_keyring([key])


def test_missing_keys(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no such signing key") as caught:
        load_signer(tmp_path / "none.rsa")
    assert caught.value.hint == "make one with: melpy keygen"
    with pytest.raises(KeyFileError, match="no such public key"):
        load_keyring([tmp_path / "none.rsa.pub"])
    with pytest.raises(KeyFileError, match="cannot read the signing key: is a directory"):
        load_signer(tmp_path)
