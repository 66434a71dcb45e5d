"""What changes in a recipe's own directory is seen, by the next run at the latest."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from melpy.apk.segment import read_segments
from tests.factories.project import Project, file_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def pair(project: Project) -> Project:
    """A recipe that packs what its directory has, and another one."""
    directory = project.directory / "packs"
    for name, text in {"one": "1\n", "two": "2\n"}.items():
        project.write(f"packs/{name}/said", text)
    (directory / "link").symlink_to("one")
    project.write("packs.yaml", file_recipe("packs", runs="cp -R link/ one two ${{targets.destdir}}/\n"))
    project.write("other.yaml", file_recipe("other"))
    return project


def build(project: Project, *arguments: str) -> dict[str, str]:
    run = project.melpy("build", "--json", *arguments, ".", force=False)
    assert run.returncode == 0, run.stderr
    return {job["job"].rsplit("-", 2)[0]: job["outcome"] for job in json.loads(run.stdout)}


def _turn_link(directory: Path) -> None:
    (directory / "link").unlink()
    (directory / "link").symlink_to("two")


def _keep_time(directory: Path) -> None:
    file = directory / "one/said"
    before = file.stat()
    file.write_text("3\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        _turn_link,
        _keep_time,
        lambda directory: (directory / "one/said").chmod(0o755),
        lambda directory: (directory / "one/said").rename(directory / "one/told"),
        lambda directory: (directory / "empty").mkdir(),
    ],
    ids=["link to a directory", "same time and size", "mode", "name", "directory"],
)
def test_a_change_is_built(pair: Project, change: Callable[[Path], None]) -> None:
    build(pair)
    assert build(pair) == {"packs": "up-to-date", "other": "up-to-date"}
    change(pair.directory / "packs")
    assert build(pair) == {"packs": "built", "other": "up-to-date"}
    assert build(pair) == {"packs": "up-to-date", "other": "up-to-date"}


@pytest.mark.parametrize("rule", ["inputs", "recipe"])
@pytest.mark.parametrize("edited", ["packs", "other"])
def test_what_is_edited_during_a_run_is_built_by_the_next_one(pair: Project, rule: str, edited: str) -> None:
    """It may be of a build that goes on, or of one that was up to date."""
    pair.write("other/note", "note\n")
    build(pair)
    text = (pair.directory / "packs.yaml").read_text()
    pair.write("packs.yaml", text.replace("- runs: |\n", "- runs: |\n      echo begun; sleep 3\n"))
    file = pair.directory / edited / "note"

    def edit() -> None:
        log = pair.out / "logs/x86_64/packs-1.0-r0.log"
        while "begun" not in log.read_text():
            time.sleep(0.05)
        file.write_text("edited\n")

    editor = threading.Thread(target=edit)
    editor.start()
    assert build(pair, "--stale", rule) == {"packs": "built", "other": "up-to-date"}
    editor.join()
    assert build(pair, "--stale", rule) == {"packs": "up-to-date", "other": "up-to-date"} | {edited: "built"}
    assert build(pair, "--stale", rule) == {"packs": "up-to-date", "other": "up-to-date"}


def test_what_is_edited_while_a_build_waits_is_what_it_is_made_of(pair: Project) -> None:
    """Packages tell the inputs that they were made from."""
    pair.write("early.yaml", file_recipe("early", runs="echo begun; sleep 3\n"))
    pair.write("packs/one/said", "begun\n")
    process = pair.begin("build", "-v", "-j1", ".", marker="begun")
    pair.write("packs/one/said", "edited\n")
    with process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (told,) = [line for line in said.splitlines() if "have changed since" in line]
    assert told == (
        "[packs-1.0-r0/x86_64] warning: packs: its files have changed since this build was prepared;"
        " it is begun anew in 5 s (attempt 2)"
    )
    with (pair.out / "x86_64/packs-1.0-r0.apk").open("rb") as stream:
        segments = read_segments(stream, where="")
    stated = {path: digest for path, _, digest in json.loads(segments.files[".melpy.json"])["files"]}
    assert stated["one/said"] == hashlib.sha256(b"edited\n").hexdigest()
    assert build(pair) == {"early": "up-to-date", "packs": "up-to-date", "other": "up-to-date"}
