"""The only door to the network: downloads over HTTP(S) and FTP.

What a server sends is bounded: its size by a limit, and its rate from below, so that none keeps melpy waiting for ever.

Proxies come from `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as curl has them; credentials from
`HTTP_AUTH` or netrc (see `melpy.credential`). Certificates are those that the machine trusts.
"""

from __future__ import annotations

import functools
import time
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from msgspec import Struct

from melpy import __version__
from melpy.bound import shorten
from melpy.credential import describe_logins, find_login
from melpy.errors import SettingsError, UnreachableError, reason_of
from melpy.pace import Pace, watch_pace, watch_pools

if TYPE_CHECKING:
    from collections.abc import Callable

    import urllib3  # noqa: TID251  # this is the door

    from melpy.meter import Meter

_CHUNK = 1 << 14  # so little that a slow server is seen to send something
_REDIRECTS = 10
_LONGEST_PAUSE = 30.0
_DIGITS = 19  # of a number that a server may say
_REDIRECTED = {301, 302, 303, 307, 308}
_UNKNOWN_HOST = "its host is unknown"
_NO_CONNECTION = "it does not take the connection in time"
_NO_LOOKUP = "the names of hosts cannot be looked up at present"
_NOT_TRUSTED = "its certificate is not trusted"
_NO_TLS = "it does not speak TLS: is it an http server?"
_RETRIED = {408, 425, 429}
"""Answers below 500 that may be another one soon."""

_OFFLINE_HINT = "fetch it once without --offline"


class Answer(NamedTuple):
    """What a server says of what it sends. Source: RFC 9110, conditional requests.

    Attributes:
        etag: its version, as the server names it.
        modified: when it last changed, as the server writes it.
        same: it is what was known already.
    """

    etag: str = ""
    modified: str = ""
    same: bool = False


class Advice(NamedTuple):
    """What to do when something cannot be had.

    Attributes:
        failed: when no server gives it.
        too_large: when it is larger than the limit.
        note: is told of further attempts.
    """

    failed: str = "check the URI and the network"
    too_large: str | None = None
    note: Callable[[str], object] | None = None


def is_remote(place: str) -> bool:
    """Tell whether a place is named by the URL of a server."""
    return place.startswith(("http://", "https://"))


def download(
    uri: str,
    stream: IO[bytes],
    *,
    known: Answer | None = None,
    offline: bool = False,
    limit: int | None = None,
    timeout: float | None = 20.0,
    retries: int = 3,
    advice: Advice | None = None,
    meter: Meter | None = None,
) -> Answer:
    """Write the content of a URI to a stream that can be rewound.

    Args:
        uri: an http, https or ftp URI.
        stream: receives the content; nothing where it is as it was known.
        known: what a server answered earlier, which is asked whether that is still right.
        offline: ask no server.
        limit: bytes that it may have at most.
        timeout: seconds to wait for a connection, and for each piece; None waits for ever.
        retries: further attempts after a failure that may pass.
        advice: what to do when it cannot be had.
        meter: counts what comes.

    Raises:
        UnreachableError: it cannot be had.
        SettingsError: HTTP_AUTH is malformed.
    """
    scheme = _check_uri(uri, offline=offline)
    patience = _Patience(timeout, retries, limit, *(advice or Advice()))
    taken = _Taken(stream, uri, patience, meter)
    if scheme == "ftp":
        _retrieve(uri, taken, patience)
        return Answer()
    return _request(uri, taken, known, patience)


def is_file(uri: str) -> bool:
    """Tell whether a URI is that of a file of this machine, however it is written."""
    try:
        return urlsplit(uri).scheme == "file"
    except ValueError:
        return False


def _check_uri(uri: str, *, offline: bool) -> str:
    """Return the scheme of a URI that can be fetched."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    if "\0" in unquote(uri):
        raise UnreachableError("is not a URI", where=repr(uri))
    if parts.scheme not in {"http", "https", "ftp"}:
        hint = "use an http, https, ftp or file URI"
        raise UnreachableError(f"cannot fetch {parts.scheme or 'a relative'} URI", where=uri, hint=hint)
    if "@" in parts.netloc:
        where = uri.replace(f"{parts.netloc.rpartition('@')[0]}@", "***@")
        raise UnreachableError("has credentials in it", where=where, hint=f"URIs are printed; {describe_logins()}")
    if offline:
        raise _absent(UnreachableError("is not in the cache, and melpy is offline", where=uri, hint=_OFFLINE_HINT))
    return parts.scheme


def _absent(error: UnreachableError) -> UnreachableError:
    error.absent = True
    return error


class _Patience(Struct, frozen=True):
    """How long a server is waited for, and how much is taken from it."""

    timeout: float | None
    retries: int
    limit: int | None
    hint: str
    too_large: str | None = None
    note: Callable[[str], object] | None = None

    def wait(self, uri: str, failure: str, pause: float) -> None:
        """Tell that there is another attempt after a pause, and wait for that."""
        if self.note:
            self.note(f"{uri}: {failure}; trying again in {pause:g} s")
        time.sleep(pause)

    def tries_again(self, attempt: int, failure: str) -> bool:
        """Tell whether there is another attempt after this one, counted from 0."""
        few = {_UNKNOWN_HOST: 0, _NO_LOOKUP: 1, _NO_CONNECTION: 1}  # the system itself has tried several times
        return attempt < min(self.retries, few.get(failure, self.retries))

    def check_size(self, uri: str, size: int) -> None:
        if self.limit is not None and size > self.limit:
            message = f"is larger than the {self.limit} bytes that it may have"
            raise UnreachableError(message, where=uri, hint=self.too_large)


def _retrieve(uri: str, taken: _Taken, patience: _Patience) -> None:
    """Take what an FTP server has; nobody in particular asks for it, as a browser would."""
    import ftplib  # noqa: PLC0415, TID251  # see _request

    failure = ""
    for attempt in range(patience.retries + 1):
        with watch_pace(patience.timeout) as pace:
            taken.begin(pace)
            try:
                _retrieve_once(uri, taken, patience)
            except ftplib.error_perm as error:
                absent = str(error).startswith("550")
                refused = UnreachableError(f"the server answers {error}", where=uri, hint=patience.hint)
                raise (_absent(refused) if absent else refused) from None
            except (ftplib.Error, OSError, EOFError, ValueError) as error:
                failure = _reason(error)
            else:
                return
            pace.check(uri)
        if not patience.tries_again(attempt, failure):
            break
        patience.wait(uri, failure, min(0.5 * 2**attempt, 8.0))
    raise _lasting(failure, uri, patience.hint)


def _retrieve_once(uri: str, taken: _Taken, patience: _Patience) -> None:
    import ftplib  # noqa: PLC0415, TID251  # see _request

    parts = urlsplit(uri)
    with ftplib.FTP(timeout=patience.timeout) as server:  # noqa: S321  # a digest says what it must be
        taken.pace.begin(lambda: server.sock)
        server.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
        server.login()
        server.voidcmd("TYPE I")
        with server.transfercmd(f"RETR {unquote(parts.path)}") as connection:
            taken.pace.begin(lambda: connection)
            while piece := connection.recv(_CHUNK):
                taken.take(piece)
        taken.pace.begin(lambda: server.sock)
        server.voidresp()


class _Taken:
    """Writes what comes to a stream, as far as it may be."""

    def __init__(self, stream: IO[bytes], uri: str, patience: _Patience, meter: Meter | None) -> None:
        self.uri, self.patience = uri, patience
        self.pace = Pace(None)
        self._stream, self._meter = stream, meter
        self._size = 0

    def begin(self, pace: Pace) -> None:
        """Start anew, for another attempt."""
        self.pace = pace
        self._stream.seek(0)
        self._stream.truncate()
        if self._meter and self._size:
            self._meter.count(-self._size)
        self._size = 0

    def expect(self, size: int) -> None:
        """Take note of the size that a server states."""
        self.patience.check_size(self.uri, size)
        if self._meter:
            self._meter.expect(size)

    def take(self, piece: bytes) -> None:
        """Take a piece of what comes."""
        self._size += len(piece)
        self.patience.check_size(self.uri, self._size)
        self.pace.count(len(piece))
        self._stream.write(piece)
        if self._meter:
            self._meter.count(len(piece))


def _request(uri: str, taken: _Taken, known: Answer | None, patience: _Patience) -> Answer:
    """Take what a server answers."""
    import urllib3.exceptions  # noqa: PLC0415, TID251  # 80 ms that only a download needs; this is the door

    failure, asked = "", 0.0
    for attempt in range(patience.retries + 1):
        pause, asked = min(0.5 * 2**attempt, 8.0), 0.0
        with watch_pace(patience.timeout) as pace:
            taken.begin(pace)
            try:
                with _follow(uri, known, patience) as reply:
                    if reply.status == 304 and known:
                        reply.drain_conn()  # which has no body; so that the connection can be used again
                        return known._replace(same=True)
                    if reply.status == 200:
                        _receive(reply, taken)
                        if not pace.is_slow:
                            return Answer(reply.headers.get("etag", ""), reply.headers.get("last-modified", ""))
                    else:
                        failure = _describe_status(reply.status)
                        if reply.status < 500 and reply.status not in _RETRIED:
                            raise _refusal(reply.status, uri, patience.hint)
                        asked = _read_pause(reply.headers.get("retry-after", ""), time.time())
                        pause = min(asked, _LONGEST_PAUSE) if asked >= 0 else pause
            # Addresses that are none are errors of several kinds, even when a server redirects to them.
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                failure = _reason(error)
        if not patience.tries_again(attempt, failure):
            pace.check(uri)
            break
        patience.wait(uri, failure, pause)
    lasting = _lasting(failure, uri, patience.hint)
    lasting.pause = max(asked, 0.0)
    raise lasting


def _follow(uri: str, known: Answer | None, patience: _Patience) -> urllib3.BaseHTTPResponse:
    """Return the answer to a request, behind all redirects.

    urllib3 would read the whole of what a redirect carries, however much that is.
    """
    place = uri
    for _ in range(_REDIRECTS + 1):
        pool = _find_pool(place)
        # Credentials are for the server that was meant.
        login = find_login(uri) if _server(place) == _server(uri) else None
        own = {"Authorization": login.header} if login else {}
        headers = {**pool.headers, **_conditions(known), **own}
        reply = pool.request(
            "GET",
            place,
            headers=headers,
            preload_content=False,
            timeout=patience.timeout,
            retries=False,
            redirect=False,
        )
        target = reply.headers.get("location", "") if reply.status in _REDIRECTED else ""
        if not target:
            return reply
        reply.close()
        place = urljoin(place, target)
        _check_way(uri, place)
    raise UnreachableError("redirects too often", where=uri, hint=patience.hint)


def _server(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc.lower()


def _check_way(uri: str, place: str) -> None:
    """Check that no redirect leaves https, where nobody changes anything on the way, or leads to another protocol."""
    scheme = urlsplit(place).scheme
    if scheme not in {"http", "https"}:
        raise UnreachableError(f"redirects to {shorten(place)}", where=uri, hint="use an http, https or ftp URI")
    if uri.lower().startswith("https:") and scheme != "https":
        raise UnreachableError("redirects from https to http", where=uri, hint="name the place that it redirects to")


def _refusal(status: int, uri: str, hint: str) -> UnreachableError:
    hint = describe_logins() if status in {401, 403} else hint
    error = UnreachableError(_describe_status(status), where=uri, hint=hint)
    return _absent(error) if status in {404, 410} else error


def _conditions(known: Answer | None) -> dict[str, str]:
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified} if known else {}
    return {name: value for name, value in headers.items() if value}


def _receive(reply: urllib3.BaseHTTPResponse, taken: _Taken) -> None:
    stated = reply.headers.get("content-length", "")
    taken.expect(int(stated) if stated.isdecimal() and len(stated) < _DIGITS else 0)
    taken.pace.count(0)
    for piece in reply.stream(_CHUNK, decode_content=False):
        taken.take(piece)


def _describe_status(status: int) -> str:
    return "redirects to nowhere" if status in _REDIRECTED else f"the server answers {status}"


def _lasting(failure: str, uri: str, hint: str) -> UnreachableError:
    """Return the error of a failure that has lasted for all attempts, and may pass later all the same."""
    error = UnreachableError(failure, where=uri, hint=hint)
    error.passing = failure not in {_UNKNOWN_HOST, _NOT_TRUSTED, _NO_TLS}
    return error


def _read_pause(text: str, now: float) -> float:
    """Return the seconds that a server asks to wait, or that are left until a date; -1 where it says nothing.

    Source: RFC 9110, Retry-After.
    """
    if text.isascii() and text.isdecimal() and len(text) < _DIGITS:
        return float(text)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # seldom

    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, OverflowError, OSError):
        return -1.0


def _reason(error: Exception) -> str:
    text = "Remote end closed connection" if isinstance(error, EOFError) else str(error)
    for sign, meaning in (
        ("Name or service not known", _UNKNOWN_HOST),
        ("No address associated with hostname", _UNKNOWN_HOST),
        ("name resolution", _NO_LOOKUP),
        ("connect timeout", _NO_CONNECTION),
        ("Connection refused", "the connection is refused"),
        ("timed out", "it does not answer in time"),
        ("CERTIFICATE_VERIFY_FAILED", _NOT_TRUSTED),
        ("WRONG_VERSION_NUMBER", _NO_TLS),
        ("IncompleteRead", "the connection ends before all has come"),
        ("Remote end closed connection", "the server closes the connection"),
    ):
        if sign in text:
            return meaning
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"it cannot be reached: {reason_of(cause)}"
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    return f"what it answers is not understood: {text.rpartition('(Caused by ')[2].rstrip(')')}"


def _find_pool(uri: str) -> urllib3.PoolManager:
    """Return the connections to a server, or to the proxy that is between."""
    import urllib.request as system  # noqa: PLC0415, TID251  # see _request; for what the environment says only

    parts = urlsplit(uri)
    proxies = system.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    is_local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    bypassed = system.proxy_bypass_environment(parts.netloc)  # type: ignore[attr-defined]  # typeshed lacks it
    return _pool("" if is_local or bypassed else proxy)


@functools.cache
def _pool(proxy: str) -> urllib3.PoolManager:
    """Return connections that are kept open and used again."""
    import urllib3.exceptions  # noqa: PLC0415, TID251  # see _request

    headers = {"User-Agent": f"melpy/{__version__}"}
    if not proxy:
        return watch_pools(urllib3.PoolManager(headers=headers, maxsize=8))
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        login = unquote(parts.netloc.rpartition("@")[0])
        manager = urllib3.ProxyManager(
            parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
            headers=headers,
            maxsize=8,
            proxy_headers=urllib3.util.make_headers(proxy_basic_auth=login) if login else None,
        )
    except (ValueError, urllib3.exceptions.HTTPError):
        raise SettingsError("is not the URL of a proxy", where="the proxy of the environment") from None
    return watch_pools(manager)
