"""What is compressed with gzip, unpacked as it is read and never beyond a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zlib_ng import zlib_ng

from melpy.apk.tar import TarError

if TYPE_CHECKING:

    class Input(Protocol):
        """What compressed bytes are read from."""

        def read(self, size: int, /) -> bytes:
            """Return up to so many bytes; none at the end."""


GzipError: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # the stubs call it an instance
WINDOW = 31
"""zlib's window bits for 32 KiB and a gzip header."""

_CHUNK = 1 << 18
_MOST_STREAMS = 1000  # of which packages have one; each costs a copy of what was read ahead


class TooMuchError(TarError):
    """It unpacks to more than it may."""


class GzipReader:
    """One gzip stream after the other, read as the bytes that they hold.

    Args:
        stream: the compressed bytes, from where it stands.
        limit: most bytes that they may unpack to.
        single: what follows the first gzip stream is not looked at.
    """

    def __init__(self, stream: Input, limit: int, *, single: bool = False) -> None:
        self._stream = stream
        self._left = limit
        self._single = single
        self._inflate = zlib_ng.decompressobj(WINDOW)
        self._streams = 1
        self._ahead = b""

    @property
    def is_whole(self) -> bool:
        """Whether the last gzip stream that was begun was read to its end, where its checksum is."""
        return bool(self._inflate.eof)

    def read(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end.

        Raises:
            TarError: the stream is broken.
            TooMuchError: it unpacks to more than the limit.
        """
        pieces, have = [self._ahead], len(self._ahead)
        while have < size:
            piece = self._inflated()
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        self._ahead = data[size:]
        return data[:size]

    def _inflated(self) -> bytes:
        while True:
            source = self._inflate.unconsumed_tail
            if self._inflate.eof:
                if self._single:
                    return b""
                source = self._inflate.unused_data or self._stream.read(_CHUNK)
                if not source:
                    return b""
                self._inflate = zlib_ng.decompressobj(WINDOW)
                self._streams += 1
                if self._streams > _MOST_STREAMS:
                    raise TarError(f"has more than {_MOST_STREAMS} gzip streams")
            source = source or self._stream.read(_CHUNK)
            if not source:
                return b""
            try:
                piece = self._inflate.decompress(source, _CHUNK)
            except GzipError:
                raise TarError("has a broken gzip stream") from None
            self._left -= len(piece)
            if self._left < 0:
                raise TooMuchError("unpacks to far more than is honest")
            if piece:
                return piece
