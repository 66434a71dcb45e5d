"""Rewrites: which places stand for a URL, and which URLs they do not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.errors import SettingsError
from melpy.source.rewrite import find_files, find_repositories, parse_rewrite, sort_rewrites

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("rewrite", "uri", "expected"),
    [
        ("https://a.org/gnu/=https://b.org/m/", "https://a.org/gnu/x/y.tar.gz", ["https://b.org/m/x/y.tar.gz"]),
        ("https://a.org/gnu=https://b.org/m", "https://a.org/gnu/x.tar.gz", ["https://b.org/m/x.tar.gz"]),
        ("https://a.org/gnu=/srv", "https://a.org/gnu/x.tar.gz", ["file:///srv/x.tar.gz"]),
        ("https://a.org/=file:///srv/a%20b", "https://a.org/x%2By.gz", ["file:///srv/a%20b/x%2By.gz"]),
        ("HTTPS://A.org=/srv", "https://a.ORG/X", ["file:///srv/X"]),
        ("https://a.org/x.gz=/srv/y.gz", "https://a.org/x.gz", ["file:///srv/y.gz"]),
        ("https://a.org/=/srv", "https://a.org/x.gz?v=1", ["file:///srv/x.gz%3Fv%3D1", "file:///srv/x.gz"]),
        ("https://a.org/=http://b.org", "https://a.org/x.gz?v=1#top", ["http://b.org/x.gz?v=1"]),
        ("https://=/srv", "https://a.org/x", ["file:///srv/a.org/x"]),
        # What is no part of the path, or leads out of the place.
        ("https://a.org/gnu=/srv", "https://a.org/gnus/x", []),
        ("https://a.org=/srv", "https://a.org.example/x", []),
        ("https://a.org=/srv", "http://a.org/x", []),
        ("https://a.org/=/srv", "https://a.org/../etc/passwd", []),
        ("https://a.org/=/srv", "https://a.org/x/%2e%2E/%2e%2e/etc", []),
        ("https://a.org/=/srv", "https://a.org/x%2f..%2f..%2fetc", []),
        ("https://a.org/=/srv", "https://a.org/x%00", []),
        ("https://a.org/=https://b.org/", "https://a.org/../x", []),
        # A server of git repositories has no files.
        ("https://a.org/=ssh://git@b.org/", "https://a.org/x", []),
        ("https://a.org/=git@b.org:", "https://a.org/x", []),
    ],
)
def test_files(rewrite: str, uri: str, expected: list[str]) -> None:
    assert [found.uri for found in find_files(uri, [parse_rewrite(rewrite)])] == expected


def test_the_longest_prefix_first_then_the_order_of_the_settings() -> None:
    texts = ["https://a.org/=/one", "https://a.org/gnu/=/two", "https://a.org=/three", "https://a.org/gnu/hello=/four"]
    found = tuple(
        place.uri for place in find_files("https://a.org/gnu/hello/x", sort_rewrites(map(parse_rewrite, texts)))
    )
    assert found == ("file:///four/x", "file:///two/hello/x", "file:///one/gnu/hello/x", "file:///three/gnu/hello/x")


@pytest.mark.parametrize(
    ("there", "url", "expected"),
    [
        (["foo/bar"], "https://a.org/foo/bar", ["foo/bar"]),
        (["foo/bar"], "https://a.org/foo/bar.git", ["foo/bar"]),
        (["foo/bar.git"], "https://a.org/foo/bar", ["foo/bar.git"]),
        (["foo/bar.git"], "https://a.org/foo/bar.git/", ["foo/bar.git"]),
        (["foo/bar", "foo/bar.git"], "https://a.org/foo/bar", ["foo/bar", "foo/bar.git"]),
        (["foo/bar", "foo/bar.git"], "https://a.org/foo/bar.git", ["foo/bar.git", "foo/bar"]),
        (["foo"], "https://a.org/foo/bar", []),
        (["foo"], "https://a.org/foo/../foo", []),
    ],
)
def test_repositories_of_a_directory(tmp_path: Path, there: list[str], url: str, expected: list[str]) -> None:
    for name in there:
        (tmp_path / name).mkdir(parents=True)
    found = find_repositories(url, [parse_rewrite(f"https://a.org/={tmp_path}")])
    assert list(found) == [(tmp_path / name).as_uri() for name in expected]


@pytest.mark.parametrize(
    ("rewrite", "url", "expected"),
    [
        ("https://a.org/=https://b.org/m/", "https://a.org/foo/bar.git", ["https://b.org/m/foo/bar.git"]),
        ("https://a.org/=git@b.org:", "https://a.org/foo", ["git@b.org:/foo"]),
        ("git@a.org:=https://b.org/", "git@a.org:foo/bar", ["https://b.org/foo/bar"]),
        ("https://a.org/foo/bar=ssh://b.org/x.git", "https://a.org/foo/bar.git", ["ssh://b.org/x.git"]),
    ],
)
def test_repositories_of_servers(rewrite: str, url: str, expected: list[str]) -> None:
    assert list(find_repositories(url, [parse_rewrite(rewrite)])) == expected


@pytest.mark.parametrize("text", ["", "x", "/srv=/other", "https://a.org/", "https://a.org/=", "=/srv", "a.org=/srv"])
def test_what_is_no_rewrite(text: str) -> None:
    with pytest.raises(SettingsError, match=r"URL|names no place") as caught:
        parse_rewrite(text)
    assert caught.value.hint == "a rewrite is PREFIX=PLACE, such as https://github.com/=/srv/git/"
