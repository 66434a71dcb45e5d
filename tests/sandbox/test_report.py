"""Tables on terminals of several widths, and elsewhere."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios

import pytest

PRINT = """
from melpy.cli.report import print_table
row = ("libgreet-1.0.0-r0", "x86_64", "12.3 kB", "libgreet=1.0.0-r0 so:libc.so.6", "pc:greet=1.0.0", "out/x86_64")
columns = ("Package", "Arch", "Size", "Depends on", "Provides", "Lies in")
print_table(columns, [row], right=("Size",), extra=("Provides", "Depends on", "Arch"))
"""


def _show(columns: int) -> list[str]:
    """Return the lines that a terminal of so many columns shows."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    environment |= {"NO_COLOR": "1", "TERM": "xterm"}
    with os.fdopen(master, "rb", buffering=0) as screen:
        subprocess.run(
            [sys.executable, "-c", PRINT], stdin=slave, stdout=slave, stderr=slave, env=environment, check=True
        )
        os.close(slave)
        text = b""
        try:
            while piece := screen.read(65536):
                text += piece
        except OSError:  # all is read
            pass
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.decode())
    return [line.rstrip() for line in plain.splitlines()]


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (48, "Package Size Lies in"),
        (60, "Package Arch Size Lies in"),
        (80, "Package Arch Size Lies in"),
        (98, "Package Arch Size Depends on Lies in"),
        (99, "Package Arch Size Depends on Provides Lies in"),
    ],
)
def test_a_table_leaves_out_what_the_terminal_has_no_room_for(columns: int, headings: str) -> None:
    lines = _show(columns)
    assert " ".join(lines[0].split()) == headings
    assert len(lines) == 3, "no cell is folded"
    assert all(len(line) <= columns for line in lines)
    assert lines[2].startswith("libgreet-1.0.0-r0 ")
    assert lines[2].endswith(" out/x86_64")


def test_a_table_that_is_piped_has_every_column() -> None:
    shown = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, check=True).stdout
    assert "Provides" in shown
    assert "pc:greet=1.0.0" in shown
