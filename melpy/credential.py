"""Logins for servers, from where their owners keep them: HTTP_AUTH, as apk and apko have it, and netrc, as curl does.

A login is for the host that it is written for. netrc's `default` is not used, since recipes name the hosts. Sources:
apk(8); netrc(5), with NETRC naming another file than ~/.netrc.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from melpy.errors import SettingsError, reason_of

HTTP_AUTH_FORM = "HTTP_AUTH is basic:HOST:USER:PASSWORD, with * for every host"
"""What to tell whoever needs a login."""


class Login(NamedTuple):
    """Who asks a server."""

    user: str
    password: str

    @property
    def header(self) -> str:
        """It as an HTTP server takes it. Source: RFC 7617; what is not ASCII is UTF-8."""
        text = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
        return f"Basic {base64.b64encode(text).decode()}"


def find_login(uri: str) -> Login | None:
    """Return the login for the server of a URI, if there is one.

    Raises:
        SettingsError: HTTP_AUTH is malformed.
    """
    parts = urlsplit(uri)
    hosts = {parts.netloc, parts.hostname or ""}
    return _read_http_auth(hosts) or _read_netrc(parts.hostname or "")[0]


def describe_logins() -> str:
    """Return how to give a login, and what is wrong with the netrc that there is."""
    problem = _read_netrc("")[1]
    return f"{HTTP_AUTH_FORM}; or write the host into ~/.netrc{f' ({problem})' if problem else ''}"


def _read_http_auth(hosts: set[str]) -> Login | None:
    text = os.environ.get("HTTP_AUTH", "")
    if not text:
        return None
    fields = text.split(":", 3)
    if len(fields) != 4 or fields[0] != "basic" or not fields[1]:  # the four of the form
        raise SettingsError("is malformed", where="HTTP_AUTH", hint=HTTP_AUTH_FORM)
    _, realm, user, password = fields
    return Login(user, password) if realm in {"*", *hosts} else None


def _read_netrc(host: str) -> tuple[Login | None, str]:
    """Return the login that netrc has for a host, and why it cannot be read."""
    import netrc  # noqa: PLC0415  # 3 ms that only a request needs

    try:
        path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
        entry = netrc.netrc(str(path)).hosts.get(host) if path.is_file() else None
    except (netrc.NetrcParseError, UnicodeDecodeError) as error:
        return None, f"which is not understood: {error}"
    except OSError as error:
        return None, f"which cannot be read: {reason_of(error)}"
    except RuntimeError:  # nobody knows the home of this user
        return None, ""
    return (Login(entry[0], entry[2] or "") if entry and host != "default" else None), ""
