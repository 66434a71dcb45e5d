"""What apt says of lists that it cannot fetch, as melpy tells it."""

from __future__ import annotations

import pytest

from melpy.bootstrap.apt import explain_lists
from melpy.errors import SeedError, UnreachableError
from melpy.run import Outcome

SAID: dict[str, tuple[type[Exception], str]] = {
    "E: Release file for http://deb.debian.org/debian/dists/unstable/InRelease is expired (invalid since 23d 23h). "
    "Updates for this repository will not be applied.": (SeedError, "Check-Valid-Until"),
    "E: The repository 'http://deb.debian.org/debian nope Release' does not have a Release file.": (
        SeedError,
        "--seed-mirror",
    ),
    "W: GPG error: http://deb.debian.org/debian trixie InRelease: NO_PUBKEY 0E98404D386FA1D9": (
        SeedError,
        "debian-archive-keyring",
    ),
    "W: Failed to fetch http://deb.debian.org/debian/dists/trixie/InRelease  Could not connect": (
        UnreachableError,
        "check the network",
    ),
}


@pytest.mark.parametrize("text", SAID)
def test_lists_that_cannot_be_fetched(text: str) -> None:
    kind, hint = SAID[text]
    error = explain_lists("trixie", Outcome(100, stderr=text))
    assert type(error) is kind
    assert hint in (error.hint or "")
