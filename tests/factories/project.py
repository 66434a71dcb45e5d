"""A directory with recipes, and melpy run in it as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.factories.repository import Repository

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Project:
    """A directory of recipes with a melpy.toml."""

    directory: Path
    repository: Repository
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.write(
            "melpy.toml",
            f"""
            arch = ["x86_64"]
            out-dir = "out"
            cache-dir = "cache"
            signing-key = "{self.repository.public_key.with_suffix("")}"
            repositories = ["{self.repository.root}"]
            keyring = ["{self.repository.public_key}"]
            local-sources = [".."]
            """,
        )

    @property
    def out(self) -> Path:
        return self.directory / "out"

    def write(self, name: str, text: str) -> Path:
        """Write a file, without the indentation of the test."""
        import textwrap

        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def melpy(
        self,
        *arguments: str,
        user: int | None = None,
        prefix: tuple[str, ...] = (),
        stdin: str = "",
        force: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run melpy here and return what it printed.

        Args:
            arguments: of melpy.
            user: id of the user that runs it; None for the one that runs the tests.
            prefix: a program before it, with its arguments.
            stdin: what it reads.
            force: have `build` build what is named although it is up to date.
        """
        forced = ("--force",) if force and arguments[:1] == ("build",) else ()
        return subprocess.run(
            [*prefix, sys.executable, "-m", "melpy", *arguments[:1], *forced, *arguments[1:]],
            cwd=self.directory,
            env=self.full_environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )

    def begin(
        self,
        *arguments: str,
        secret: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        stdout: int = subprocess.DEVNULL,
        marker: str = "waits",
    ) -> subprocess.Popen[str]:
        """Run melpy here in a session of its own, and return when a line ends with a word, such as one of a step.

        Args:
            arguments: of melpy.
            secret: variables beside those of the project.
            pass_fds: open files that it is handed.
            stdout: where its standard output goes.
            marker: the word.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "melpy", *arguments],
            cwd=self.directory,
            env=self.full_environment() | (secret or {}),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            if line.rstrip().endswith(marker):
                return process
        raise AssertionError(f"it did not come so far: {''.join(said)}")

    def full_environment(self) -> dict[str, str]:
        base = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "PYTHONPATH": str(ROOT)}
        return base | self.environment

    def packages(self) -> dict[str, bytes]:
        """Return every package that was written, by path below the output directory."""
        return {str(path.relative_to(self.out)): path.read_bytes() for path in sorted(self.out.glob("*/*.apk"))}

    def leftovers(self) -> list[str]:
        """Return packages, indexes and unfinished files below the output directory; logs are none of these."""
        files = [path for path in self.out.rglob("*") if path.is_file() or path.name.startswith(".")]
        return [str(path.relative_to(self.out)) for path in files if "logs" not in path.parts]


def shell_recipe(name: str = "one", *, runs: str = "", head: str = "", tail: str = "") -> str:
    """Return a recipe that runs a shell fragment in the busybox environment."""
    script = runs or (
        "mkdir -p ${{targets.destdir}}/usr/share/one\n"
        "echo hello > ${{targets.destdir}}/usr/share/one/greeting\n"
        "ln -s greeting ${{targets.destdir}}/usr/share/one/link\n"
    )
    body = "".join(f"      {line}\n" for line in script.splitlines())
    return (
        f"package:\n  name: {name}\n  version: 1.0\n  epoch: 0\n  description: a package of a test\n"
        f"  copyright:\n    - license: MIT\n{head}"
        "environment:\n  contents:\n    packages:\n      - busybox\n"
        f"pipeline:\n  - runs: |\n{body}{tail}"
    )


def file_recipe(name: str, *needs: str, runs: str = "", head: str = "", tail: str = "") -> str:
    """Return a recipe whose environment has some packages, and whose own one has a file with its script."""
    script = (
        f"mkdir -p ${{{{targets.destdir}}}}/usr/share\necho {name} > ${{{{targets.destdir}}}}/usr/share/{name}\n{runs}"
    )
    more = "".join(f"\n      - {need}" for need in needs)
    return shell_recipe(name, runs=script, head=head, tail=tail).replace("      - busybox", f"      - busybox{more}")
