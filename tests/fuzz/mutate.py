"""Changes to bytes: small ones, and those that readers have stumbled over, such as numbers without end."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

NUMBERS = (b"0", b"-1", b"9" * 5000, b"18446744073709551616", b"9223372036854775807", b"nan", b"inf", b"1e300", b"0x7f")
TOKENS = (
    *(
        b"${{",
        b"}}",
        b"{{",
        b"{%",
        b"../",
        b"/",
        b"\0",
        b"\n",
        b"\n\n",
        b" ",
        b"=",
        b":",
        b"- ",
        b"[",
        b"{",
        b"&a ",
        b"*a",
    ),
    *(b"'", b'"', b"\\", b"\xff", b"\xc3\xbc", b"\xed\xa0\x80", b"ustar\x0000", b"\x1f\x8b\x08", b"\x80", b"\xff" * 8),
    *(b"0 a=b", b"5 a=\n", b"GNU.sparse.major=1", b"APK-TOOLS.checksum.SHA1", b"path", b"mtime", b"~nobody", b"<<: *a"),
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return changed bytes."""
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        data = chance.choice(_WAYS)(data, chance)
    return data


def _place(data: bytes, chance: random.Random) -> int:
    return chance.randint(0, len(data))


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"x"
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    return data[:start] + data[end:]


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] + chance.choice(TOKENS) + data[at:]


def _overwrite(data: bytes, chance: random.Random) -> bytes:
    at, token = _place(data, chance), chance.choice((*TOKENS, *NUMBERS[:2], *NUMBERS[3:]))
    return data[:at] + token + data[at + len(token) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted((_place(data, chance), _place(data, chance)))
    piece = data[start : min(end, start + chance.choice((1, 4, 16, 64, 512, 4096)))] or chance.choice(TOKENS)
    times = chance.choice((2, 10, 300, 30_000))
    return data[:start] + piece * min(times, 400_000 // len(piece) + 1) + data[start:]


def _number(data: bytes, chance: random.Random) -> bytes:
    found = list(re.finditer(rb"[0-9]+", data))
    if not found:
        return _insert(data, chance)
    match = chance.choice(found)
    number = chance.choice(NUMBERS)
    if chance.random() < 0.5:  # fields of a fixed width keep it
        number = number[: len(match[0])].rjust(len(match[0]), b"0")
    return data[: match.start()] + number + data[match.end() :]


def _swap(data: bytes, chance: random.Random) -> bytes:
    a, b, c = sorted(_place(data, chance) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _flip, _cut, _truncate, _insert, _overwrite, _repeat, _number, _number, _swap),
)
