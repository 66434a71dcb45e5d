"""Sources by digest: cache, mirrors, upstream, all of them directories here."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from melpy.errors import DigestMismatchError, OutputError, UnreachableError
from melpy.events import Note, Tape, Warning  # noqa: A004  # the field's word
from melpy.plan.model import Source
from melpy.source.cache import cache_name, check_source, fetch_source, file_name, find_source, store_source
from melpy.source.place import SourcePlaces
from melpy.source.rewrite import parse_rewrite, sort_rewrites

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"the archive"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA512 = hashlib.sha512(CONTENT).hexdigest()


class Place:
    """An upstream, a mirror and a cache below one directory."""

    def __init__(self, root: Path) -> None:
        self.cache = root / "cache"
        self.mirror = root / "mirror"
        self.upstream = root / "upstream"
        for directory in (self.mirror, self.upstream):
            directory.mkdir()
        self.tape = Tape()

    def source(self, sha256: str = "", sha512: str = "") -> Source:
        sha256 = sha256 if sha256 or sha512 else SHA256
        return Source(f"file://{self.upstream}/hello%201.tar.gz", sha256, sha512)

    def offer(self, content: bytes = CONTENT) -> None:
        (self.upstream / "hello 1.tar.gz").write_bytes(content)

    def fetch(self, source: Source | None = None) -> Path:
        return fetch_source(source or self.source(), self.cache, self.places(), self.tape, "job")

    def places(self, *rewrites: str, mirrors: tuple[str, ...] | None = None, offline: bool = False) -> SourcePlaces:
        mirrors = (str(self.mirror),) if mirrors is None else mirrors
        return SourcePlaces(mirrors, sort_rewrites(map(parse_rewrite, rewrites)), (self.upstream,), offline)

    def fetched(self) -> list[str]:
        """Return where it was looked for, by the last component."""
        return [event.text.rpartition("/")[2] for event in self.tape.events if isinstance(event, Note)]

    def cached(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir()) if self.cache.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_from_upstream_into_the_cache(place: Place) -> None:
    place.offer()
    path = place.fetch()
    assert path == place.cache / f"sha256:{SHA256}"
    assert path.read_bytes() == CONTENT
    assert place.cached() == [f"sha256:{SHA256}"]


def test_the_cache_is_enough(place: Place) -> None:
    place.offer()
    place.fetch()
    (place.upstream / "hello 1.tar.gz").unlink()
    place.tape.events.clear()
    assert place.fetch().read_bytes() == CONTENT
    assert place.tape.events == []


def test_by_sha_512(place: Place) -> None:
    place.offer()
    assert place.fetch(place.source(sha512=SHA512)).name == f"sha512:{SHA512}"


def test_both_digests_must_fit(place: Place) -> None:
    place.offer()
    assert place.fetch(place.source(sha256=SHA256, sha512=SHA512)).name == f"sha256:{SHA256}"
    with pytest.raises(DigestMismatchError):
        place.fetch(place.source(sha256=SHA256, sha512="0" * 128))


def test_a_damaged_cache_entry_is_fetched_anew(place: Place) -> None:
    place.offer()
    place.cache.mkdir()
    (place.cache / f"sha256:{SHA256}").write_bytes(b"damaged")
    assert place.fetch().read_bytes() == CONTENT
    warnings = [event.text for event in place.tape.events if isinstance(event, Warning)]
    assert warnings == [f"the cached sha256:{SHA256} was damaged, and is fetched anew"]


@pytest.mark.parametrize("name", [f"sha256:{SHA256}", "hello%201.tar.gz"])
def test_a_mirror_comes_before_upstream(place: Place, name: str) -> None:
    place.offer(b"not looked at")
    (place.mirror / name.replace("%20", " ")).write_bytes(CONTENT)
    assert place.fetch().read_bytes() == CONTENT
    assert place.fetched()[-1] == name


def test_a_mirror_with_other_content_is_passed_over(place: Place) -> None:
    place.offer()
    (place.mirror / "hello 1.tar.gz").write_bytes(b"other")
    assert place.fetch().read_bytes() == CONTENT
    assert len(place.fetched()) == 3


def test_a_wrong_digest_leaves_nothing_behind(place: Place) -> None:
    place.offer(b"evil")
    with pytest.raises(DigestMismatchError) as caught:
        place.fetch()
    found = hashlib.sha256(b"evil").hexdigest()
    assert caught.value.message == f"has sha256 {found}, the recipe expects {SHA256}"
    assert str(caught.value.where).endswith("hello%201.tar.gz")
    assert caught.value.hint is not None
    assert "upstream changed the file" in caught.value.hint
    assert place.cached() == []


def test_what_nobody_has_names_every_place_tried(place: Place) -> None:
    with pytest.raises(UnreachableError) as caught:
        place.fetch()
    assert caught.value.message == "no such file or directory"
    assert caught.value.where == f"file://{place.upstream}/hello%201.tar.gz"
    assert caught.value.details == (
        f"file://{place.mirror}/sha256:{SHA256}: no such file or directory",
        f"file://{place.mirror}/hello%201.tar.gz: no such file or directory",
    )
    assert place.cached() == []


@pytest.mark.parametrize("uri", ["gopher://example.org/x", "x.tar.gz", "git+ssh://example.org/x"])
def test_other_schemes_are_refused(place: Place, uri: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        fetch_source(Source(uri, sha256=SHA256), place.cache, place.places(mirrors=()), place.tape)
    assert caught.value.hint == "use an http, https, ftp or file URI"


def test_a_cache_that_cannot_be_written(place: Place) -> None:
    place.offer()
    place.cache.write_text("a file")
    with pytest.raises(OutputError):
        place.fetch()


def test_sources_without_a_digest_are_not_mixed_up() -> None:
    one, two = (cache_name(Source(f"https://upstream.invalid/{name}")) for name in ("one", "two"))
    assert one != two
    assert one.startswith("unverified:")


@pytest.mark.parametrize("scheme", ["file", "FILE", " file", "fi\tle"])
def test_files_of_this_machine_need_a_digest(place: Place, scheme: str) -> None:
    (place.upstream / "secret").write_text("mine")
    with pytest.raises(UnreachableError, match="by digest only"):
        fetch_source(Source(f"{scheme}://{place.upstream}/secret"), place.cache, place.places(mirrors=()), place.tape)
    assert place.cached() == []


def test_a_rewrite_comes_after_mirrors_and_before_upstream(place: Place) -> None:
    (place.upstream / "x.gz").write_bytes(CONTENT)
    source = Source("https://upstream.invalid/dir/x.gz", sha256=SHA256)
    rewrite = f"https://upstream.invalid/dir/={place.upstream}"
    path = fetch_source(source, place.cache, place.places(rewrite, offline=True), place.tape)
    assert path == place.cache / f"sha256:{SHA256}"
    assert place.tape.events == []


def test_a_rewrite_with_other_content_is_passed_over(place: Place) -> None:
    place.offer()
    other = place.upstream.parent / "other"
    other.mkdir()
    (other / "hello 1.tar.gz").write_bytes(b"other")
    rewrite = f"file://{place.upstream}/={other}"
    assert (
        fetch_source(place.source(), place.cache, place.places(rewrite, mirrors=()), place.tape).read_bytes() == CONTENT
    )
    (place.upstream / "hello 1.tar.gz").unlink()
    (place.cache / f"sha256:{SHA256}").unlink()
    with pytest.raises(DigestMismatchError) as caught:
        fetch_source(place.source(), place.cache, place.places(rewrite, mirrors=()), place.tape)
    assert caught.value.where == f"file://{other}/hello%201.tar.gz"
    assert caught.value.details == (f"{place.source().uri}: no such file or directory",)


def test_what_nothing_is_verified_against_is_not_taken_from_this_machine(place: Place) -> None:
    (place.upstream / "x.gz").write_bytes(CONTENT)
    (place.mirror / "x.gz").write_bytes(CONTENT)
    places = place.places(f"https://upstream.invalid/={place.upstream}", offline=True)
    with pytest.raises(UnreachableError, match="melpy is offline") as caught:
        fetch_source(Source("https://upstream.invalid/x.gz"), place.cache, places, place.tape)
    refused = f"file://{place.upstream}/x.gz: a file of this machine is fetched by digest only"
    assert refused in caught.value.details
    assert place.cached() == []


def test_a_rewrite_gives_no_recipe_files_of_this_machine_without_a_digest(place: Place) -> None:
    place.offer()
    rewrite = f"file://{place.upstream}/={place.upstream}"
    with pytest.raises(UnreachableError, match="by digest only"):
        fetch_source(Source(f"file://{place.upstream}/x"), place.cache, place.places(rewrite, mirrors=()), place.tape)


def test_what_is_in_the_cache_is_checked_without_being_fetched(place: Place) -> None:
    assert find_source(place.source(), place.cache) is None
    place.offer()
    path = place.fetch()
    assert find_source(place.source(), place.cache) == path
    check_source(place.source(), path)
    path.write_bytes(b"damaged")
    with pytest.raises(DigestMismatchError, match="has sha256") as caught:
        check_source(place.source(), path)
    assert caught.value.where == str(path)


def test_storing_a_file(place: Place) -> None:
    place.offer()
    path = store_source(place.upstream / "hello 1.tar.gz", SHA256, place.cache)
    assert path.read_bytes() == CONTENT
    with pytest.raises(DigestMismatchError):
        store_source(place.upstream / "hello 1.tar.gz", "0" * 64, place.cache)
    assert place.cached() == [f"sha256:{SHA256}"]


def test_a_file_that_is_stored_is_found_by_the_digest_that_the_recipe_names(place: Place) -> None:
    place.offer()
    source = place.source(sha512=hashlib.sha512(CONTENT).hexdigest())
    path = store_source(place.upstream / "hello 1.tar.gz", source.sha512, place.cache, "sha512")
    assert find_source(source, place.cache) == path


def test_names() -> None:
    assert cache_name(Source("x", sha256="a", sha512="b")) == "sha256:a"
    assert cache_name(Source("x", sha512="b")) == "sha512:b"
    assert file_name("https://example.org/a/b-1.tar.gz") == "b-1.tar.gz"
    assert file_name("https://example.org/a/") == "a"
