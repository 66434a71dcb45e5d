"""What goes wrong is said in one clear message, with a status of its own, and leaves nothing half written."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIGEST = hashlib.sha256(b"what upstream had").hexdigest()

FETCH = """
package:
  name: one
  version: 1.0
environment:
  contents:
    packages: [busybox]
pipeline:
  - uses: fetch
    with:
      uri: {uri}
      expected-sha256: {digest}
      extract: "false"
"""

CASES = {
    "unknown-key": (shell_recipe(head="  dependancies: {}\n"), 13, ["one.yaml:8:3", "dependancies", "dependencies"]),
    "wrong-type": (shell_recipe().replace("epoch: 0", "epoch: zero"), 14, ["one.yaml:4:10", "zero"]),
    "undefined-variable": (
        shell_recipe(runs="true\necho ${{package.versoin}}"),
        15,
        ["one.yaml:15:12", "package.versoin", "package.version"],
    ),
    "failing-step": (shell_recipe(runs="echo about to fail\nfalse"), 60, ["step 1", "about to fail", "log:"]),
    "no-shell": (
        shell_recipe().replace("packages:\n      - busybox", "packages: []"),
        60,
        ["step 1", "no shell; add busybox to environment.contents.packages"],
    ),
    "unresolvable": (
        shell_recipe().replace("- busybox", "- bussybox"),
        31,
        ["one.yaml", "bussybox", "did you mean 'busybox'"],
    ),
    "no-such-pipeline": (
        shell_recipe() + "  - uses: autoconf/mkae\n",
        17,
        ["one.yaml", "autoconf/mkae", "autoconf/make"],
    ),
}


def check_message(result: subprocess.CompletedProcess[str], status: int, words: list[str]) -> None:
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    assert "error: " in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("name", CASES)
def test_a_faulty_recipe_is_explained_and_leaves_nothing(project: Project, name: str) -> None:
    recipe, status, words = CASES[name]
    project.write("one.yaml", recipe)
    check_message(project.melpy("build", "one.yaml"), status, words)
    assert project.leftovers() == []


def test_a_missing_recipe_has_a_near_name(project: Project) -> None:
    project.write("hello.yaml", shell_recipe("hello"))
    check_message(project.melpy("build", "helo.yaml"), 10, ["helo.yaml", "did you mean hello.yaml"])


def test_a_wrong_digest_says_both_and_is_not_kept(project: Project) -> None:
    upstream = project.write("upstream/file.txt", "something else")
    project.write("one.yaml", FETCH.format(uri=f"file://{upstream}", digest=DIGEST))
    found = hashlib.sha256(upstream.read_bytes()).hexdigest()
    check_message(project.melpy("build", "one.yaml"), 41, [DIGEST, found, "hint: "])
    assert project.leftovers() == []
    assert not list((project.directory / "cache/sources").glob("*"))


@pytest.mark.parametrize("uri", ["file:///nowhere/file.txt", "http://127.0.0.1:9/file.txt"])
def test_an_unreachable_source_names_its_uri(project: Project, uri: str) -> None:
    project.write("one.yaml", FETCH.format(uri=uri, digest=DIGEST))
    check_message(project.melpy("build", "one.yaml"), 40, [uri])
    assert project.leftovers() == []


def test_a_missing_signing_key_is_found_before_anything_is_built(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    check_message(project.melpy("build", "one.yaml", "--signing-key", "none.rsa"), 21, ["none.rsa", "melpy keygen"])
    assert project.leftovers() == []


def test_a_key_that_is_none_is_refused(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("bad.rsa", "not a key")
    check_message(project.melpy("build", "one.yaml", "--signing-key", "bad.rsa"), 21, ["bad.rsa", "RSA private key"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_key_is_refused(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("mine.rsa", "secret").chmod(0)
    check_message(
        project.melpy("build", "one.yaml", "--signing-key", "mine.rsa"), 21, ["mine.rsa", "permission denied"]
    )


def test_an_output_place_that_cannot_be_written_is_found_at_once(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("file", "")
    check_message(project.melpy("build", "one.yaml", "--out-dir", "file/out"), 22, ["file/out", "cannot write"])


def test_an_unknown_setting_has_a_near_name(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("melpy.toml", 'out-dri = "x"\n')
    check_message(project.melpy("build", "one.yaml"), 20, ["melpy.toml", "out-dri", "'out-dir'"])


def test_a_repository_signed_by_somebody_else_is_not_used(project: Project, tmp_path: Path) -> None:
    project.write("one.yaml", shell_recipe())
    from melpy.apk.signature import write_key_pair

    other = write_key_pair(tmp_path / "other.rsa", 2048)
    text = (
        (project.directory / "melpy.toml")
        .read_text()
        .replace(f'keyring = ["{project.repository.public_key}"', f'keyring = ["{other}"')
    )
    project.write("melpy.toml", text)
    check_message(project.melpy("build", "one.yaml"), 33, ["test.rsa.pub", "not trusted"])


def test_a_missing_bubblewrap_says_what_to_install(project: Project, tmp_path: Path) -> None:
    project.write("one.yaml", shell_recipe())
    project.environment["PATH"] = str(tmp_path)
    check_message(project.melpy("build", "one.yaml"), 52, ["bwrap is not installed", "install bubblewrap"])


def test_missing_user_namespaces_say_how_to_allow_them(project: Project, require: Callable[..., None]) -> None:
    require("unshare")
    project.write("one.yaml", shell_recipe())
    # In a user namespace of its own, where no further one may be made.
    forbid = (
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
        "sh",
    )
    result = project.melpy("build", "one.yaml", prefix=forbid)
    check_message(result, 50, ["user namespaces", "user.max_user_namespaces"])
    assert project.leftovers() == []


def test_recipes_that_need_one_another_are_named(project: Project) -> None:
    for name, other in (("one", "two"), ("two", "three"), ("three", "one")):
        project.write(f"recipes/{name}.yaml", shell_recipe(name).replace("- busybox", f"- busybox\n      - {other}"))
    result = project.melpy("build", "recipes")
    check_message(result, 30, ["one -> two -> three -> one", "environment two"])


def test_an_interrupt_ends_the_build_and_cleans_up(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="echo $$ started\nsleep 1000"))
    process = subprocess.Popen(
        # Whoever runs the tests may ignore interrupts, as shells make their jobs in the background do.
        ["env", "--default-signal=INT", sys.executable, "-m", "melpy", "build", "-v", "one.yaml"],
        cwd=project.directory,
        env=project.full_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "started" in line:
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 130, rest
    assert "interrupted" in rest
    assert project.leftovers() == []
    assert list((project.directory / "cache/work").iterdir()) == []


def test_all_faults_of_a_recipe_are_told_at_once(project: Project) -> None:
    project.write(
        "one.yaml", shell_recipe(head="  dependancies: {}\n  descripton: x\n").replace("epoch: 0", "epoch: x")
    )
    result = project.melpy("build", "one.yaml")
    check_message(result, 11, ["dependancies", "descripton", "epoch", "3 errors"])


def test_a_failed_build_keeps_the_old_repository(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    assert project.melpy("build", "one.yaml").returncode == 0
    before = {path: path.read_bytes() for path in project.out.glob("x86_64/*")}
    project.write("one.yaml", shell_recipe(runs="touch ${{targets.destdir}}/x\nfalse"))
    assert project.melpy("build", "one.yaml").returncode == 60
    assert {path: path.read_bytes() for path in project.out.glob("x86_64/*")} == before
