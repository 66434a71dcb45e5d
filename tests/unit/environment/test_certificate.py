from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

from melpy.environment.certificate import load_trusted, provide_certificates
from melpy.errors import SettingsError
from melpy.plan.model import PlanCertificate
from melpy.sandbox.model import Root

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def pem(content: str) -> str:
    body = base64.b64encode(content.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"


def root(tmp_path: Path, bundle: str | None) -> Root:
    layer, upper = tmp_path / "layer", tmp_path / "upper"
    upper.mkdir()
    if bundle is not None:
        (layer / BUNDLE).parent.mkdir(parents=True)
        (layer / BUNDLE).write_text(bundle)
    return Root((layer,), upper, tmp_path / "work", tmp_path / "root")


def test_certificates_of_the_recipe_come_after_those_of_packages(tmp_path: Path) -> None:
    place = root(tmp_path, f"# web\n{pem('web')}\n")
    provide_certificates(place, [PlanCertificate("own", pem("own"))])
    assert (place.upper / BUNDLE).read_text() == f"# web\n{pem('web')}\n{pem('own')}\n"
    digest = hashlib.sha256(b"own").hexdigest()
    file = place.upper / f"usr/local/share/ca-certificates/own-{digest}.crt"
    assert file.read_text() == f"{pem('own')}\n"
    assert file.stat().st_mode & 0o777 == (place.upper / BUNDLE).stat().st_mode & 0o777 == 0o644


def test_what_is_trusted_already_is_not_added_again(tmp_path: Path) -> None:
    place = root(tmp_path, f"{pem('web')}\n")
    provide_certificates(place, [], trusted=f"{pem('web')}\nproxy:\n{pem('proxy')}\n".encode())
    assert (place.upper / BUNDLE).read_text() == f"{pem('web')}\n{pem('proxy')}\n"


def test_without_certificates_nothing_is_written(tmp_path: Path) -> None:
    place = root(tmp_path, f"{pem('web')}\n")
    provide_certificates(place, [], trusted=pem("web").encode())
    assert list(place.upper.iterdir()) == []


def test_a_root_without_bundle_gets_one(tmp_path: Path) -> None:
    place = root(tmp_path, None)
    provide_certificates(place, [PlanCertificate("own", pem("own"))])
    assert (place.upper / BUNDLE).read_text() == f"{pem('own')}\n"


def test_the_bundle_that_melpy_itself_trusts_is_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    assert load_trusted({"SSL_CERT_FILE": str(tmp_path / "ca.pem")}) == b"x"
    assert load_trusted({}) == load_trusted({"SSL_CERT_FILE": ""}) == b""
    with pytest.raises(SettingsError) as caught:
        load_trusted({"SSL_CERT_FILE": "/nowhere/ca.pem"})
    assert str(caught.value) == "SSL_CERT_FILE: /nowhere/ca.pem: cannot be read: no such file or directory"
