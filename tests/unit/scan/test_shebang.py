from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from melpy.scan.model import Switches
from melpy.shebang import parse_shebang
from tests.factories.tree import Link, program

if TYPE_CHECKING:
    from tests.factories.tree import Content
    from tests.unit.scan.conftest import Scan


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        ("#!/usr/bin/env bash\n", "bash"),
        ("#!/usr/bin/env python3.12\n", "python3.12"),
        ("#!/bin/dash\n", "/bin/dash"),
        ("#! /bin/dash -e\n", "/bin/dash"),
        ("#!/usr/bin/env -S bash -x\n", "bash"),
        ("#!/usr/bin/env -Sbash\n", "bash"),
        ("#!/usr/bin/env -vS bash -x\n", "bash"),
        ("#!/usr/bin/env --split-string=bash -x\n", "bash"),
        ("#!/usr/bin/env -S -i bash\n", "bash"),
        ("#!/usr/bin/env -iS bash\n", "bash"),
        ("#!/usr/bin/env -S - A=1 bash\n", "bash"),
        ("#!/usr/bin/env -S A=1 bash\n", "bash"),
        ("#!/usr/bin/env -S -u NAME -C / -- bash\n", "bash"),
        ("#!/usr/bin/env -S --argv0=x --block-signal bash\n", "bash"),
        ("#!/usr/bin/env -S 'ba'\"sh\" #x\n", "bash"),
        ("#!/usr/bin/env -S bash ${HOME}\n", "bash"),
        ("#! \t/bin/env\t bash \t\n", "bash"),
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
        ("#!/usr/bin/env -S A=1\n", "without a program"),
        ("#!/usr/bin/env -i\n", "'-i' is where a program is expected"),
        ("#!/usr/bin/env -u bash\n", "without a program"),
        ("#!/usr/bin/env -i bash\n", "multiple arguments"),
        ("#!/usr/bin/env -S -x bash\n", "does not know: '-x'"),
        ("#!/usr/bin/env -S -0 bash\n", "starts no program"),
        ("#!/usr/bin/env --version\n", "starts no program"),
        ("#!/usr/bin/env -S --ign bash\n", "does not know: '--ign'"),
        ("#!/usr/bin/env -S --debug=1 bash\n", "--debug a value"),
        ("#!/usr/bin/env -S -u\n", "-u has no value"),
        ("#!/usr/bin/env -S 'bash\n", "quotes for env that do not end"),
        ("#!/usr/bin/env -S \\bash\n", "an escape for env that is none"),
        ("#!/usr/bin/env -S ${SHELL}\n", "by a variable"),
        ("#!/usr/bin/env -S $SHELL\n", "not written ${NAME}"),
        ("#!/bin/bash\r\n", "ends in a carriage return"),
        ("#!/usr/bin/env bash\r\n", "ends in a carriage return"),
    ],
)
def test_parse_shebang_that_names_no_program(head: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
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


@pytest.mark.parametrize("word", ["@PERL@", "perl", "./perl", "bin/perl", "env perl", "perl\r"])
def test_an_interpreter_without_a_path_is_a_warning(scan: Scan, word: str) -> None:
    found = scan({"usr/bin/x": f"#! {word}\n"})
    assert found.depends == ()
    said = f"the first line names its interpreter {word.split(maxsplit=1)[0]!r} without a path"
    assert found.warnings == (f"usr/bin/x: {said}",)


@pytest.mark.parametrize(
    "line", ["#![allow(dead_code)]", "#![feature(x)] // y", "#!", "#! \t", "#!/usr/bin/env ./perl"]
)
def test_a_first_line_that_names_no_command(scan: Scan, line: str) -> None:
    found = scan({"usr/bin/x.rs": program(f"{line}\nfn main() {{}}\n")}, switches=Switches(no_provides=True))
    assert (found.depends, found.warnings) == ((), ())


OWN = "#!/opt/duo/bin/python3.11\n"


@pytest.mark.parametrize(
    "files",
    [
        {"opt/duo/bin/python3.11": program()},
        {"opt/duo/bin/python3.11": Link("python3"), "opt/duo/bin/python3": program()},
        {"opt/duo": Link("/usr/lib/duo"), "usr/lib/duo/bin/python3.11": program()},
    ],
)
def test_an_interpreter_of_the_package_itself_is_no_dependency(scan: Scan, files: dict[str, Content]) -> None:
    assert scan({"usr/bin/duo": OWN, **files}).depends == ()


def test_an_interpreter_of_a_sibling_is_a_dependency_on_it(scan: Scan) -> None:
    found = scan({"usr/bin/duo": OWN}, relatives={"duo-python": {"opt/duo/bin/python3.11": program()}})
    assert found.depends == ("duo-python=1.0-r0",)
    # A link of the one may lead to a file of the other.
    link: dict[str, Content] = {"usr/bin/duo": OWN, "opt/duo/bin/python3.11": Link("/opt/py/python")}
    assert scan(link, relatives={"py": {"opt/py/python": program()}}).depends == ("py=1.0-r0",)


def test_an_interpreter_that_others_provide_stays_a_command(scan: Scan) -> None:
    found = scan({"usr/bin/x": "#!/usr/bin/duo\n"}, relatives={"duo": {"usr/bin/duo": program()}})
    assert found.depends == ("cmd:duo",)
    assert scan({"usr/bin/duo": OWN}).depends == ("cmd:python3.11",)
    venv: dict[str, Content] = {"usr/bin/duo": OWN, "opt/duo/bin/python3.11": Link("/usr/bin/python3.11")}
    assert scan(venv).depends == ("cmd:python3.11",)


def test_an_interpreter_of_the_build_is_a_warning(scan: Scan) -> None:
    found = scan({"usr/bin/x": "#!/home/build/venv/bin/perl\n", "usr/bin/y": "#!/usr/bin/env /home/build/perl\n"})
    assert found.depends == ()
    assert found.warnings == (
        "usr/bin/x: the first line names /home/build/venv/bin/perl, which is nowhere but in the build",
        "usr/bin/y: the first line names /home/build/perl, which is nowhere but in the build",
    )
