"""README, tutorial and how-to guides: their files are written and their commands are run, as they stand in the page.

A block after a paragraph that ends in a file name and a colon is that file. Blocks of `sh` are run line by line, in a
fresh clone, by bash, in the order of the page. A command whose comment begins with `fails` must fail.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from melpy.apk.signature import write_key_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parent.parent.parent
HOW_TO = sorted((ROOT / "docs/how-to").glob("*.md"))
PAGES = {str(page.relative_to(ROOT)): page for page in (ROOT / "README.md", ROOT / "docs/tutorial.md", *HOW_TO)}

NOT_RUN = {
    ("README.md", "make demo"): "what the demonstration of the repository itself runs, in minutes",
    ("README.md", "make test"): "what runs this test",
    ("README.md", "melpy build packages/hello.yaml"): "GNU hello's configure takes too long; make demo does it",
    ("README.md", "melpy build packages/"): "builds GNU hello, too; docs/how-to/build-a-repository.md does the same",
    ("README.md", "apk add"): "installs hello; the tutorial does the same with what is built here",
    ("docs/tutorial.md", "make setup"): "has run, or there would be no melpy to test",
    ("docs/how-to/offline-sources.md", "melpy build --offline packages/hello.yaml"): "as in README.md",
    ("docs/how-to/offline-sources.md", "git clone --mirror https://github.com/"): "needs a public server",
    ("docs/how-to/containers.md", "podman run"): "needs podman, and an image",
    ("docs/how-to/containers.md", "jq "): "needs podman's own profile",
    ("docs/how-to/containers.md", "apt-get install"): "changes the machine",
    ("docs/how-to/containers.md", "chmod u-s"): "changes the machine",
    ("docs/how-to/containers.md", "setcap "): "changes the machine",
}
"""All commands of the pages that are not run, by page and beginning, and why."""

NEEDS = {"apk add": "apk", "bwrap --bind": "apk", "melpy build --arch aarch64": "qemu-aarch64-static"}
"""Commands that are run where a program is installed."""


class File(NamedTuple):
    """A file that a page has a reader write."""

    path: str
    text: str


class Command(NamedTuple):
    """A command line of a page."""

    line: str
    fails: bool


@dataclass
class Clone:
    """A fresh clone, with a home directory of its own."""

    directory: Path
    home: Path

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "https_proxy") if name in os.environ}
        environment |= {"HOME": str(self.home), "TERM": "dumb"}
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


def parts_of(page: Path) -> Iterator[File | Command]:
    """Yield the files and commands of a page, in order."""
    before = ""
    for number, text in enumerate(re.split(r"^```", page.read_text(), flags=re.MULTILINE)):
        if number % 2 == 0:
            before = text.rstrip().rpartition("\n\n")[2]
            continue
        language, _, body = text.partition("\n")
        name = re.search(r"`([\w./-]+)`(?:, [^`]*)?:$", before)
        if language == "sh":
            yield from map(command_of, commands_in(re.sub(r"\\\n\s*", "", body)))
        elif name:
            yield File(name[1], body)


def commands_in(block: str) -> Iterator[str]:
    """Yield the commands of a block; one goes on until its quotes are closed."""
    command = ""
    for line in block.splitlines():
        command += line
        try:
            shlex.split(command, comments=True)
        except ValueError:
            command += "\n"
        else:
            yield command
            command = ""
    assert not command, block


def command_of(line: str) -> Command:
    bare, _, comment = line.partition("  #")
    return Command(bare.rstrip(), fails=comment.strip().startswith("fails"))


def reason_against(page: str, line: str) -> str:
    """Return why a command is not run; nothing where it is."""
    for (where, start), reason in NOT_RUN.items():
        if where == page and line.startswith(start):
            return reason
    return next(
        (
            f"{tool} is not installed"
            for start, tool in NEEDS.items()
            if line.startswith(start) and not shutil.which(tool)
        ),
        "",
    )


def before(page: str, parts: Iterable[File | Command]) -> Iterator[Command]:
    """Yield what make demo has done when a guide is read, as far as its commands need it."""
    if page == "docs/tutorial.md":
        return  # which begins at the beginning
    lines = [part.line for part in parts if isinstance(part, Command) and not reason_against(page, part.line)]
    yield Command(". .venv/bin/activate", fails=False)
    if any("fetch packages/" in line for line in lines):
        yield Command("melpy bootstrap -q --arch x86_64 packages/hello.yaml", fails=False)
    if any(re.search(r"\bout\b|verify$|greet.yaml|index$", line) for line in lines):
        yield Command("melpy build -q packages/libgreet.yaml packages/greet.yaml", fails=False)


def script_of(page: str, parts: Iterable[File | Command]) -> str:
    """Return what a reader types: it ends at the first command that does not do as the page says."""
    lines = ["shopt -s expand_aliases", 'end() { echo "the page says otherwise: $1" >&2; exit 1; }']
    for part in parts:
        if isinstance(part, File):
            lines += [f"mkdir -p {Path(part.path).parent}", f"cat > {part.path} <<'E_N_D'", f"{part.text}E_N_D"]
        elif part.line and not reason_against(page, part.line):
            quoted = part.line.replace("'", "'\\''")
            lines += [f"echo '$ {quoted}' >&2", part.line]
            lines.append(f"test $? {'!=' if part.fails else '='} 0 || end '{quoted}'")
    return "\n".join(lines)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    directory = tmp_path_factory.mktemp("home")
    shared_cache.mkdir(parents=True, exist_ok=True)
    (directory / ".cache").mkdir()
    (directory / ".cache/melpy").symlink_to(shared_cache)
    return directory


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What melpy keygen makes, which takes seconds."""
    key = tmp_path_factory.mktemp("keys") / "local.rsa"
    write_key_pair(key, 2048)
    return key


@pytest.fixture
def clone(tmp_path: Path, home: Path, signing_key: Path, require: Callable[..., None]) -> Clone:
    """A clone as it would be of the next commit, after `make setup` and `melpy keygen`."""
    require("git", "bwrap", "apt-get")
    found = Clone(tmp_path / "melpy", home)
    found.directory.mkdir()
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (found.directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, found.directory / name)
    (found.directory / ".venv").symlink_to(Path(sys.executable).parent.parent)
    for key in (signing_key, signing_key.with_suffix(".rsa.pub")):
        shutil.copy2(key, found.directory / "keys")
    made = found.run("git init -q && git add . && git -c user.name=x -c user.email=x@localhost commit -qm x")
    assert made.returncode == 0, made.stderr
    return found


def test_what_is_not_run_is_there() -> None:
    """Nothing is listed that no page says any more."""
    said = {(name, part.line) for name, page in PAGES.items() for part in parts_of(page) if isinstance(part, Command)}
    for page, start in NOT_RUN:
        assert any(where == page and line.startswith(start) for where, line in said), (page, start)
    for start in NEEDS:
        assert any(line.startswith(start) for _, line in said), start


@pytest.mark.parametrize("name", [name for name in PAGES if name != "docs/how-to/write-a-recipe.md"])
def test_the_commands_of_a_page(name: str, clone: Clone) -> None:
    parts = list(parts_of(PAGES[name]))
    run = clone.run(script_of(name, [*before(name, parts), *parts]))
    assert run.returncode == 0, run.stderr[-4000:]
    assert "Traceback" not in run.stderr


def test_the_recipes_of_the_guide(clone: Clone) -> None:
    """Each example is built from the text in the page, and does what it is for."""
    name = "docs/how-to/write-a-recipe.md"
    parts = list(parts_of(PAGES[name]))
    recipes = {Path(part.path).stem for part in parts if isinstance(part, File) and part.path.endswith(".yaml")}
    assert recipes == {"hail", "py3-hail", "perl-hail", "hail-go", "hail-words", "hail-all"}
    run = clone.run(script_of(name, [Command(". .venv/bin/activate", fails=False), *parts]))
    assert run.returncode == 0, run.stderr[-4000:]
    assert "9 recipes for x86_64: nothing wrong" in run.stderr  # beside 3 of the clone's own
    assert run.stdout.endswith("Hail, C!\nHail, Go!\nHail, Perl!\nHail, Python!\nGood day!\n")
    files = listing(clone, "hail", "hail-doc", "py3-hail", "perl-hail", "hail-go", "hail-words")
    assert {path for path in files if not path.startswith("usr/lib")} >= {
        "usr/bin/hail",
        "usr/share/man/man1/hail.1",
        "usr/share/perl5/vendor_perl/Hail.pm",
        "usr/bin/hail-go",
        "usr/share/hail/words.txt",
    }
    assert [Path(path).name for path in files if path.endswith((".py", ".pyc"))] == ["hail.py"]


def listing(clone: Clone, *names: str) -> list[str]:
    """Return the paths of the files of packages."""
    found = []
    for name in names:
        package = clone.directory / f"out/x86_64/{name}-1.0-r0.apk"
        run = subprocess.run(
            ["tar", "--warning=no-unknown-keyword", "-tf", package], check=True, capture_output=True, text=True
        )
        found += run.stdout.splitlines()
    return found
