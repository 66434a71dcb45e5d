"""A workbench for pipelines: a workspace, programs that write down how they were called, and a real sandbox.

The programs of this machine are seen inside, read-only. The shell is the one of Wolfi's roots, busybox with its own
programs, or the one of Debian's, bash with GNU's.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy.build.frame import find_ended, step_script
from melpy.build.step import StepSite, sandbox_spec
from melpy.sandbox.model import BASE_CAPABILITIES, Mount, Root
from melpy.sandbox.runner import run_sandbox
from tests.factories.recipe import plan
from tests.factories.repository import BUSYBOX
from tests.factories.tree import Content, program, tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.plan.model import PlanStep

EPOCH = 1_700_000_000
_PATH = "/opt/tools:/opt/shell:/usr/bin"
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_DIRECTORIES = ("dev", "proc", "run/melpy", "home/build", "usr", "etc/alternatives", "opt/shell", "opt/tools")
_RECORD = """\
#!/bin/sh
number=$(ls /opt/calls | wc -l)
mkdir "/opt/calls/$number"
printf '%s\\0' "${0##*/}" "$@" > "/opt/calls/$number/argv"
/usr/bin/env -0 > "/opt/calls/$number/environment"
pwd > "/opt/calls/$number/directory"
"""


@dataclass(frozen=True)
class Call:
    """How a program was called."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str


@dataclass(frozen=True)
class Result:
    """How a build ended, and every line that it printed."""

    status: int
    lines: list[str]


@dataclass
class Bench:
    """A place to run the steps of a recipe in, without a repository and without packing.

    Attributes:
        directory: where all of it is.
        shell: `busybox` or `bash`.
        variables: variables of the steps.
        usr: what is in /usr instead of this machine's; for busybox, which needs nothing there.
    """

    directory: Path
    shell: str
    variables: dict[str, str] = field(default_factory=dict)
    usr: Mapping[str, Content] | None = None

    def __post_init__(self) -> None:
        layer = self._layer
        for name in (*_DIRECTORIES, "opt/calls", "root", "tmp", "var/cache/melange", "run/melpy"):
            (layer / name).mkdir(parents=True, exist_ok=True)
        (layer / "run/melpy/step").touch()
        for name, target in _LINKS.items():
            (layer / name).symlink_to(target)
        self._add_shell(layer / "opt/shell")
        for path in (self.workspace, self.directory / "calls", self.directory / "tools"):
            path.mkdir(parents=True)

    @property
    def _layer(self) -> Path:
        return self.directory / "layer"

    @property
    def _prelude(self) -> str:
        # Debian's busybox takes its own patch even where PATH has another; Wolfi's does not.
        return 'patch() { /usr/bin/patch "$@"; }\n' if self.shell == "busybox" else ""

    @property
    def workspace(self) -> Path:
        """What is /home/build inside."""
        return self.directory / "workspace"

    @property
    def changed(self) -> Path:
        """What the steps changed of the root."""
        return self.directory / "upper"

    def out(self, package: str = "hello") -> Path:
        """Return the directory of a package."""
        return self.workspace / "melange-out" / package

    def add(self, files: Mapping[str, Content], package: str = "") -> None:
        """Put files into the workspace, or into the directory of a package."""
        tree(self.out(package) if package else self.workspace, files)

    def tool(self, name: str, *lines: str) -> None:
        """Put a program in the way that writes down how it was called, and goes on with some lines of shell."""
        path = self.directory / "tools" / name
        path.write_text(_RECORD + "".join(f"{line}\n" for line in lines))
        path.chmod(0o755)

    @property
    def calls(self) -> list[Call]:
        """How those programs were called, in order."""
        made = sorted((self.directory / "calls").iterdir(), key=lambda path: int(path.name))
        return [_call(path) for path in made]

    @property
    def argvs(self) -> list[tuple[str, ...]]:
        """The command lines of those calls."""
        return [call.argv for call in self.calls]

    def run(self, text: str, *, arch: str = "x86_64") -> Result:
        """Run the steps of all packages of a recipe, until one fails."""
        planned = plan(text, arch=arch)
        lines: list[str] = []
        for package in planned.packages:
            self.out(package.name).mkdir(parents=True, exist_ok=True)
        environment = {**dict(planned.environment.variables), "SOURCE_DATE_EPOCH": str(EPOCH), **self.variables}
        for step in (step for package in planned.packages for step in package.steps):
            status = self._run_step(step, environment, lines)
            if status:
                return Result(status, lines)
        return Result(0, lines)

    def use(self, pipeline: str, inputs: Mapping[str, str] | None = None, *, within: str = "") -> Result:
        """Run one pipeline, in the main package or within a subpackage."""
        given = json.dumps({"uses": pipeline, "with": dict(inputs or {})})  # a JSON text is a YAML text
        if within:
            return self.run(f"subpackages: [{{name: {within}, pipeline: [{given}]}}]\n")
        return self.run(f"pipeline: [{given}]\n")

    def _run_step(self, step: PlanStep, environment: Mapping[str, str], lines: list[str]) -> int:
        state = self.directory / "state"
        state.mkdir(exist_ok=True)
        script = state / "step.sh"
        script.write_text(self._prelude + step_script(step))
        root = Root((self._layer,), self.changed, self.directory / "work", self.directory / "root")
        site = StepSite(root, self.workspace, state, environment, (1000, 1000), BASE_CAPABILITIES)
        spec = sandbox_spec(step, site, script)
        spec = dataclasses.replace(
            spec,
            command=("/opt/shell/sh", *spec.command[1:]),
            environment=(*((key, value) for key, value in spec.environment if key != "PATH"), ("PATH", _PATH)),
            mounts=(
                *spec.mounts,
                Mount(self._usr(), PurePosixPath("/usr")),
                Mount(Path("/etc/alternatives"), PurePosixPath("/etc/alternatives")),
                Mount(self.directory / "tools", PurePosixPath("/opt/tools")),
                Mount(self.directory / "calls", PurePosixPath("/opt/calls"), writable=True),
            ),
        )
        told: list[str] = []
        status = run_sandbox(spec, told.append).status
        lines += [line for line in told if find_ended(line) is None]  # which builds do not show either
        return status

    def _usr(self) -> Path:
        if self.usr is None:
            return Path("/usr")
        assert self.shell == "busybox", "bash needs libraries"
        own = self.directory / "usr"
        tree(own, {**self.usr, **dict.fromkeys(("bin/sh", "bin/env"), program(BUSYBOX.read_bytes()))})
        return own

    def _add_shell(self, directory: Path) -> None:
        if self.shell == "bash":
            (directory / "sh").symlink_to("/usr/bin/bash")
            return
        shutil.copy(BUSYBOX, directory / "busybox")
        listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
        for applet in set(listed.stdout.split()) - {"busybox", "patch"}:  # pipelines ask for the real patch
            (directory / applet).symlink_to("busybox")


def look(root: Path) -> dict[str, str]:
    """Return what is below a directory.

    Files are their text, with the mode before it unless that is 0644; links are `-> target`; of the directories only
    those are named that are empty, as `empty`, or whose mode is not 0755.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        name, mode = str(path.relative_to(root)), f"{path.lstat().st_mode & 0o7777:04o}"
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = ("" if mode == "0644" else f"{mode} ") + path.read_text(errors="replace")
        elif mode != "0755":
            found[name] = mode
        elif not list(path.iterdir()):
            found[name] = "empty"
    return found


def _call(path: Path) -> Call:
    argv = (path / "argv").read_text().split("\0")[:-1]
    rows = (path / "environment").read_text().split("\0")[:-1]
    environment = dict(row.split("=", 1) for row in rows)
    return Call(tuple(argv), environment, (path / "directory").read_text().strip())
