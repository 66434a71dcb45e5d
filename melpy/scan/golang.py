"""Go programs that do their cryptography with OpenSSL: they load it by name, so nothing in their ELF tables says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.scan.view import View

_EXPERIMENTS = {"boringcrypto", "systemcrypto", "opensslcrypto"}
_OPENSSL = ("openssl-config-fipshardened", "so:libcrypto.so.3")


def scan_go(view: View) -> Iterator[Claim | Doubt]:
    """Scan Go programs for a build with system cryptography: dependencies on OpenSSL and its FIPS configuration."""
    for entry in view.files:
        facts = view.read_facts(view.tree, entry)
        if facts is None or isinstance(facts, Doubt) or view.is_foreign(facts):
            continue
        if _uses_openssl(facts.go_build_settings):
            yield from (depends(item, entry.path) for item in _OPENSSL)


def _uses_openssl(settings: Mapping[str, str]) -> bool:
    return settings.get("CGO_ENABLED") == "1" and (
        settings.get("GOEXPERIMENT") in _EXPERIMENTS or settings.get("microsoft_systemcrypto") == "1"
    )
