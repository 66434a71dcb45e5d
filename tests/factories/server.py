"""A server on the loopback that answers as a test wants it to."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Request:
    """What was asked: the path, and the headers by their names in lower case."""

    path: str
    headers: dict[str, str]
    connection: int


@dataclass
class Reply:
    """What is answered."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    claimed: int | None = None  # bytes that Content-Length says, if not as many as there are


@dataclass
class Server:
    """A server that runs, and what it was asked."""

    uri: str
    requests: list[Request]
    answer: Callable[[Request], Reply]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


def serve_directory(root: Path) -> Callable[[Request], Reply]:
    """Answer with the files of a directory, which have their content's hash as ETag."""

    def answer(request: Request) -> Reply:
        path = root / request.path.lstrip("/")
        if not path.is_file():
            return Reply(404)
        body = path.read_bytes()
        tag = f'"{hash(body)}"'
        if request.headers.get("if-none-match") == tag:
            return Reply(304, {"ETag": tag})
        return Reply(200, {"ETag": tag}, body)

    return answer


@contextmanager
def running_server(answer: Callable[[Request], Reply]) -> Iterator[Server]:
    """Run a server on a free port of the loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, self.client_address[1])
            server.requests.append(request)
            reply = server.answer(request)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 304:
                self.send_header("Content-Length", str(len(reply.body) if reply.claimed is None else reply.claimed))
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.claimed is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_port}", [], answer)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
