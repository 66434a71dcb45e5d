"""The data member of a package: a compressed tar, unpacked as it is read and never beyond its limit.

The tar itself is `melpy.apk.tar`. Everything that comes out of the compressor counts, headers as well as content.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from melpy.apk.inflate import GzipReader, TooMuchError
from melpy.apk.tar import TarError, TarReader
from melpy.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.apk.tar import TarMember


class DataReader:
    """A compressed tar, read from a stream's position on.

    Args:
        stream: the package, at its data member.
        content: most bytes of all files; more is not what the package says of itself.
        headers: most bytes of all else.
    """

    def __init__(self, stream: IO[bytes], content: int, headers: int) -> None:
        self._content = content
        self._tar = TarReader(GzipReader(stream, content + headers).read)

    def members(self) -> Iterator[TarMember]:
        """Yield every entry; its content is to be read before the next one is asked for, or is passed over.

        Raises:
            ExtractError: it is no tar, is damaged, or unpacks to more than the limit.
        """
        try:
            yield from self._tar.members()
        except TarError as error:
            raise _refusal(error) from None

    def content(self, member: TarMember) -> Iterator[bytes]:
        """Yield the content of the entry that `members` yielded last.

        Raises:
            ExtractError: as above.
        """
        self._content -= member.size
        try:
            if self._content < 0:  # before anything is written
                raise TooMuchError
            yield from self._tar.content(member)
        except TarError as error:
            raise _refusal(error) from None


def _refusal(error: TarError) -> ExtractError:
    if isinstance(error, TooMuchError):
        hint = "do not trust this package"
        return ExtractError("unpacks to far more than the package says of itself", hint=hint)
    return ExtractError(str(error))
