"""Licences and recipes in the SBOM of a real build."""

from __future__ import annotations

import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from pathlib import Path

OWN = "    - license: MIT AND LicenseRef-own\n      license-path: doc/OWN\n"
WRITE = """\
mkdir -p doc ${{targets.destdir}}
printf 'Do as you like, Zo\\351.\\n' > doc/TEXT
ln -s TEXT doc/OWN
chmod 600 doc/TEXT
"""


def sbom(path: Path) -> dict[str, Any]:
    with tarfile.open(path, ignore_zeros=True) as tar:
        (name,) = [item for item in tar.getnames() if item.endswith(".spdx.json")]
        stream = tar.extractfile(name)
        assert stream is not None
        found: dict[str, Any] = json.load(stream)
    return found


def test_the_text_of_a_licence_is_read_when_the_steps_are_done(project: Project) -> None:
    project.write("one.yaml", shell_recipe(head=OWN, runs=WRITE))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 0, run.stderr
    found = sbom(project.out / "x86_64/one-1.0-r0.apk")
    (package,) = [item for item in found["packages"] if item["primaryPackagePurpose"] == "APPLICATION"]
    assert package["licenseDeclared"] == "MIT AND MIT AND LicenseRef-own"
    assert found["hasExtractedLicensingInfos"] == [
        {"licenseId": "LicenseRef-own", "extractedText": "Do as you like, Zoé.\n", "name": "LicenseRef-own"}
    ]


@pytest.mark.parametrize(
    "step",
    [
        "mkdir -p doc",
        "mkdir -p doc/OWN",
        "mkdir -p doc; ln -s /etc/passwd doc/OWN",
        "mkdir -p doc; ln -s ../../../../../../../../etc/hostname doc/OWN",
        "ln -s / doc",
        "mkdir -p doc; mkfifo doc/OWN",
        "mkdir -p doc; ln -s OWN doc/OWN",
    ],
)
def test_a_text_that_is_not_in_the_workspace_is_an_error(project: Project, step: str) -> None:
    project.write("one.yaml", shell_recipe(head=OWN, runs=f"{step}\nmkdir -p ${{{{targets.destdir}}}}"))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 11
    assert "error: one.yaml:9:21: the steps left no such file: 'doc/OWN'\n" in run.stderr
    assert not project.packages()


def test_index_and_installed_database_keep_alternatives_together(project: Project) -> None:
    project.write("one.yaml", shell_recipe(head="    - license: GPL-2.0-only OR ISC\n"))
    assert project.melpy("build", "one.yaml").returncode == 0
    with tarfile.open(project.out / "x86_64/APKINDEX.tar.gz", ignore_zeros=True) as tar:
        stream = tar.extractfile("APKINDEX")
        assert stream is not None
        assert "L:MIT AND (GPL-2.0-only OR ISC)" in stream.read().decode().splitlines()


def test_the_recipe_is_named_by_where_it_is_from(project: Project) -> None:
    project.write("os/one.yaml", shell_recipe())
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "os"], ["commit", "-qm", "One"]):
        subprocess.run([*git, *words], cwd=project.directory, check=True)
    stated = ["--namespace", "wolfi", "--git-repo-url", "https://github.com/wolfi-dev/os", "--license", "Apache-2.0"]
    run = project.melpy("build", "os/one.yaml", *stated)
    assert run.returncode == 0, run.stderr
    found = {item["primaryPackagePurpose"]: item for item in sbom(project.out / "x86_64/one-1.0-r0.apk")["packages"]}
    commit = found["INSTALL"]["versionInfo"]
    assert found["INSTALL"]["licenseDeclared"] == "Apache-2.0"
    purls = [found[purpose]["externalRefs"][0]["referenceLocator"] for purpose in ("INSTALL", "APPLICATION")]
    assert purls == [
        f"pkg:github/wolfi-dev/os@{commit}#os/one.yaml",
        "pkg:apk/wolfi/one@1.0-r0?arch=x86_64&distro=wolfi&upstream=one",
    ]


def test_a_licence_of_the_recipes_that_is_none(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", "--license", "Apache 2")
    assert run.returncode == 20
    assert "error: --license: expected AND, OR or WITH, found '2' in 'Apache 2'\n" in run.stderr


def test_check_says_what_is_wrong_with_licences(project: Project) -> None:
    project.write("one.yaml", shell_recipe(head="    - license: GPL-2.0 AND\n"))
    run = project.melpy("check", "one.yaml")
    assert run.returncode == 11
    assert "error: one.yaml:8:26: ends after 'AND'\n" in run.stdout
    project.write("one.yaml", shell_recipe().replace("  copyright:\n    - license: MIT\n", ""))
    run = project.melpy("check", "one.yaml")
    assert (run.returncode, "warning: one.yaml:1:1: names no licence\n" in run.stdout) == (0, True)
