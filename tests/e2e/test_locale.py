"""Packages are the same bytes in every locale: names are bytes, and melpy reads none of them by the locale."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_source import fetch_step
from tests.factories.archive import HARD_LINK, SYMLINK, Item, make_cpio, make_tar, make_zip
from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factories.repository import Repository

COMPOSED, DECOMPOSED, LATIN = "ü", "u\u0308", b"\xfc"
NAMES = [b"src/" + name for name in (COMPOSED.encode(), DECOMPOSED.encode(), LATIN, "\U0001f600".encode())]
ITEMS = [
    *(Item(name, content=name) for name in NAMES),
    Item("src/zu-ü".encode(), SYMLINK, target=COMPOSED.encode()),
]
EVERYWHERE = [
    "LC_ALL=C",
    "LC_ALL=POSIX PYTHONUTF8=0",
    "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
    "LANG=C PYTHONCOERCECLOCALE=0",
    "LC_ALL=de_DE.ISO-8859-1",
    "LC_ALL=de_DE.ISO-8859-1 PYTHONIOENCODING=ascii",
    "LC_ALL=de_DE.ISO-8859-1 PYTHONUTF8=0",
    "LC_ALL=ja_JP.EUC-JP",
    "LC_ALL=none_SUCH.KOI8-R",
    "PYTHONUTF8=1",
]


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    """Locales that are not UTF-8, made for this test."""
    require("localedef", "/usr/share/i18n/charmaps/ISO-8859-1.gz")
    directory = tmp_path_factory.mktemp("locales")
    for name, characters in (("de_DE", "ISO-8859-1"), ("ja_JP", "EUC-JP")):
        # It warns of much, with status 1.
        command = ["localedef", "-c", "-i", name, "-f", characters, str(directory / f"{name}.{characters}")]
        subprocess.run(command, check=False, capture_output=True)
        assert (directory / f"{name}.{characters}/LC_CTYPE").is_file()
    return directory


@pytest.fixture
def served(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "s.zip").write_bytes(make_zip(ITEMS))
    (served / "s.pax").write_bytes(make_tar([*ITEMS, Item("src/harter-ü".encode(), HARD_LINK, target=NAMES[0])], "pax"))
    (served / "s.gnu").write_bytes(make_tar(ITEMS, "gnu"))
    (served / "s.cpio").write_bytes(make_cpio(ITEMS, "newc"))
    return served


def recipe(served: Path) -> str:
    steps = ""
    for kind in ("zip", "pax", "gnu", "cpio"):
        fetch = fetch_step(f"https://files.invalid/s.{kind}", (served / f"s.{kind}").read_bytes(), directory=kind)
        steps += f"  - runs: mkdir -p {kind}\n{fetch}"
    keep = (
        "  - runs: |\n      cp -a zip pax gnu cpio ${{targets.destdir}}\n"
        "      mkdir -p ${{targets.destdir}}/usr/bin\n"
        "      : > \"${{targets.destdir}}/usr/bin/$(printf 'gr\\303\\274n')\"\n"
        "      : > \"${{targets.destdir}}/usr/bin/$(printf 'gr\\374n')\"\n"
        "      chmod 755 ${{targets.destdir}}/usr/bin/*\n"
        "      printf 'Größe\\n'\n"
    )
    return shell_recipe(runs=":", tail=steps + keep)


def build(project: Project, served: Path, environment: str, locales: Path) -> dict[str, bytes]:
    settings = dict(word.split("=", 1) for word in environment.split())
    project.environment = {"LOCPATH": str(locales), **settings}
    ended = project.melpy("build", "one.yaml", "--rewrite", f"https://files.invalid/={served}")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "locale" not in ended.stderr
    return project.packages()


def test_packages_are_the_same_bytes_in_every_locale(
    tmp_path: Path, toy_repository: Repository, locales: Path, served: Path
) -> None:
    # The directory has a name that is no ASCII, too.
    def make(number: int) -> Project:
        project = Project(tmp_path / f"{number}-prüfung", toy_repository)
        project.write("one.yaml", recipe(served))
        return project

    expected = build(make(0), served, "LC_ALL=C.UTF-8", locales)
    (package,) = expected.values()
    with tarfile.open(fileobj=io.BytesIO(package), ignore_zeros=True, encoding="utf-8") as tar:
        packed = {os.fsencode(name) for name in tar.getnames()}
    assert {kind + name.removeprefix(b"src") for kind in (b"zip", b"pax", b"gnu", b"cpio") for name in NAMES} <= packed
    assert {b"usr/bin/gr\xc3\xbcn", b"usr/bin/gr\xfcn"} <= packed
    different = [
        environment
        for number, environment in enumerate(EVERYWHERE, 1)
        if build(make(number), served, environment, locales) != expected
    ]
    assert different == []
