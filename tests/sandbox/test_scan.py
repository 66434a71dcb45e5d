"""What scanners read, against the programs that read it on a machine: env and pkgconf."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from melpy.scan.module import parse_module
from melpy.shebang import parse_shebang

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = "prog"
LINES = [
    "prog",
    "prog -x",
    "-Sprog",
    "-S prog -x",
    "-vS prog -x",
    "-vSprog",
    "-S A=1 prog",
    "-S A=1 B=${HOME} prog ${HOME}",
    "-S -u NAME prog",
    "-S -uNAME prog",
    "-S -C / prog",
    "-S --chdir=/ --debug prog",
    "-S -- A=1 prog",
    "-S -- -- prog",
    "-S -S prog",
    "--split-string=prog x",
    "--split=prog",
    "--split-string prog",
    "-S --unset=X prog",
    "-S --ignore-signal prog",
    "-S -0 prog",
    "-u X prog",
    "-i prog",
    "--",
    "-- prog",
    "A=1 prog",
    "-S",
    '-S "prog" x',
    "-S 'prog'",
    '-S p"ro"g',
    "-S pro\\g",
    "-S prog\\_x",
    "-S \\_prog",
    '-S "prog\\_x"',
    "-S prog\\c x",
    '-S "prog\\c" x',
    "-S #prog",
    "-S prog #x",
    "-S prog#x",
    '-S "" prog',
    '-S "prog',
    "-S $HOME prog",
    "-S prog\\",
    "-S prog\tx",
    "-S prog\r",
    "prog\r",
    "-x prog",
]
PIECES = [
    "-S",
    "-v",
    "-u",
    "X",
    " ",
    " ",
    "prog",
    "A=1",
    "'",
    '"',
    "\\_",
    "\\c",
    "\\t",
    "\\'",
    "#",
    "--",
    "-",
    "\t",
    "=",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a directory of programs with the one that tells when it is started."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / PROGRAM).write_text("#!/bin/sh\necho started\n")
    (directory / PROGRAM).chmod(0o755)
    return directory


def starts(line: str, path: Path) -> bool:
    """Give env the argument that Linux makes of a first line; tell whether it started the program.

    Linux adds the script's own path, so a line that names no program starts the script again, for ever.
    """
    argument = line.strip(" \t")
    environment = {"PATH": str(path), "HOME": "/"}
    done = subprocess.run(["/usr/bin/env", argument], env=environment, capture_output=True, text=True, check=False)
    return done.stdout.endswith("started\n")


def named(line: str) -> str:
    try:
        return parse_shebang(f"#!/usr/bin/env {line}\n".encode())
    except ValueError:
        return ""


@pytest.mark.parametrize("line", LINES)
def test_env_starts_the_program_that_the_scan_names(path: Path, line: str) -> None:
    assert (named(line) == PROGRAM) is starts(line, path)


def test_env_reads_random_lines_as_the_scan_does(path: Path) -> None:
    choice = random.Random(13)
    for _ in range(300):
        line = "-S" + "".join(choice.choices(PIECES, k=choice.randint(1, 9)))
        assert (named(line) == PROGRAM) is starts(line, path), line


HEAD = "Name: x\nDescription: x\nVersion: 1\n"
MODULES = [
    "broken\n",
    "",
    "Name: x\nVersion: 1\n",
    "Name: x\nDescription: x\n",
    "Name=x\nDescription=x\nVersion=1\n",
    "\ufeff" + HEAD,
    "# " + HEAD,
    "Name:\nDescription:\nVersion:\n",
    "name: x\nDESCRIPTION: x\nversion: ${nothing}\nrequires: y",
    "  Name : x\r\n\tDescription\t: x\r\nVersion:1\r\nRequires: y >= 2, z\r\n",
    "v=1\nName: x\nDescription: x \\\n  y\nVersion: ${v}\nthis is no field\nRequires: y # z\n",
    "prefix=${pcfiledir}/../..\n" + HEAD + "Requires: y\nRequires: z\n",
    "a=y\nb=${a}z\n" + HEAD + "Requires: ${b}\n",
    HEAD + "Requires: y \\\n  z = 1\n",
    HEAD + "Requires: y\\\r\n z\r\n",
    HEAD + "Requires: ,, y ,z == 2 ,\n",
    HEAD + "Requires:\n",
    HEAD + "Requires y\n",
    HEAD + "Requires: ${nothing} y\n",
    HEAD + "Requires: ${nothing}\n",
    HEAD + "Requires: ${nothing}y${nothing}, z\n",
    HEAD + "Requires: y >= ${nothing}2, ${nothing}, z\n",
    HEAD + "Requires: y >= ${nothing} z\n",
    HEAD + "Requires: ${later} y\nlater=z\n",
    "a=${nothing}y\n" + HEAD + "Requires: ${a}\n",
    "a=${a}y\n" + HEAD + "Requires: ${a}\n",
    "a=y\na=${a}z\n" + HEAD + "Requires: ${a}\n",
    HEAD + "Requires: ${} y\n",
    HEAD + "Requires: ${a b} y\n",
]


@pytest.mark.parametrize("text", MODULES)
def test_pkgconf_takes_the_files_that_the_scan_takes(tmp_path: Path, text: str, require: Callable[..., None]) -> None:
    require("pkgconf")
    for name in ("y", "z", "yz"):
        (tmp_path / f"{name}.pc").write_text(HEAD.replace("Version: 1", "Version: 2"))
    with (tmp_path / "x.pc").open("w", newline="") as stream:
        stream.write(text)
    command = ["pkgconf", "--maximum-traverse-depth=1", "--print-requires", "x"]
    environment = {"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": str(tmp_path)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = tuple(line.split()[0] for line in said.stdout.splitlines()) if said.returncode == 0 else None
    try:
        requires = parse_module(text)
    except ValueError:
        requires = None
    assert requires == found
