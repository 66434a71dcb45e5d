"""Repositories on servers: what is asked, what is kept, what is refused. The server is a real one, on the loopback."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest

from melpy.apk.index import write_index
from melpy.apk.signature import load_keyring, load_signer, write_key_pair
from melpy.credential import Login
from melpy.errors import KeyFileError, MelpyError, PackageFormatError, RepositoryError, SettingsError, UnreachableError
from melpy.net import _pool, download
from melpy.repo.http_cache import fetch_cached
from melpy.repo.remote import ServerCache, fetch_package, load_keys, load_repository
from tests.factories.adb import AdbBlock, adb_file
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import Repository, add_busybox, make_repository
from tests.factories.server import Reply, Request, Server, make_certificate, running_server, serve_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_AUTH", "MELPY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = make_repository(tmp_path)
    found.add("a")
    return found


@pytest.fixture
def server(repository: Repository) -> Iterator[Server]:
    with running_server(serve_directory(repository.root)) as found:
        yield found


def get(uri: str, **options: object) -> bytes:
    stream = io.BytesIO()
    download(uri, stream, **options)  # type: ignore[arg-type]  # a test's own options
    return stream.getvalue()


def answering(*replies: Reply) -> Callable[[Request], Reply]:
    """Answer with one reply after the other, and with the last one from then on."""
    waiting = list(replies)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def test_an_index_is_sent_once(server: Server, repository: Repository, tmp_path: Path) -> None:
    cache = ServerCache(tmp_path / "cache")
    keyring = load_keyring([repository.public_key])
    first, _ = load_repository(server.uri, "x86_64", cache, keyring=keyring)
    again, _ = load_repository(server.uri, "x86_64", cache, keyring=keyring)
    assert (len(first.stanzas), again.stanzas) == (1, first.stanzas)
    assert "if-none-match" not in server.requests[0].headers
    assert server.requests[0].headers["user-agent"].startswith("melpy/")
    assert server.requests[1].headers["if-none-match"]
    repository.add("b")
    assert len(load_repository(server.uri, "x86_64", cache, keyring=keyring)[0].stanzas) == 2
    assert len({request.connection for request in server.requests}) == 1


def test_last_modified_will_do(tmp_path: Path) -> None:
    when = "Thu, 01 Jan 2026 00:00:00 GMT"

    def answer(request: Request) -> Reply:
        known = request.headers.get("if-modified-since") == when
        return Reply(304) if known else Reply(200, {"Last-Modified": when}, b"content")

    with running_server(answer) as server:
        assert [fetch_cached(f"{server.uri}/x", tmp_path) for _ in range(2)] == [b"content"] * 2
    assert [request.headers.get("if-modified-since") for request in server.requests] == [None, when]


def test_offline_what_was_kept_is_taken(server: Server, repository: Repository, tmp_path: Path) -> None:
    keyring = load_keyring([repository.public_key])
    offline = ServerCache(tmp_path / "cache", offline=True)
    with pytest.raises(RepositoryError, match="is not in the cache, and melpy is offline"):
        load_repository(server.uri, "x86_64", offline, keyring=keyring)
    load_repository(server.uri, "x86_64", ServerCache(tmp_path / "cache"), keyring=keyring)
    asked = len(server.requests)
    assert load_repository(server.uri, "x86_64", offline, keyring=keyring)[0].stanzas
    assert len(server.requests) == asked


def test_what_was_kept_and_is_damaged_is_fetched_anew(server: Server, repository: Repository, tmp_path: Path) -> None:
    cache = ServerCache(tmp_path / "cache")
    keyring = load_keyring([repository.public_key])
    load_repository(server.uri, "x86_64", cache, keyring=keyring)
    (kept,) = cache.indexes.iterdir()
    data = kept.read_bytes()
    kept.write_bytes(data[:-40] + bytes(40))
    assert load_repository(server.uri, "x86_64", cache, keyring=keyring)[0].stanzas
    assert kept.read_bytes() == data


def test_an_index_that_somebody_else_signed_is_refused(server: Server, repository: Repository, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "evil.rsa", 2048)
    index = repository.root / "x86_64/APKINDEX.tar.gz"
    index.write_bytes(write_index([], signer=load_signer(tmp_path / "evil.rsa")))
    keyring = load_keyring([repository.public_key])
    for data in (index.read_bytes(), write_index([]), b"<html>not found</html>"):
        index.write_bytes(data)
        with pytest.raises(MelpyError, match=r"is not trusted|is not signed|is not gzip"):
            load_repository(server.uri, "x86_64", ServerCache(tmp_path / "cache"), keyring=keyring)


def test_a_package_is_checked_before_it_is_kept(server: Server, repository: Repository, tmp_path: Path) -> None:
    cache = ServerCache(tmp_path / "cache")
    entry = repository.add("b")
    location = f"{server.uri}/x86_64/b-1-r0.apk"
    path = repository.root / "x86_64/b-1-r0.apk"
    good = path.read_bytes()
    for bad, message in (
        ((repository.root / "x86_64/a-1-r0.apk").read_bytes(), "is not the package that the index names|larger"),
        (good[:-3], "is cut short"),
        (good[:40], "ends in the middle"),
        (good + b"more", f"is larger than the {len(good)} bytes that it may have"),
    ):
        path.write_bytes(bad)
        with pytest.raises((PackageFormatError, UnreachableError), match=message):
            fetch_package(location, entry.checksum, entry.size, cache)
        assert not list(cache.packages.glob("*"))
    path.write_bytes(good)
    kept = fetch_package(location, entry.checksum, entry.size, cache)
    assert kept.read_bytes() == good
    asked = len(server.requests)
    assert fetch_package(location, entry.checksum, entry.size, cache) == kept
    assert len(server.requests) == asked
    kept.write_bytes(b"damaged")
    assert fetch_package(location, entry.checksum, entry.size, cache).read_bytes() == good


def test_a_server_that_is_busy_is_asked_again() -> None:
    replies = (Reply(503, {"Retry-After": "0"}), Reply(429, {"Retry-After": "0"}), Reply(200, {}, b"there"))
    with running_server(answering(*replies)) as server:
        assert get(f"{server.uri}/x") == b"there"
        assert len(server.requests) == 3


def test_a_server_that_stays_away_is_told() -> None:
    with running_server(answering(Reply(500, {"Retry-After": "0"}))) as server:
        with pytest.raises(UnreachableError, match="the server answers 500"):
            get(f"{server.uri}/x", retries=2)
        assert len(server.requests) == 3
    with pytest.raises(UnreachableError, match="the connection is refused"):
        get(f"{server.uri}/x", retries=0)


def test_what_ends_too_early_is_asked_for_again() -> None:
    with running_server(answering(Reply(200, {}, b"ha", claimed=4), Reply(200, {}, b"half"))) as server:
        assert get(f"{server.uri}/x") == b"half"
    early = "the connection ends before all has come"
    cut = answering(Reply(200, {}, b"ha", claimed=4))
    with running_server(cut) as server, pytest.raises(UnreachableError, match=early):
        get(f"{server.uri}/x", retries=0)


def test_what_is_not_there_is_not_asked_for_again() -> None:
    with running_server(answering(Reply(404))) as server:
        with pytest.raises(UnreachableError, match="the server answers 404"):
            get(f"{server.uri}/x")
        assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [Reply(200, {}, bytes(101)), Reply(200, {}, b"x", claimed=1 << 40)])
def test_not_more_is_taken_than_there_may_be(reply: Reply) -> None:
    with running_server(answering(reply)) as server, pytest.raises(UnreachableError, match="larger than the 100 bytes"):
        get(f"{server.uri}/x", limit=100)


def test_credentials_go_to_their_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(answering(Reply(200, {}, b"there"))) as other:
        replies = (Reply(302, {"Location": f"{other.uri.replace('127.0.0.1', 'localhost')}/y"}),)
        with running_server(answering(*replies)) as server:
            monkeypatch.setenv("HTTP_AUTH", "basic:127.0.0.1:me:pass:word")
            assert get(f"{server.uri}/x") == b"there"
            # base64 of me:pass:word
            assert server.requests[0].headers["authorization"] == "Basic bWU6cGFzczp3b3Jk"
            assert "authorization" not in other.requests[0].headers
            monkeypatch.setenv("HTTP_AUTH", "basic:example.org:me:word")
            get(f"{server.uri}/x")
            assert "authorization" not in server.requests[1].headers
            monkeypatch.setenv("HTTP_AUTH", "bearer:x")
            with pytest.raises(SettingsError, match="HTTP_AUTH: is malformed"):
                get(f"{server.uri}/x")


def test_credentials_are_asked_for_and_not_printed() -> None:
    with running_server(answering(Reply(401))) as server:
        with pytest.raises(UnreachableError) as caught:
            get(f"{server.uri}/x")
        form = "HTTP_AUTH is basic:HOST:USER:PASSWORD, with * for every host"
        assert caught.value.hint == f"{form}; or write the host into ~/.netrc"
        with pytest.raises(UnreachableError, match="has credentials in it") as caught:
            get(server.uri.replace("//", "//me:secret@"))
        assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_netrc_is_for_the_hosts_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    monkeypatch.delenv("HTTP_AUTH", raising=False)
    monkeypatch.setenv("NETRC", str(netrc))
    with running_server(answering(Reply(200, {}, b"there"))) as server:
        netrc.write_text("machine example.org login me password word\ndefault login any password word\n")
        get(f"{server.uri}/x")
        netrc.write_text("machine 127.0.0.1 login me password pass:word\n")
        get(f"{server.uri}/x")
        monkeypatch.setenv("HTTP_AUTH", "basic:127.0.0.1:you:word")
        get(f"{server.uri}/x")
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [None, Login("me", "pass:word").header, Login("you", "word").header]


@pytest.mark.parametrize(
    ("text", "said"), [("machine", "which is not understood"), ("\xff", "which is not understood")]
)
def test_a_netrc_that_is_not_understood_is_told_to_whoever_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "netrc").write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with running_server(answering(Reply(200, {}, b"there"), Reply(401))) as server:
        assert get(f"{server.uri}/x") == b"there"
        with pytest.raises(UnreachableError) as caught:
            get(f"{server.uri}/x")
    assert said in str(caught.value.hint)


def test_a_host_that_nobody_knows_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnreachableError, match="its host is unknown"):
        get("http://host.invalid/x")
    assert pauses == []


def test_a_proxy_is_asked_for_what_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(answering(Reply(200, {}, b"by proxy"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.uri.replace("//", "//me:word@"))
        monkeypatch.setenv("no_proxy", "inner.example")
        assert get("http://outer.example/x") == b"by proxy"
        assert proxy.requests[0].path == "http://outer.example/x"
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
        with pytest.raises(UnreachableError):
            get("http://sub.inner.example/x", retries=0)
        assert len(proxy.requests) == 1


def test_redirects_have_an_end() -> None:
    with running_server(answering(Reply(302, {"Location": "/x"}))) as server:
        with pytest.raises(UnreachableError, match="redirects too often"):
            get(f"{server.uri}/x")
        assert len(server.requests) == 11


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(302, {"Location": "http://[bad/"}), "what it answers is not understood"),
        (Reply(200, {"X": "y"}, b"x" * 200), "larger than the 100 bytes"),
        (Reply(410), "the server answers 410"),
    ],
)
def test_odd_answers_are_errors_of_melpys_own(reply: Reply, message: str) -> None:
    with running_server(answering(reply)) as server, pytest.raises(UnreachableError, match=message):
        get(f"{server.uri}/x", retries=0, limit=100)


def test_odd_settings_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(answering(Reply(200, {}, b"there"))) as server:
        monkeypatch.setenv("HTTP_AUTH", "basic:*:mé:wörd→")
        assert get(f"{server.uri}/x") == b"there"
        monkeypatch.setenv("http_proxy", server.uri.removeprefix("http://"))
        assert get("http://outer.example/x") == b"there"
    for proxy in ("http://[bad", "nonsense://x:1"):
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(SettingsError, match="is not the URL of a proxy"):
            get("http://outer.example/x")
    with (
        pytest.raises(UnreachableError, match="it does not speak TLS"),
        running_server(answering(Reply(200))) as server,
    ):
        get(server.uri.replace("http:", "https:"), retries=0)


def test_an_index_of_apk_tools_3_is_found_on_a_server_and_offline(tmp_path: Path) -> None:
    block = AdbBlock()
    empty = adb_file(block.finished(block.fields([block.text("none")])))
    (tmp_path / "repo/x86_64").mkdir(parents=True)
    (tmp_path / "repo/x86_64/Packages.adb").write_bytes(empty)
    with running_server(serve_directory(tmp_path / "repo")) as server:
        for offline in (False, True):
            found, _ = load_repository(server.uri, "x86_64", ServerCache(tmp_path / "cache", offline), keyring=None)
            assert found.description == "none"
        with pytest.raises(RepositoryError, match="the server answers 404") as caught:
            load_repository(server.uri, "aarch64", ServerCache(tmp_path / "cache"), keyring=None)
        assert caught.value.hint == "name the directory above the architectures' directories"


def test_a_kept_package_or_key_that_was_damaged_is_fetched_anew(
    server: Server, repository: Repository, tmp_path: Path
) -> None:
    cache = ServerCache(tmp_path / "cache")
    entry = repository.add("b")
    location = f"{server.uri}/x86_64/b-1-r0.apk"
    kept = fetch_package(location, entry.checksum, entry.size, cache)
    good = kept.read_bytes()
    kept.write_bytes(good[:-5])
    assert fetch_package(location, entry.checksum, entry.size, cache).read_bytes() == good
    with running_server(serve_directory(repository.public_key.parent)) as keys:
        place = f"{keys.uri}/{repository.public_key.name}"
        load_keys([place], cache)
        (whole,) = [path for path in cache.keys.iterdir() if path.is_file()]
        whole.write_bytes(whole.read_bytes()[:-60])
        assert load_keys([place], cache).names


def test_keys_come_over_connections_that_nobody_changes(repository: Repository, tmp_path: Path) -> None:
    with running_server(serve_directory(repository.public_key.parent)) as server:
        place = f"{server.uri}/{repository.public_key.name}"
        assert load_keys([place], ServerCache(tmp_path / "cache")).names == (repository.public_key.name,)
        assert load_keys([place], ServerCache(tmp_path / "cache", offline=True)).names
    with pytest.raises(KeyFileError, match="a key that comes over http may be anybody's"):
        load_keys(["http://example.org/x.rsa.pub"], ServerCache(tmp_path / "cache"))


def test_a_key_does_not_come_by_a_redirect_that_leaves_https(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    key = Reply(200, {}, repository.public_key.read_bytes())
    _pool.cache_clear()  # connections trust what was trusted when they were made
    with running_server(answering(key)) as plain, running_server(answering(key), tls) as safe:
        assert load_keys([f"{safe.uri}/a.rsa.pub"], ServerCache(tmp_path / "cache")).names == ("a.rsa.pub",)
        for place in (plain.uri, plain.uri.replace("http:", "HTTP:"), plain.uri.replace("http:", "")):
            safe.answer = answering(Reply(302, {"Location": f"{place}/b.rsa.pub"}))
            refused = "redirects from https to http" if "http" in place.lower() else "."
            with pytest.raises(UnreachableError, match=refused):
                load_keys([f"{safe.uri}/b.rsa.pub"], ServerCache(tmp_path / "cache"))
        safe.answer = answering(Reply(302, {"Location": "/d.rsa.pub"}), key)
        assert load_keys([f"{safe.uri}/c.rsa.pub"], ServerCache(tmp_path / "cache")).names == ("c.rsa.pub",)


def test_a_recipe_is_built_from_a_server_and_then_without_it(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    project = Project(tmp_path / "project", repository)
    project.write("one.yaml", shell_recipe())
    settings = (project.directory / "melpy.toml").read_text()
    with running_server(serve_directory(repository.root)) as server:
        project.write("melpy.toml", settings.replace(str(repository.root), server.uri))
        run = project.melpy("build", "one.yaml", "--offline")
        assert run.returncode != 0
        assert "is not in the cache, and melpy is offline" in run.stderr
        assert not server.requests
        run = project.melpy("build", "one.yaml")
        assert run.returncode == 0, run.stderr
        assert [path.rpartition("/")[2] for path in server.paths] == ["APKINDEX.tar.gz", "busybox-1-r0.apk"]
    run = project.melpy("build", "one.yaml", "--offline")
    assert run.returncode == 0, run.stderr
    run = project.melpy("solve", "busybox", "--offline")
    assert run.stdout == "busybox-1-r0\n"
    run = project.melpy("build", "one.yaml")
    assert "the connection is refused" in run.stderr
