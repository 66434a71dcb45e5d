"""Lock files: what is written is read back, and what is none is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from melpy.errors import LockError
from melpy.solve.lockfile import (
    Lock,
    LockedEnvironment,
    LockedPackage,
    LockedRecipe,
    LockedRepository,
    load_lock,
    render_lock,
)

if TYPE_CHECKING:
    from pathlib import Path

BUILD = LockedEnvironment(("busybox", "a>1"), (LockedPackage("busybox", "1-r0", "Q1x", "./repo"),))
LOCK = Lock(
    "x86_64",
    {"./repo": LockedRepository("k.rsa.pub", "-----BEGIN…\n"), "out-dir": LockedRepository()},
    {"hello": LockedRecipe(BUILD, {"hello-dev": LockedEnvironment((), ())}), "b": LockedRecipe(BUILD)},
)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "melpy-x86_64.lock"
    path.write_text(render_lock(LOCK))
    assert load_lock(path) == LOCK


def test_each_package_has_a_line() -> None:
    lines = render_lock(LOCK).splitlines()
    assert (
        sum(line.strip().startswith('{"name": "busybox", "version": "1-r0", "checksum": "Q1x"') for line in lines) == 2
    )
    assert list(json.loads(render_lock(LOCK))["recipes"]) == ["b", "hello"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a lock file of the form melpy-lock-1"),
        ('{"format": "melpy-lock-9"}', "is not a lock file of the form melpy-lock-1"),
        ('{"format": "melpy-lock-1"}', "has no 'arch'"),
        (render_lock(LOCK).replace('"version": "1-r0", ', ""), "has no 'version'"),
        (render_lock(LOCK).replace('"1-r0"', "1"), "is a broken lock file: version is not a text: 1"),
        (render_lock(LOCK).replace('"key"', '"kee"'), "is a broken lock file: unknown key 'kee'"),
        (render_lock(LOCK).replace('"packages"', '"pakages"'), "unknown key 'pakages'"),
        (render_lock(LOCK).replace('"world": [', '"world": "abc", "tests": ['), "is a broken lock file"),
        (render_lock(LOCK).replace('"name": "busybox"', '"name": "../busybox"'), "not a package: ../busybox"),
        (render_lock(LOCK).replace('"1-r0"', '"../1"'), r"not a package: busybox \.\./1"),
        (render_lock(LOCK).replace('"Q1x"', '"Q1\\ud800"'), "checksum is not a text"),
        ("[" * 100_000, "nests too deep"),
        (
            render_lock(LOCK).replace('"repository": "./repo"', '"repository": "./rope"'),
            "busybox is from './rope', which is none of its repositories",
        ),
    ],
)
def test_what_is_no_lock_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.lock"
    path.write_text(text)
    with pytest.raises(LockError, match=message) as caught:
        load_lock(path)
    assert caught.value.where == str(path)


def test_a_package_is_locked_once(tmp_path: Path) -> None:
    twice = LockedEnvironment((), BUILD.packages * 2)
    path = tmp_path / "x.lock"
    path.write_text(render_lock(Lock("x86_64", LOCK.repositories, {"a": LockedRecipe(twice)})))
    with pytest.raises(LockError, match="busybox is there twice"):
        load_lock(path)


def test_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="no such lock file"):
        load_lock(tmp_path / "x.lock")
    with pytest.raises(LockError, match="cannot be read"):
        load_lock(tmp_path)
