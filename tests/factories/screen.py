"""What a terminal shows after some output: as much of one as melpy's display needs."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """The lines of a terminal so many columns wide, with all that has scrolled away."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[str] = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        assert "".join(match[0] for match in _PIECE.finditer(text)) == text, "an unknown sequence"
        for arguments, command, control, plain in _PIECE.findall(text):
            if command:
                self._command(command, arguments)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self._next()
            else:
                for character in plain:
                    self._put(character)

    def _command(self, command: str, arguments: str) -> None:
        if command == "A":
            self.row = max(0, self.row - int(arguments or 1))
        elif command == "J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        else:
            assert command == "m", (command, arguments)

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._next()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1

    def _next(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")
