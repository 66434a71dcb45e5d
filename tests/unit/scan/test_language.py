"""Commands, documentation, and the directories of Perl, Python and Ruby."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.scan.model import Finding, Role
from tests.factories.tree import Directory, File, Link, program

if TYPE_CHECKING:
    from tests.factories.tree import Content
    from tests.unit.scan.conftest import Scan


@pytest.mark.parametrize("directory", ["bin", "sbin", "usr/bin", "usr/sbin"])
def test_commands(scan: Scan, directory: str) -> None:
    assert scan({f"{directory}/hello": program()}).provides == ("cmd:hello=1.0-r0",)


@pytest.mark.parametrize(
    "target",
    [
        "hello-1",
        "./hello-1",
        "/usr/bin/hello-1",
        "../../opt/hello/bin/run",
        "/opt/hello/bin/run",
        "chain",
        "../lib/h/b/run",
    ],
)
def test_links_to_commands_of_the_package(scan: Scan, target: str) -> None:
    files: dict[str, Content] = {
        "usr/bin/hello": Link(target),
        "usr/bin/hello-1": program(),
        "opt/hello/bin/run": program(),
        "usr/bin/chain": Link("../lib/h/b/run"),
        "usr/lib/h": Link("/opt/hello"),
        "opt/hello/b": Link("bin"),
    }
    found = scan(files)
    # Without a version, so that it conflicts with no package that has a program of the name.
    assert found.provides == ("cmd:chain", "cmd:hello", "cmd:hello-1=1.0-r0")


def test_links_that_stand_in_for_other_commands_are_not_provided(scan: Scan) -> None:
    links: dict[str, Content] = {f"usr/bin/{name}": Link("bbx") for name in ("cat", "ls")}
    found = scan({"usr/bin/bbx": program(), **links, "usr/bin/x": "#!/bin/ls\n", "usr/bin/y": "#!/usr/bin/env cat\n"})
    assert found.provides == ("cmd:bbx=1.0-r0",)
    assert (found.depends, found.vendored) == ((), ("cmd:cat", "cmd:ls"))


def test_another_name_of_a_command_is_provided(scan: Scan) -> None:
    found = scan({"usr/bin/gawk": program(), "usr/bin/awk": Link("gawk")})
    assert found.provides == ("cmd:awk", "cmd:gawk=1.0-r0")


def test_links_to_a_box_elsewhere_are_not_provided(scan: Scan) -> None:
    links: dict[str, Content] = {f"usr/bin/{name}": Link("/usr/lib/box/box") for name in ("box", "cat", "ls", "rm")}
    assert scan({"usr/lib/box/box": program(), **links}).provides == ("cmd:box",)


def test_a_command_that_is_a_program_and_a_link_is_provided_once(scan: Scan) -> None:
    assert scan({"usr/bin/hello": program(), "sbin/hello": Link("/usr/bin/hello")}).provides == ("cmd:hello=1.0-r0",)


@pytest.mark.parametrize("name", ["h~", "h=", "h~1", "h=1", "h==1"])
def test_a_command_whose_name_cannot_be_provided_is_a_warning(scan: Scan, name: str) -> None:
    found = scan({"usr/bin/hello": program(), f"usr/bin/{name}": program(), "bin/hi": program()})
    assert found.provides == ("cmd:hello=1.0-r0", "cmd:hi=1.0-r0")
    said = "cannot be written as a dependency or provide"
    assert found.warnings == (f"usr/bin/{name}: {said}: cmd:{name}=1.0-r0",)
    linked = scan({"opt/hello": program(), f"usr/bin/{name}": Link("/opt/hello")})
    assert linked.provides == ()
    assert linked.warnings == (f"usr/bin/{name}: {said}: cmd:{name}",)


def test_a_script_needs_no_link_of_its_own_package(scan: Scan) -> None:
    found = scan({"usr/bin/hello": program(), "usr/bin/hi": Link("hello"), "usr/bin/x": program("#!/usr/bin/env hi\n")})
    assert (found.depends, found.warnings) == ((), ())


@pytest.mark.parametrize("stated", ["cmd:hi", "cmd:hi=5", "cmd:hi=1.0-r0"])
def test_a_stated_command_is_not_generated_once_more(scan: Scan, stated: str) -> None:
    found = scan({"usr/bin/hi-1": program(), "usr/bin/hi": Link("hi-1")}, provides=[stated])
    assert sorted(found.provides) == sorted(("cmd:hi-1=1.0-r0", stated))


def test_what_is_no_command(scan: Scan) -> None:
    found = scan(
        {
            "usr/bin/dangling": Link("hello"),
            "usr/bin/outside": Link("../../../../bin/sh"),
            "usr/bin/circle": Link("circle"),
            "usr/bin/to-data": Link("data"),
            "usr/bin/to-directory": Link("sub"),
            "usr/local/bin/link": Link("local"),
            "usr/bin/root-only": File("", 0o744),
            "usr/bin/data": "",
            "usr/bin/sub/deep": program(),
            "usr/local/bin/local": program(),
            "usr/bin/directory": Directory(),
        }
    )
    assert found.provides == ()


def test_documentation(scan: Scan) -> None:
    files = {"usr/share/man/man1/hello.1": "", "usr/share/info/hello.info": ""}
    assert scan(files, package="hello-doc").depends == ("man-db", "texinfo")
    assert scan(files, package="hello").depends == ()


def test_documentation_must_lie_in_its_directory(scan: Scan) -> None:
    assert scan({"opt/man/man1/x.1": "", "usr/share/man": Directory()}, package="x-doc").depends == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("usr/lib/perl5/vendor_perl", ("perl~5",)),
        ("lib/perl5/core_perl", ("perl~5",)),
        ("usr/lib/perl5.36/site_perl", ("perl~5.36",)),
        ("usr/share/perl5/vendor_perl", ()),
        ("usr/lib/perl5/vendor", ()),
        ("usr/lib/perlx/vendor_perl", ()),
    ],
)
def test_perl(scan: Scan, path: str, expected: tuple[str, ...]) -> None:
    assert scan({path: Directory()}).depends == expected


def test_perl_prefers_usr_and_gives_way_to_what_is_stated(scan: Scan) -> None:
    files = {"lib/perl4/a_perl": Directory(), "usr/lib/perl5/a_perl": Directory()}
    assert scan(files).depends == ("perl~5",)
    assert scan(files, runtime=["perl"]).depends == ("perl",)
    assert scan(files, runtime=["perl-json"]).depends == ("perl-json", "perl~5")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("usr/lib/python3.12/site-packages", ("python-3.12-base",)),
        ("opt/x/python3.11/site-packages", ("python-3.11-base",)),
        ("usr/lib/python/site-packages", ()),
        ("usr/lib/pypy3/site-packages", ()),
        ("usr/lib/python3.12/dist-packages", ()),
        ("site-packages", ()),
    ],
)
def test_python(scan: Scan, path: str, expected: tuple[str, ...]) -> None:
    assert scan({path: Directory()}).depends == expected


def test_the_last_python_counts_and_gives_way_to_what_is_stated(scan: Scan) -> None:
    files = {"usr/lib/python3.11/site-packages": Directory(), "usr/lib/python3.12/site-packages": Directory()}
    assert scan(files).depends == ("python-3.12-base",)
    assert scan(files, runtime=["python3"]).depends == ("python3",)
    assert scan({"usr/lib/python3.12/site-packages": ""}).depends == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("usr/lib/ruby/gems/3.2.0/gems", ("ruby-3.2",)),
        ("usr/lib/ruby/gems/3.4.1/gems", ("ruby-3.4",)),
        ("lib/ruby/gems/3.2.0/gems", ("ruby-3.2",)),
        ("usr/lib/ruby/gems/3.2/gems", ()),
        ("usr/lib/ruby/3.2.0/gems", ()),
    ],
)
def test_ruby(scan: Scan, path: str, expected: tuple[str, ...]) -> None:
    assert scan({path: Directory()}).depends == expected


@pytest.mark.parametrize("stated", ["ruby", "ruby-3.3"])
def test_ruby_gives_way_to_what_is_stated(scan: Scan, stated: str) -> None:
    assert scan({"usr/lib/ruby/gems/3.2.0/gems": Directory()}, runtime=[stated]).depends == (stated,)


def test_findings_carry_their_evidence(scan: Scan) -> None:
    found = scan({"usr/bin/hello": program("#!/bin/dash\n")})
    assert found.evidence == (
        Finding("cmd:dash", "usr/bin/hello", "shebang", Role.DEPENDS),
        Finding("cmd:hello=1.0-r0", "usr/bin/hello", "command", Role.PROVIDES),
    )
