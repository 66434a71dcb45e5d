from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.scan.shebang import parse_shebang
from tests.factories.tree import Link

if TYPE_CHECKING:
    from tests.unit.scan.conftest import Scan


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        ("#!/usr/bin/env bash\n", "bash"),
        ("#!/usr/bin/env python3.12\n", "python3.12"),
        ("#!/bin/dash\n", "/bin/dash"),
        ("#! /bin/dash -e\n", "/bin/dash"),
        ("#!/usr/bin/env -S bash -x\n", "bash"),
        ("#!/usr/bin/perl", "/usr/bin/perl"),
        ("cs101 assignment\n", ""),
        ("#!   \n", ""),
        ("#!\t\n", ""),
        ("#!\n", ""),
        ("#!", ""),
        ("", ""),
        ("#!\n/bin/dash", ""),
    ],
)
def test_parse_shebang(head: str, interpreter: str) -> None:
    assert parse_shebang(head.encode()) == interpreter


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("#!/usr/bin/env bash -x\n", "multiple arguments"),
        ("#!/usr/bin/env\n", "without a program"),
        ("#!/usr/bin/env -S\n", "without a program"),
        ("#!/usr/bin/env -S -i bash\n", "where a program is expected"),
        ("#!/usr/bin/env -S A=1 bash\n", "where a program is expected"),
        ("#!/usr/bin/env -i\n", "where a program is expected"),
    ],
)
def test_parse_shebang_that_names_no_program(head: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_shebang(head.encode())


@pytest.mark.parametrize("directory", ["usr/bin", "usr/bin/sub", "usr/local/bin", "usr/local/sbin"])
def test_scripts_need_their_interpreter(scan: Scan, directory: str) -> None:
    assert scan({f"{directory}/x": "#!/bin/dash\n"}).depends == ("cmd:dash",)


@pytest.mark.parametrize("directory", ["bin", "usr/sbin", "usr/lib", "opt/usr/bin"])
def test_scripts_elsewhere_do_not(scan: Scan, directory: str) -> None:
    assert scan({f"{directory}/x": "#!/bin/dash\n"}).depends == ()


@pytest.mark.parametrize("name", ["python3", "python", "sh", "awk", "luajit"])
def test_some_interpreters_are_not_named(scan: Scan, name: str) -> None:
    assert scan({"usr/bin/x": f"#!/usr/bin/{name}\n", "usr/bin/y": f"#!/usr/bin/env {name}\n"}).depends == ()


def test_links_are_not_scripts(scan: Scan) -> None:
    assert scan({"opt/x": "#!/bin/dash\n", "usr/bin/x": Link("../../opt/x")}).depends == ()


def test_what_cannot_be_told_is_a_warning(scan: Scan) -> None:
    (warning,) = scan({"usr/bin/x": "#!/usr/bin/env bash -x\n"}).warnings
    assert warning.startswith("usr/bin/x: the first line gives env multiple arguments")


def test_a_placeholder_left_in_is_a_warning(scan: Scan) -> None:
    found = scan({"usr/bin/x": "#!@PERL@\n"})
    assert found.depends == ()
    assert found.warnings == ("usr/bin/x: cannot be written as a dependency or provide: cmd:@PERL@",)
