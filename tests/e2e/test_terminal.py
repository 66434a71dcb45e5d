"""What is shown on terminals of several widths, and where there is none."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, shell_recipe
from tests.factories.server import Reply, running_server
from tests.factories.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

MELPY = [sys.executable, "-m", "melpy"]
TAIL = """\
subpackages:
  - name: a-subpackage-with-a-name-that-is-quite-long
    dependencies:
      runtime: [one, some-dependency-of-a-long-name, another-dependency-of-a-long-name]
      provides: [something-with-a-long-name=1, something-else-with-a-long-name=2]
    pipeline: [{runs: "mkdir -p ${{targets.contextdir}}/usr/lib; echo x > ${{targets.contextdir}}/usr/lib/x"}]
"""
SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, toy_repository: object) -> Project:
    project = Project(tmp_path_factory.mktemp("terminal") / "project", toy_repository)  # type: ignore[arg-type]  # the fixture's
    project.write("one.yaml", shell_recipe(tail=TAIL))
    project.write(
        "two.yaml",
        shell_recipe("two").replace(
            "pipeline:\n",
            "pipeline:\n  - uses: fetch\n    with:\n      uri: https://downloads.example.org/a/long/way/down/two-1.0.tar.gz\n"
            f"      expected-sha256: {'1' * 64}\n",
        ),
    )
    assert project.melpy("build", "one.yaml").returncode == 0
    return project


def shown(project: Project, *arguments: str, columns: int, term: str = "xterm-256color") -> list[str]:
    """Return the lines that a terminal shows in the end."""
    with Terminal(project, *MELPY, *arguments, columns=columns, term=term) as terminal:
        text = terminal.read_all()
    assert "Traceback" not in text
    return [SEQUENCE.sub("", line.rpartition("\r")[2]) for line in text.splitlines()]


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize(
    ("command", "always", "wide"),
    [
        ("build --force one.yaml", ["Package", "Size", "Lies in"], ["Arch", "Depends on", "Provides"]),
        ("source list two.yaml", ["Recipe", "Source", "In the cache"], ["Kind", "Digest or commit", "Arch"]),
        ("store show", ["Name", "Size", "Last use"], ["Kind", "Entry"]),
        ("config", ["Setting", "Value"], ["From", "What it is for"]),
        ("variables one.yaml", ["Variable", "Value"], ["From"]),
    ],
)
def test_a_table_fits(built: Project, command: str, always: list[str], wide: list[str], columns: int) -> None:
    lines = shown(built, *command.split(), columns=columns)
    rule = next(number for number, line in enumerate(lines) if line.startswith("───"))
    end = next(
        (number for number, line in enumerate(lines[rule:], rule) if line.startswith(("also with", "2 packages", "/"))),
        len(lines),
    )
    table = lines[rule - 1 : end]
    assert max(map(len, table)) <= columns, "\n".join(table)
    assert all(heading in table[0] for heading in always), table[0]
    left = [heading for heading in wide if heading not in table[0]]
    said = [line for line in lines if line.startswith("also with")]
    assert said == ([f"also with --json or more columns: {', '.join(left)}"] if left else [])
    if columns == 200:
        assert not left


def test_a_narrow_table_of_a_build_is_name_size_and_place(built: Project) -> None:
    lines = shown(built, "build", "--force", "one.yaml", columns=60)
    start = next(number for number, line in enumerate(lines) if line.startswith("Package"))
    assert lines[start : start + 5] == [
        "Package                                     Size  Lies in",
        "────────────────────────────────────────────────────────────",
        "one-1.0-r0                               " + lines[start + 2][41:48] + "  out/x86_64",
        "a-subpackage-with-a-name-that-is-quite-l " + lines[start + 3][41:48] + "  out/x86_64",
        "ong-1.0-r0",
    ]
    assert "also with --json or more columns: Arch, Depends on, Provides" in lines


def test_doctor_fits(built: Project) -> None:
    lines = shown(built, "doctor", columns=60)
    # A path is not broken, so that it can be copied.
    assert all(len(line) <= 60 or " " not in line[24:] for line in lines)
    assert lines[0].startswith("✓ kernel")


def test_without_a_terminal_all_is_there_and_plain(built: Project) -> None:
    run = built.melpy("build", "one.yaml")
    head, one, sub, *rest = run.stdout.splitlines()
    assert head.split("  ")[0] == "Package"
    assert head.endswith("Provides")
    assert one.startswith("one-1.0-r0 ")
    assert "another-dependency-of-a-long-name one some-dependency-of-a-long-name" in sub
    assert not rest
    assert "\x1b" not in run.stdout + run.stderr
    assert "─" not in run.stdout


@pytest.mark.parametrize(
    ("term", "no_color", "color"), [("xterm", "", True), ("xterm", "1", False), ("dumb", "", False)]
)
def test_colour_is_for_terminals_that_have_it(built: Project, term: str, no_color: str, *, color: bool) -> None:
    built.environment = {"NO_COLOR": no_color}
    try:
        with Terminal(built, *MELPY, "build", "--force", "one.yaml", term=term) as terminal:
            text = terminal.read_all()
    finally:
        built.environment = {}
    assert (re.search(r"\x1b\[(?:[0-9;]*;)?3[0-9]", text) is not None) == color, text
    if term == "dumb":
        assert "\x1b" not in text
        assert "\r" not in text


@pytest.fixture
def slow(project: Project) -> tuple[Project, bytes]:
    content = bytes(range(256)) * 8000
    recipe = shell_recipe().replace(
        "pipeline:\n",
        "pipeline:\n  - uses: fetch\n    with:\n      uri: URI/a.bin\n      extract: false\n"
        f"      expected-sha256: {hashlib.sha256(content).hexdigest()}\n",
    )
    project.write("one.yaml", recipe)
    return project, content


def with_server(project: Project, uri: str) -> None:
    path: Path = project.directory / "one.yaml"
    path.write_text(path.read_text().replace("URI", uri))


def test_a_terminal_shows_how_much_of_a_source_has_come(slow: tuple[Project, bytes]) -> None:
    project, content = slow
    with running_server(lambda _: Reply(200, {}, content, seconds=1.5)) as server:
        with_server(project, server.uri)
        with Terminal(project, *MELPY, "source", "fetch", "one.yaml", term="xterm") as terminal:
            text = SEQUENCE.sub("", terminal.read_all())
    amounts = [int(done) for done in re.findall(r"one fetching a\.bin [0-9.]+ [kM]?B of 2\.0 MB \((\d+) %\)", text)]
    assert len(set(amounts)) > 3, text
    assert amounts == sorted(amounts)
    assert re.search(r"fetching a\.bin .*\), [0-9.]+ [kM]B/s", text)
    assert "1 source of 1 recipe: 1 fetched" in text or "1 in the cache" in text


def test_a_log_is_told_now_and_then(slow: tuple[Project, bytes]) -> None:
    """In fewer seconds than the real 10 and 30."""
    project, content = slow
    program = "import sys; from melpy.cli import main, monitor; monitor.FIRST = monitor.EACH = 0.6; main.main()"
    project.write("run.py", program)
    with running_server(lambda _: Reply(200, {}, content, seconds=2)) as server:
        with_server(project, server.uri)
        run = subprocess.run(
            [sys.executable, "run.py", "source", "fetch", "one.yaml"],
            cwd=project.directory,
            env=project.full_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    told = [line for line in run.stderr.splitlines() if "fetching a.bin" in line]
    assert 3 <= len(told) <= 4, run.stderr
    assert re.fullmatch(r"\[one\] fetching a\.bin: [0-9.]+ kB of 2\.0 MB \(\d+ %\)", told[0])
    assert re.fullmatch(r"\[one\] fetching a\.bin: 2\.0 MB after 2 s", told[-1])


def test_packages_of_a_repository_are_counted_together(built: Project, tmp_path: Path) -> None:
    """The whole size is known from the index before anything comes."""
    root = built.repository.root

    def answer(request: object) -> Reply:
        path = root / request.path.lstrip("/")  # type: ignore[attr-defined]  # a Request
        if not path.is_file():
            return Reply(404)
        return Reply(200, {}, path.read_bytes(), seconds=1.0 if path.suffix == ".apk" else 0)

    with running_server(answer) as server:
        project = Project(tmp_path / "other", built.repository)
        settings = project.directory / "melpy.toml"
        settings.write_text(settings.read_text().replace(f'["{root}"]', f'["{server.uri}"]'))
        project.write("one.yaml", shell_recipe())
        with Terminal(project, *MELPY, "build", "--force", "one.yaml", term="xterm") as terminal:
            text = SEQUENCE.sub("", terminal.read_all())
    size = re.findall(r"fetching packages ([0-9.]+ [kM]?B) of ([0-9.]+ [kM]B) \(\d+ %\)", text)
    assert len(size) > 2, text
    assert len({total for _, total in size}) == 1
    assert "done after" in text
