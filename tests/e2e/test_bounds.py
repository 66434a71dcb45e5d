"""Input without bounds, as a user meets it: it ends with an error of melpy's own, soon, and is not held in memory."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import melpy.pace
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.errors import UnreachableError, UnresolvableError
from melpy.net import download
from melpy.rootfs.extraction import q1
from melpy.solve.resolver import solve
from melpy.solve.universe import make_universe
from tests.factories.clock import cpu_seconds
from tests.factories.project import ROOT, Project, shell_recipe
from tests.factories.repository import make_index
from tests.factories.server import Reply, running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.factories.repository import Repository

READ = """
import re, sys
from pathlib import Path
from melpy.apk.index import read_entries, read_index
from melpy.errors import PackageFormatError
try:
    read_entries(read_index(Path(sys.argv[1]).read_bytes(), keyring=None, where="x"))
except PackageFormatError as error:
    # Not what resource tells, which begins with the memory of the process that this one was forked from.
    print(re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1], error)
"""


@pytest.mark.parametrize(
    ("head", "piece", "size"),
    [
        (b"", b"a\n\n", 270 << 20),
        (b"", b"\n", 280 << 20),
        (b"T:", b"x", 280 << 20),
        (b"", b"P:\xf0\x9f\x90\xa7\n\n", 270 << 20),
        (b"C:Q1\nP:a\nV:1\nD:", b"a ", 280 << 20),
    ],
)
def test_a_small_index_that_unpacks_to_much_is_refused_and_not_held(
    tmp_path: Path, head: bytes, piece: bytes, size: int
) -> None:
    item = tarfile.TarInfo("APKINDEX")
    item.size = size
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = piece * ((1 << 20) // len(piece))
    with (tmp_path / "x").open("wb") as stream:
        stream.write(packer.compress(item.tobuf() + head))
        for _ in range(size // len(block)):
            stream.write(packer.compress(block))
        stream.write(packer.flush())
    start = cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "x")], capture_output=True, text=True, check=True, timeout=60
    )
    held, _, message = done.stdout.partition(" ")
    assert "far more than an honest one" in message
    assert int(held) < 300_000, f"{held} kB"
    assert cpu_seconds() - start < 10


@pytest.fixture
def project(tmp_path: Path, toy_repository: Repository) -> Project:
    return Project(tmp_path / "project", toy_repository)


def fetch(uri: str, more: str) -> str:
    return shell_recipe(tail=f"  - uses: fetch\n    with:\n      uri: {uri}\n      {more}\n      extract: false\n")


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that does with each connection what a test wants."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=attempt, args=(connection,), daemon=True).start()

        def attempt(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(4096)
                    serve(connection)
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(bytes(1 << 16))


def drop_by_drop(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def drop_by_drop_in_chunks(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def headers_drop_by_drop(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X")
        time.sleep(0.1)


def redirect_without_end(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def test_an_endless_source_is_given_up_at_the_limit(project: Project) -> None:
    with raw_server(endless) as uri:
        project.write("one.yaml", fetch(f"{uri}/x", "expected-none: yes"))
        result = project.melpy("build", "one.yaml", "--source-limit", "20MB")
    assert result.returncode == 40, result.stderr
    assert "is larger than the 20000000 bytes that it may have" in result.stderr
    assert "--source-limit" in result.stderr
    assert list((project.directory / "cache/sources").glob("*")) == []


@pytest.mark.parametrize("serve", [drop_by_drop, drop_by_drop_in_chunks, headers_drop_by_drop])
def test_a_server_that_sends_next_to_nothing(
    serve: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(melpy.pace, "WINDOW", 1.0)
    start = time.monotonic()
    with raw_server(serve) as uri, pytest.raises(UnreachableError, match="sends less than 1000 bytes a second"):
        download(f"{uri}/x", io.BytesIO(), timeout=1, retries=1)
    assert time.monotonic() - start < 20


def test_a_slow_server_that_goes_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(melpy.pace, "WINDOW", 0.5)

    def serve(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for _ in range(20):
            connection.sendall(bytes(20_000))
            time.sleep(0.1)

    stream = io.BytesIO()
    with raw_server(serve) as uri:
        download(f"{uri}/x", stream)
    assert len(stream.getvalue()) == 400_000


def test_a_redirect_leads_to_no_file_and_is_not_read_to_its_end() -> None:
    start = time.monotonic()
    with raw_server(redirect_without_end) as uri, pytest.raises(UnreachableError, match="redirects to 'file:"):
        download(f"{uri}/x", io.BytesIO(), retries=0)
    assert time.monotonic() - start < 5


def test_credentials_are_not_sent_to_whom_a_redirect_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_AUTH", "basic:*:user:secret")
    with running_server(lambda _: Reply(200, {}, b"there")) as other:
        with running_server(lambda _: Reply(302, {"Location": f"{other.uri}/y"})) as server:
            download(f"{server.uri}/x", io.BytesIO())
        assert "authorization" in server.requests[0].headers
        assert "authorization" not in other.requests[0].headers


NAMES = (
    "..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fsecret",
    "..%2fsecret",
    "..",
    "%2fetc%2fpasswd",
    "link",
    "up%2fsecret",
    "fifo",
    "zero",
    "%00",
    "x" * 300,
)


@pytest.mark.parametrize("digest", ["expected-none: yes", "expected-sha256: " + "0" * 64])
def test_no_name_of_a_recipe_leads_out_of_a_mirror(project: Project, digest: str) -> None:
    mirror = project.directory / "mirror"
    mirror.mkdir()
    (project.directory / "secret").write_text("secret of the host")
    (mirror / "link").symlink_to("../secret")
    (mirror / "up").symlink_to("..")
    (mirror / "zero").symlink_to("/dev/zero")
    os.mkfifo(mirror / "fifo")
    for number, name in enumerate(NAMES):
        text = fetch(f"http://127.0.0.1:9/{name}", digest)
        project.write(f"all/r{number}.yaml", text.replace("name: one", f"name: r{number}"))
    rewrite = f"http://127.0.0.1:9/={mirror}"
    for flags in (["--mirror", "mirror"], ["--mirror", mirror.as_uri()], ["--rewrite", rewrite]):
        result = project.melpy("source", "fetch", "all", "--offline", *flags)
        assert result.returncode == 40, result.stderr
        assert f"{len(NAMES)} recipes: 0 in the cache, {len(NAMES)} not" in result.stderr
        for word in ("Traceback", "has sha256", "secret of the host", "root:x"):
            assert word not in result.stderr
        assert list((project.directory / "cache/sources").glob("*")) == []


@pytest.mark.parametrize("uri", ["file://{}/secret", "file://localhost{}/secret", "FILE://{}/secret"])
def test_files_and_repositories_of_this_machine_are_reached_where_the_user_says(project: Project, uri: str) -> None:
    host = project.directory / "host"
    host.mkdir()
    (host / "secret").write_text("x")
    step = fetch(uri.format(host), "expected-sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
    git = f"repository: {host}\n      expected-commit: {'0' * 40}"
    project.write("one.yaml", step)
    project.write("three.yaml", shell_recipe("three", tail=f"  - uses: git-checkout\n    with:\n      {git}\n"))
    project.environment["MELPY_LOCAL_SOURCES"] = str(project.directory / "elsewhere")
    for recipe in ("one.yaml", "three.yaml"):
        refused = project.melpy("source", "fetch", recipe)
        assert refused.returncode == 40, refused.stderr
        assert "is on this machine, where recipes may not reach\n" in refused.stderr
        assert "hint: allow its directory with local-sources in melpy.toml or --local-source\n" in refused.stderr
    taken = project.melpy("source", "fetch", "one.yaml", "--local-source", str(host))
    assert taken.returncode == 0, taken.stderr


def test_a_value_that_no_program_can_be_given_is_the_scripts(project: Project) -> None:
    long = "x" * 200_000
    script = (
        'mkdir -p "${{targets.destdir}}/usr"\n'
        'printf %s "$LONG" | wc -c > "${{targets.destdir}}/usr/long"\n'
        'printf %s "$QUOTED" > "${{targets.destdir}}/usr/quoted"\n'
        'env | grep -c ^SHORT= > "${{targets.destdir}}/usr/short"\n'
    )
    recipe = shell_recipe(runs=script).replace(
        "environment:\n",
        "environment:\n  environment:\n"
        f'    LONG: {long}\n    SHORT: s\n    QUOTED: "it\'s $HOME `x` {long}"\n'
        + "".join(f"    MANY{number}: ${{{{vars.many}}}}\n" for number in range(12)),
    )
    project.write("one.yaml", f"{recipe}vars:\n  many: {'y' * 100_000}\n")
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 0, result.stderr
    (package,) = project.packages().values()
    with tarfile.open(fileobj=io.BytesIO(package), ignore_zeros=True) as tar:
        found = {item.name: tar.extractfile(item).read() for item in tar if item.isreg()}  # type: ignore[union-attr]
    assert found["usr/long"].strip() == b"200000"
    assert found["usr/quoted"] == f"it's $HOME `x` {long}".encode()
    assert found["usr/short"].strip() == b"1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  environment:\n    A: ${{vars.nul}}\n", "becomes a text with a NUL"),
        (f'  environment:\n    "a-b": {"x" * 20_000}\n', "is no name of a shell variable"),
    ],
)
def test_variables_that_there_cannot_be(project: Project, text: str, message: str) -> None:
    head = "vars:\n  nul: ${{'\\x00'}}\n"
    recipe = (
        shell_recipe()
        .replace("environment:\n", f"environment:\n{text}", 1)
        .replace("environment:", f"{head}environment:", 1)
    )
    project.write("one.yaml", recipe)
    result = project.melpy("build", "one.yaml")
    assert "Traceback" not in result.stderr
    assert result.returncode in {11, 16}, result.stderr
    assert message in result.stderr


@pytest.mark.parametrize("epoch", ["9" * 5000, "99999999999999", "-1", "1e3", "nan"])
def test_times_that_there_are_not(project: Project, epoch: str) -> None:
    project.write("one.yaml", shell_recipe())
    project.environment["SOURCE_DATE_EPOCH"] = epoch
    result = project.melpy("build", "one.yaml")
    assert (result.returncode, "Traceback" in result.stderr) == (20, False), result.stderr
    assert "error: SOURCE_DATE_EPOCH: not a number of seconds: " in result.stderr
    assert len(result.stderr) < 1000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('out-dir = "~nobody-at-all/out"', "there is no user 'nobody-at-all'"),
        (f"unpack-limit = {'9' * 5000}", "is not TOML"),
        (f"unpack-limit = {'[' * 5000}", "is not TOML"),
        ('out-dir = "a\\u0000b"', "holds a NUL"),
        ('source-limit = "much"', "source-limit: not a size: 'much'"),
    ],
)
def test_settings_that_cannot_be(project: Project, line: str, message: str) -> None:
    text = (project.directory / "melpy.toml").read_text()
    key = line.partition(" ")[0]
    kept = "\n".join(row for row in text.splitlines() if not row.startswith(key))
    (project.directory / "melpy.toml").write_text(f"{line}\n{kept}\n")
    project.write("one.yaml", shell_recipe())
    result = project.melpy("build", "one.yaml")
    assert (result.returncode, "Traceback" in result.stderr) == (20, False), result.stderr
    assert message in result.stderr


def test_an_interrupt_of_imports_ends_with_130(project: Project) -> None:
    """However early: from the time that Python has started on, which takes some 20 ms here."""
    project.write("one.yaml", shell_recipe())
    statuses = set()
    command = [sys.executable, "-c", "from melpy.__main__ import main\nprint(flush=True)\nmain()", "plan", "one.yaml"]
    environment = {**project.full_environment(), "PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    subprocess.run(command, cwd=project.directory, env=environment, check=True, capture_output=True)
    whole = time.monotonic() - start
    for number in range(1, 25):  # the first pause lets the line that it waits for be printed to its end
        process = subprocess.Popen(
            command,
            cwd=project.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        process.stdout.readline()
        time.sleep(number / 20 * whole)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
        assert process.returncode in {0, 130}, (process.returncode, errors)
        statuses.add(process.returncode)
    assert 130 in statuses


def test_a_recipe_of_open_references_is_refused_soon(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="${{" * 30_000))
    start = cpu_seconds()
    result = project.melpy("plan", "one.yaml")
    assert result.returncode == 16, result.stderr
    assert cpu_seconds() - start < 5


@pytest.mark.parametrize("body", ["vars" + "['a']" * 300 + " ~ 'x'", "1" + "+1" * 900, "not " * 400 + "1"])
def test_an_expression_that_nests_is_refused_soon(project: Project, body: str) -> None:
    project.write("one.yaml", shell_recipe(runs=f"echo ${{{{{body}}}}}"))
    start = cpu_seconds()
    result = project.melpy("plan", "one.yaml")
    assert result.returncode == 16, result.stderr
    assert "nests too deep" in result.stderr
    assert cpu_seconds() - start < 5


def test_a_repository_of_this_machine_is_the_users_to_name(project: Project) -> None:
    text = (project.directory / "melpy.toml").read_text()
    kept = "\n".join(row for row in text.splitlines() if not row.startswith(("local-sources", "repositories")))
    (project.directory / "melpy.toml").write_text(f"{kept}\n")
    place = project.repository.root
    head = f"    repositories: [{place}]\n    packages:\n"
    project.write("one.yaml", shell_recipe().replace("    packages:\n", head))
    result = project.melpy("build", "one.yaml")
    assert result.returncode != 0
    assert f"error: {place}: is on this machine, where recipes may not reach\n" in result.stderr
    for allowed in (["-r", str(place)], ["--local-source", str(place.parent)]):
        result = project.melpy("build", "one.yaml", *allowed)
        assert result.returncode == 0, result.stderr


def test_git_around_a_recipe_ends_and_runs_nothing(project: Project, tmp_path: Path) -> None:
    """The recipes' own repository may name endless files and pipes."""
    recipe = project.write("one.yaml", shell_recipe())
    identity = ["-c", "user.name=x", "-c", "user.email=x@y"]
    for words in (["init", "-q"], ["add", "one.yaml"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=project.directory, check=True)
    config = project.directory / ".git/config"
    good = config.read_text()
    ran = tmp_path / "ran"
    for bad in (
        "[mailmap]\n\tfile = /dev/zero\n",
        f'[protocol "ext"]\n\tallow = always\n[core]\n\tfsmonitor = touch {ran}\n\tpager = touch {ran}\n',
    ):
        config.write_text(good + bad)
        start = cpu_seconds()
        result = project.melpy("build", str(recipe))
        assert (result.returncode, "git repository" in result.stderr) == (0, False), result.stderr
        assert cpu_seconds() - start < 20
    assert not ran.exists()


def test_a_contrived_index_takes_no_more_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine packages want eight places each alone: to find that there is no way takes ages."""
    monkeypatch.setattr("melpy.solve.search.Budget.__init__.__defaults__", (0.5,))
    infos = [
        PackageInfo(f"p{number}", f"{place}-r0", "x86_64", provides=(f"hole{place}={number}",))
        for number in range(9)
        for place in range(8)
    ]
    entries = [IndexEntry(info, q1(hashlib.sha1(info.full_name.encode()).digest()), 1) for info in infos]
    universe = make_universe([("x", "", make_index(entries))], "x86_64")
    start = time.process_time()
    with pytest.raises(UnresolvableError, match="the search for packages takes too long"):
        solve([f"p{number}" for number in range(9)], universe)
    assert time.process_time() - start < 5
