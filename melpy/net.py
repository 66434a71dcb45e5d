"""The only door to the network: plain downloads over HTTP(S), and files named by `file:` URIs."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from melpy import __version__
from melpy.errors import UnreachableError, reason_of

if TYPE_CHECKING:
    import urllib3  # noqa: TID251  # this is the door

_CHUNK = 1 << 18


def download(
    uri: str, stream: IO[bytes], *, timeout: float = 20.0, retries: int = 3, hint: str = "check the URI and the network"
) -> None:
    """Write the content of a URI to a stream that can be rewound.

    Args:
        uri: an http, https or file URI.
        stream: receives the content.
        timeout: seconds to wait for a connection, and for each piece.
        retries: further attempts after a failure that may pass.
        hint: what to do when it cannot be had.

    Raises:
        UnreachableError: it cannot be had.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    if "\0" in unquote(uri):
        raise UnreachableError("is not a URI", where=repr(uri))
    if parts.scheme == "file":
        _copy(Path(unquote(parts.path)), stream, uri, hint)
    elif parts.scheme in {"http", "https"}:
        _download_http(uri, stream, timeout, retries, hint)
    else:
        raise UnreachableError(
            f"cannot fetch {parts.scheme or 'a relative'} URI", where=uri, hint="use an http, https or file URI"
        )


def _copy(path: Path, stream: IO[bytes], uri: str, hint: str) -> None:
    try:
        with path.open("rb") as source:
            shutil.copyfileobj(source, stream)
    except OSError as error:
        raise UnreachableError(reason_of(error), where=uri, hint=hint) from None


def _download_http(uri: str, stream: IO[bytes], timeout: float, retries: int, hint: str) -> None:
    import urllib3.exceptions  # noqa: PLC0415, TID251  # 80 ms that only a download needs; this is the door

    pool = _pool(uri)
    failure = ""
    for attempt in range(retries + 1):
        stream.seek(0)
        stream.truncate()
        try:
            with pool.request(
                "GET", uri, preload_content=False, timeout=timeout, retries=False, redirect=True
            ) as reply:
                if reply.status in {301, 302, 303, 307, 308}:
                    raise UnreachableError("redirects too often", where=uri)
                if reply.status < 500 and reply.status != 200:
                    raise UnreachableError(f"the server answers {reply.status}", where=uri, hint=hint)
                if reply.status == 200:
                    for piece in reply.stream(_CHUNK, decode_content=False):
                        stream.write(piece)
                    return
                failure = f"the server answers {reply.status}"
        except urllib3.exceptions.HTTPError as error:
            failure = _reason(error)
        if attempt < retries:
            time.sleep(min(0.5 * 2**attempt, 8.0))
    raise UnreachableError(failure, where=uri, hint=hint)


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, meaning in (
        ("Name or service not known", "its host is unknown"),
        ("NameResolutionError", "its host is unknown"),
        ("Failed to resolve", "its host is unknown"),
        ("Connection refused", "the connection is refused"),
        ("timed out", "it does not answer in time"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    ):
        if sign in text:
            return meaning
    return text


def _pool(uri: str) -> urllib3.PoolManager:
    import urllib3  # noqa: PLC0415, TID251  # see _download_http

    headers = {"User-Agent": f"melpy/{__version__}"}
    scheme = urlsplit(uri).scheme
    proxy = os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")
    host = urlsplit(uri).hostname or ""
    if proxy and host not in _unproxied():
        return urllib3.ProxyManager(proxy, headers=headers)
    return urllib3.PoolManager(headers=headers)


def _unproxied() -> set[str]:
    text = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return {host.strip() for host in text.split(",")} | {"localhost", "127.0.0.1", "::1"}
