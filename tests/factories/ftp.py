"""An FTP server on the loopback that has a few files for everybody."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def running_ftp(files: Mapping[str, bytes]) -> Iterator[str]:
    """Run a server until the block ends; yield its URI. Source: RFC 959, RFC 2428."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            data: socketserver.TCPServer | None = None
            self.say("220 ready")
            while line := self.rfile.readline().decode().strip():
                command, _, argument = line.partition(" ")
                if command in {"PASV", "EPSV"}:
                    if data:
                        data.server_close()
                    data = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
                    high, low = divmod(data.server_address[1], 256)
                    self.say(f"227 Entering Passive Mode (127,0,0,1,{high},{low})" if command == "PASV" else "500 no")
                elif command == "RETR" and argument in files:
                    assert data
                    self.say("150 here it comes")
                    connection, _ = data.get_request()
                    connection.sendall(files[argument])
                    connection.close()
                    self.say("226 done")
                else:
                    known = {"USER": "230 welcome", "TYPE": "200 ok", "QUIT": "221 bye", "RETR": "550 no such file"}
                    self.say(known.get(command, "502 not here"))
            if data:
                data.server_close()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"ftp://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
