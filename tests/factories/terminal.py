"""A terminal at which a user types."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from tests.factories.project import Project


class Terminal:
    """A program with a terminal of its own, at which a user types."""

    def __init__(self, project: Project, *command: str, columns: int = 80, term: str = "dumb") -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {**project.full_environment(), "TERM": term}
        self.process = subprocess.Popen(
            ["setsid", "-c", "-w", *command],
            cwd=project.directory,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.master)  # which hangs up
        self.process.wait(60)

    def read_all(self) -> str:
        """Read until the program has ended, and return all that it wrote."""
        while True:
            try:
                piece = os.read(self.master, 4096)
            except OSError:  # nobody has the terminal any more. Source: pty(7), EIO
                break
            self.seen += piece.decode(errors="replace")
        self.seen = self.seen.replace("\r\n", "\n")
        return self.seen

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, seconds: float = 60) -> bool:
        """Read until a text is seen, from where the one before ended."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            if not select.select([self.master], [], [], max(left, 0))[0]:
                assert seconds < 60, self.seen
                return False
            self.seen += os.read(self.master, 4096).decode().replace("\r\n", "\n")
        self.seen = self.seen.partition(text)[2]
        return True

    def type_until(self, key: str, text: str) -> None:
        """Type a key until a text is seen: a program may not be where it heeds it yet."""
        for _ in range(60):
            self.type(key)
            if self.expect(text, 1):
                return
        raise AssertionError(self.seen)
