"""Errors of the network are tried again with pauses, a bounded number of times; what is wrong for good is not."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from melpy.net import _read_pause
from tests.factories.project import Project, file_recipe, shell_recipe
from tests.factories.repository import BUSYBOX, add_busybox, make_repository
from tests.factories.server import Reply, Request, running_server, serve_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"what upstream has\n"


def recipe(uri: str, name: str = "one", limit: int = 3, content: bytes = CONTENT) -> str:
    """Return a recipe that fetches a file, with so many attempts at once."""
    step = (
        f"  - uses: fetch\n    with:\n      uri: {uri}\n      extract: false\n      retry-limit: {limit}\n"
        f"      expected-sha256: {hashlib.sha256(content).hexdigest()}\n"
    )
    return shell_recipe(name, runs="mkdir -p ${{targets.destdir}}/x", tail=step)


def failing(times: int, reply: Reply, answer: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    """Answer so many times with a failure, then as another does."""
    left = [times]

    def choose(request: Request) -> Reply:
        left[0] -= 1
        return reply if left[0] >= 0 else answer(request)

    return choose


def there(_request: Request) -> Reply:
    return Reply(200, {}, CONTENT)


FAILURES = {
    "an error": (Reply(503), "the server answers 503; trying again in 0.5 s"),
    "a busy server": (Reply(429, {"Retry-After": "1"}), "the server answers 429; trying again in 1 s"),
    "half an answer": (
        Reply(200, {}, b"wh", claimed=18),
        "the connection ends before all has come; trying again in 0.5 s",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_server_that_fails_twice_is_asked_three_times(project: Project, case: str) -> None:
    reply, told = FAILURES[case]
    with running_server(failing(2, reply, there)) as server:
        project.write("one.yaml", recipe(f"{server.uri}/file"))
        run = project.melpy("build", "one.yaml")
        assert run.returncode == 0, run.stderr
        assert f"{server.uri}/file: {told}" in run.stderr
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        (Reply(404), 40, "the server answers 404"),
        (Reply(403), 40, "the server answers 403"),
        (Reply(200, {}, b"other"), 41, "the recipe expects"),
    ],
)
def test_what_is_wrong_for_good_is_not_tried_again(project: Project, reply: Reply, status: int, message: str) -> None:
    with running_server(lambda _: reply) as server:
        project.write("one.yaml", recipe(f"{server.uri}/file"))
        project.write("two.yaml", file_recipe("two"))
        run = project.melpy("build", "one.yaml")
        assert (run.returncode, message in run.stderr) == (status, True), run.stderr
        assert len(server.requests) == 1
        assert project.melpy("build", "one.yaml", "two.yaml").returncode == 61
        assert len(server.requests) == 2


def test_a_build_is_begun_anew_while_others_go_on(project: Project) -> None:
    """Two attempts at once are in vain, and so is the third, the first one after a pause."""
    with running_server(failing(3, Reply(502), there)) as server:
        project.write("one.yaml", recipe(f"{server.uri}/file", limit=2))
        project.write("two.yaml", file_recipe("two", "one"))
        project.write("zoo.yaml", file_recipe("zoo"))
        run = project.melpy("build", "--json", "--events", "run.jsonl", ".", force=False)
        assert run.returncode == 0, run.stderr
        assert len(server.requests) == 4
    assert {job["outcome"] for job in json.loads(run.stdout)} == {"built"}
    assert "the server answers 502; it is begun anew in 5 s (attempt 2)" in run.stderr
    settled = [json.loads(line) for line in (project.directory / "run.jsonl").read_text().splitlines()[1:]]
    ends = {one["event"]["job"]: one["at"] for one in settled if one["event"]["type"] == "JobSettled"}
    assert ends["zoo-1.0-r0/x86_64"] < 5 < ends["one-1.0-r0/x86_64"]


def test_a_connection_that_is_refused_is_tried_again(project: Project) -> None:
    """The server comes while the build waits."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    project.write("one.yaml", recipe(f"http://127.0.0.1:{port}/file", limit=1))
    project.write("two.yaml", file_recipe("two"))
    process = project.begin("build", "-v", "one.yaml", "two.yaml", marker="anew in 5 s (attempt 2)")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n" + CONTENT

    def serve() -> None:
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    _, errors = process.communicate(timeout=60)
    thread.join(10)
    assert process.returncode == 0, errors


def test_attempts_come_to_an_end(project: Project) -> None:
    with running_server(lambda _: Reply(500)) as server:
        project.write("one.yaml", recipe(f"{server.uri}/file", limit=1))
        project.write("two.yaml", file_recipe("two"))
        start = time.monotonic()
        run = project.melpy("build", "one.yaml", "two.yaml")
        assert run.returncode == 61
        assert time.monotonic() - start > 25
        assert len(server.requests) == 3
        assert "it is begun anew in 5 s (attempt 2)" in run.stderr
        assert "it is begun anew in 20 s (attempt 3)" in run.stderr
        single = project.melpy("build", "one.yaml")
        assert (single.returncode, len(server.requests)) == (40, 4)


def test_an_interrupt_ends_a_pause(project: Project) -> None:
    with running_server(lambda _: Reply(500)) as server:
        project.write("one.yaml", recipe(f"{server.uri}/file", limit=1))
        project.write("two.yaml", file_recipe("two"))
        process = project.begin("build", "-v", "one.yaml", "two.yaml", marker="anew in 5 s (attempt 2)")
        start = time.monotonic()
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert time.monotonic() - start < 4


def test_indexes_and_packages_are_asked_for_again(tmp_path: Path, require: Callable[..., None]) -> None:
    """The index fails twice; the package fails as often as one attempt at the build asks for it, and once more."""
    require(str(BUSYBOX), "bwrap")
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    repository.add("served")
    files = serve_directory(repository.root)
    counts = {"index": 2, "package": 5}
    asked: list[str] = []

    def answer(request: Request) -> Reply:
        asked.append(request.path)
        kind = "package" if "served" in request.path else "index" if "INDEX" in request.path else ""
        if kind:
            counts[kind] -= 1
            if counts[kind] >= 0:
                return Reply(503, {"Retry-After": "0"})
        return files(request)

    with running_server(answer) as server:
        project = Project(tmp_path / "project", repository)
        toml = project.directory / "melpy.toml"
        toml.write_text(toml.read_text().replace(str(repository.root), server.uri))
        project.write("one.yaml", file_recipe("one", "served"))
        project.write("two.yaml", file_recipe("two"))
        run = project.melpy("build", ".", force=False)
        assert run.returncode == 0, run.stderr
    index = f"{server.uri}/x86_64/APKINDEX.tar.gz"
    assert f"{index}: the server answers 503; trying again in 0 s" in run.stderr
    assert "the server answers 503; it is begun anew in 5 s (attempt 2)" in run.stderr
    assert asked.count("/x86_64/served-1-r0.apk") == 6


def test_a_pause_is_a_number_or_a_date() -> None:
    now = 1_800_000_000.0
    assert _read_pause("7", now) == 7
    assert _read_pause(formatdate(now + 90, usegmt=True), now) == 90
    assert _read_pause(formatdate(now - 90, usegmt=True), now) == 0
    for text in ("", "soon", "-1", "1e9", "٣", "9" * 30, "Mon, 99 Foo 2026 00:00:00 GMT"):
        assert _read_pause(text, now) == -1
