"""Certificate authorities that steps trust beside those of their packages.

A recipe names its own (`environment.certificates.additional`, as apko has it). Where steps see the network, those of
the file that SSL_CERT_FILE names for melpy itself count as well: a proxy that signs what passes through it is trusted
by melpy and by steps alike. Certificates of packages stay first.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.bound import read_file
from melpy.digest import sha256_hex
from melpy.errors import SettingsError, reason_of
from melpy.inside import create_file, open_below, open_root, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.plan.model import PlanCertificate
    from melpy.sandbox.model import Root

_VARIABLE = "SSL_CERT_FILE"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_OWN = "usr/local/share/ca-certificates"
_LIMIT = 16 << 20  # a bundle of all authorities of the web has some 250 kB
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


def provide_certificates(root: Root, certificates: Iterable[PlanCertificate], *, trusted: bytes = b"") -> None:
    """Put certificates into the upper layer of a root: one file each, and all of them at the end of the bundle.

    Args:
        root: the root, whose layers are a directory each, topmost first.
        certificates: those of the recipe.
        trusted: a bundle whose certificates are added, those that are not there yet.

    Raises:
        ExtractError: the root has something else where directories should be.
        OSError: the upper layer cannot be written.
    """
    own = [(item.name, item.content.strip().encode()) for item in certificates]
    found = (read_regular(layer, _BUNDLE, _LIMIT) for layer in (root.upper, *root.layers))
    bundle = next((data for data in found if data is not None), b"")
    known = set(_blocks(bundle))
    more = [block for block in dict.fromkeys([*(text for _, text in own), *_blocks(trusted)]) if block not in known]
    for name, text in own:
        _write(root.upper, f"{_OWN}/{name}-{_fingerprint(text.decode())}.crt", text + b"\n")
    if more:
        _write(root.upper, _BUNDLE, b"".join(block.rstrip(b"\n") + b"\n" for block in (bundle, *more) if block))


def _fingerprint(certificate: str) -> str:
    import ssl  # noqa: PLC0415  # it takes 4 ms, and few recipes have certificates of their own

    return sha256_hex(ssl.PEM_cert_to_DER_cert(certificate))


def load_trusted(environment: Mapping[str, str] = os.environ) -> bytes:
    """Return the bundle of certificates that SSL_CERT_FILE names; empty where it names none.

    Raises:
        SettingsError: it cannot be read.
    """
    name = environment.get(_VARIABLE, "")
    try:
        return read_file(Path(name), _LIMIT) if name else b""
    except OSError as error:
        message = f"cannot be read: {reason_of(error)}"
        raise SettingsError(message, where=f"{_VARIABLE}: {name}", hint=f"unset {_VARIABLE}, or name a file") from None


def _blocks(bundle: bytes) -> list[bytes]:
    return _BLOCK.findall(bundle)


def _write(upper: Path, path: str, data: bytes) -> None:
    *directories, name = path.split("/")
    with (
        open_root(upper) as root,
        open_below(root, directories, make=True) as parent,
        create_file(parent, name) as stream,
    ):
        stream.write(data)
        os.fchmod(stream.fileno(), 0o644)
