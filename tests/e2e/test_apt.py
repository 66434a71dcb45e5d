"""A package that the mirror no longer has is one message, with its URL and the status, from the real apt."""

from __future__ import annotations

import gzip
import http.server
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from melpy.bootstrap.apt import Apt, download_debs
from melpy.bootstrap.model import Deb
from melpy.errors import SeedError
from melpy.run import run
from tests.unit.bootstrap.packages import stanza

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONF = """\
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
Dir::State "{home}";
Dir::State::lists "{home}/lists";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Etc::sourcelist "{home}/apt.list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none";
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_package_that_the_mirror_lost_is_told_with_url_and_status(
    tmp_path: Path, require: Callable[..., None]
) -> None:
    require("apt-get")
    mirror, home = tmp_path / "mirror", tmp_path / "home"
    mirror.mkdir()
    (mirror / "Packages.gz").write_bytes(gzip.compress(stanza("gone", Section="x", Maintainer="x").encode()))
    for name in ("lists/partial", "cache/archives/partial", "tmp"):
        (home / name).mkdir(parents=True)
    (home / "status").write_text("")
    (home / "apt.conf").write_text(CONF.format(home=home))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(mirror))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (home / "apt.list").write_text(f"deb [trusted=yes] {url} ./\n")
        run(["apt-get", "-q", "-c", str(home / "apt.conf"), "update"])
        deb = Deb("gone", "1.0-1", "amd64", "gone", (), "pool/gone.deb", 100, "0" * 64)
        with pytest.raises(SeedError) as caught:
            download_debs(Apt(home, "trixie"), [deb], tmp_path / "debs")
        server.shutdown()
    text = f"the mirror no longer has a package of the list, {url}/pool/gone.deb: 404 File not found"
    assert caught.value.message.startswith(text)
    assert caught.value.details == ()
