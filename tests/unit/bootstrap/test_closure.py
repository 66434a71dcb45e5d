from __future__ import annotations

import pytest

from melpy.bootstrap.closure import Resolver
from melpy.bootstrap.request import reduce_requests
from melpy.bootstrap.table import parse_table
from melpy.errors import PackageFormatError
from tests.unit.bootstrap.packages import stanza, suite

TABLE = b"""
ignore: [debconf]
prefer: {awk: gawk}
packages:
  libc6: {depends: [layout]}
  noisy: {without: [script-tool]}
  gawk: {provides: [awk-base]}
names:
  build-base: gcc libc6
  busybox: gawk
  layout: {version: 1-r0, directories: {tmp: "1777"}, provides: [merged-bin]}
  cmd:cc: gcc
rules:
  - {match: 'perl-(.+)', names: 'lib{1}-perl'}
  - {match: '(.+)-dev', names: 'lib{1}-dev {1}1-dev', alike: '{1}', ending: -dev}
  - {match: 'so:(.*)\\.so\\.([0-9]+)', names: '{1}{2}'}
  - {match: 'py3-supported-(.+)', again: 'py3-{1}'}
  - {match: 'py3-(.+)', names: 'python3-{1}', sources: '{1}', keep: 'python3-.+'}
  - {match: 'lib.+', alike: '{0}'}
late_rules:
  - {match: '([^:]+)', sources: '{1}', keep: 'lib.+[0-9]|{1}-?[0-9.]*(?:-bin)?'}
  - {match: '(.+)-dev', sources: '{1}', keep: '.+-dev'}
  - {match: '(.+)-([0-9.]+)(-dev|)', again: '{1}{3}', version: '{2}'}
"""


@pytest.fixture
def resolver() -> Resolver:
    return Resolver(
        suite(
            stanza("libc6"),
            stanza("gcc", depends="libc6 (>= 2), nowhere | binutils"),
            stanza("binutils", pre_depends="debconf (>= 1) | debconf-2.0", depends="awk"),
            stanza("mawk", provides="awk"),
            stanza("gawk", provides="awk", depends="gawk-data"),
            stanza("gawk-data", depends="gawk"),
            stanza("busybox"),
            stanza("needs-busybox", depends="busybox"),
            stanza("noisy", depends="libc6, script-tool"),
            stanza("script-tool"),
            stanza("libpng-dev"),
            stanza("zlib1-dev"),
            stanza("libjson-xs-perl"),
            stanza("libfl2", source="flex"),
            stanza("libfl-dev", source="flex"),
            stanza("flex-bin", source="flex"),
            stanza("flex-doc", source="flex"),
            stanza("comerr-dev", source="fsprogs (1.47)"),
            stanza("libext-dev", source="fsprogs"),
            stanza("libcurl-gnutls-dev", source="curl", conflicts="libcurl-openssl-dev, libcurl-old-dev (<< 2)"),
            stanza("libcurl-old-dev", source="curl"),
            stanza("libcurl-openssl-dev", source="curl"),
            stanza("python3-pil", source="pillow"),
            stanza("pillow-tools", source="pillow"),
            stanza("cmake", "3.31.6-2"),
            stanza("perl", provides="libcore-perl"),
            stanza("libcore1.0-dev"),
            stanza("other-dev", provides="libcore-dev"),
        ),
        parse_table(TABLE, where="test"),
    )


def closure(resolver: Resolver, *names: str) -> dict[str, tuple[str, ...]]:
    return {name: node.depends for name, node in resolver.close(names).items()}


def test_a_name_of_the_table_brings_everything_it_needs(resolver: Resolver) -> None:
    assert closure(resolver, "build-base") == {
        "build-base": ("gcc", "libc6"),
        "gcc": ("binutils", "libc6"),
        "binutils": ("gawk",),
        "gawk": ("gawk-data",),
        "gawk-data": ("gawk",),
        "libc6": ("layout",),
        "layout": (),
    }


def test_what_only_scripts_need_is_left_out(resolver: Resolver) -> None:
    assert closure(resolver, "noisy")["noisy"] == ("libc6",)


def test_a_debian_package_whose_name_is_taken_is_called_otherwise(resolver: Resolver) -> None:
    assert closure(resolver, "busybox")["busybox"] == ("gawk",)
    assert closure(resolver, "needs-busybox") == {"needs-busybox": ("debian-busybox",), "debian-busybox": ()}


@pytest.mark.parametrize(
    ("asked", "found"),
    [("png-dev", "libpng-dev"), ("zlib-dev", "zlib1-dev"), ("perl-JSON_XS", "libjson-xs-perl"), ("awk", "gawk")],
)
def test_rules_and_provides_lead_to_packages(resolver: Resolver, asked: str, found: str) -> None:
    node = resolver.find(asked)
    assert node is not None
    assert (node.depends, node.model, node.deb) == ((found,), found, None)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("flex", ("flex-bin", "libfl2")),
        ("flex-dev", ("libfl-dev",)),
        ("libfl", ("libfl2",)),
        # What has the project's own version comes first, and gives it.
        ("fsprogs-dev", ("libext-dev", "comerr-dev")),
        # These two openly exclude one another; an old version is no reason.
        ("curl-dev", ("libcurl-gnutls-dev", "libcurl-old-dev")),
        ("py3-supported-pillow", ("python3-pil",)),
        ("cmake-3", ("cmake",)),
        ("perl-core", ("perl",)),
        # A package of the name goes before one that is only provided under it.
        ("core-dev", ("libcore1.0-dev",)),
        ("cmake-3.31", ("cmake",)),
    ],
)
def test_a_project_leads_to_what_is_made_from_it(resolver: Resolver, asked: str, found: tuple[str, ...]) -> None:
    node = resolver.find(asked)
    assert node is not None
    assert (node.depends, node.model) == (tuple(sorted(found)), found[0])


@pytest.mark.parametrize("asked", ["cmake-4", "cmake-3.3", "cmake-31", "py3-supported-pillow-2"])
def test_another_version_is_not_an_answer(resolver: Resolver, asked: str) -> None:
    assert resolver.find(asked) is None


def test_the_answer_does_not_depend_on_what_was_asked_before(resolver: Resolver) -> None:
    before = closure(resolver, "gcc")
    closure(resolver, "mawk", "busybox", "png-dev")
    assert closure(resolver, "gcc") == before


@pytest.mark.parametrize(
    ("request_", "answer"), [("so:libc.so.6", "libc6"), ("cmd:cc", "gcc"), ("so:libx.so.1", None), ("gcc", "gcc")]
)
def test_generated_names_are_guessed(resolver: Resolver, request_: str, answer: str | None) -> None:
    assert resolver.find_answer(request_) == answer


def test_unknown_names_have_near_ones(resolver: Resolver) -> None:
    assert resolver.find("binutil") is None
    assert resolver.find_near("binutil") == ("binutils",)
    assert resolver.find_near("qqq") == ()


def test_requests_are_reduced_to_names() -> None:
    assert reduce_requests(["b>=1.2", "so:libz.so.1", "!conflict", "b~1", "a"]) == ("a", "b", "so:libz.so.1")
    with pytest.raises(PackageFormatError):
        reduce_requests(["a b"])


def test_what_packages_provide_by_the_table_is_found(resolver: Resolver) -> None:
    assert resolver.find_answer("merged-bin") == "layout"
    assert resolver.find_answer("awk-base") == "gawk"
