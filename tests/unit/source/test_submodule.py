"""URLs of submodules."""

from __future__ import annotations

import pytest

from melpy.source.submodule import resolve_url


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("https://example.org/team/x.git", "https://other.org/y", "https://other.org/y"),
        ("https://example.org/team/x.git", "../y.git", "https://example.org/team/y.git"),
        ("https://example.org/team/x.git/", "../../other/y", "https://example.org/other/y"),
        ("https://example.org/team/x", "./y", "https://example.org/team/x/y"),
        ("git@example.org:team/x", "../y", "git@example.org:team/y"),
        ("git@example.org:x", "../y", "git@example.org:y"),
        ("/srv/git/x", "../y", "/srv/git/y"),
        ("https://example.org/x", "/srv/y", "/srv/y"),
        ("https://example.org/x", "-x", "-x"),
    ],
)
def test_relative_urls(base: str, url: str, expected: str) -> None:
    assert resolve_url(base, url) == expected
