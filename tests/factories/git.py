"""Git repositories of a test, which stand for those of upstreams."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATE = 1500000000


@dataclass
class Upstream:
    """A repository with a working tree; every commit is an hour after the one before."""

    directory: Path
    hour: int = 0

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", ".")

    @property
    def url(self) -> str:
        return self.directory.as_uri()

    def git(self, *arguments: str) -> str:
        """Run git here, as nobody in particular."""
        names = ["-c", "user.name=author", "-c", "user.email=author@example.org", "-c", "commit.gpgsign=false"]
        date = f"@{DATE + 3600 * self.hour} +0000"
        fixed = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": "/dev/null"}
        return subprocess.run(
            ["git", *names, "-c", "protocol.file.allow=always", *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **fixed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def write(self, **files: str) -> None:
        """Write files; `__` in a name is a dot, `___` a slash."""
        for key, text in files.items():
            path = self.directory / key.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str = "change", **files: str) -> str:
        """Write files and commit everything; return the commit."""
        self.hour += 1
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.git("update-server-info")
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, *, annotated: bool = False) -> str:
        """Tag HEAD; return the id of what the tag names."""
        self.git("tag", *(["-a", "-m", name] if annotated else []), "--", name)
        return self.git("rev-parse", f"refs/tags/{name}")


@contextmanager
def serve(upstream: Upstream) -> Iterator[str]:
    """Offer a repository as plain files over HTTP, which cuts no history off; yield its URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(upstream.directory.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{upstream.directory.name}/.git"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
