"""The pipelines of Cargo, Ruby, Perl, npm, R and PECL."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look
from tests.factories.tree import Content, Link, program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factories.bench import Bench

OUT = "/home/build/melange-out/hello"


def test_cargo(bench: Bench) -> None:
    bench.tool("cargo", "mkdir -p target/release", "echo program > target/release/hello")
    assert bench.use("cargo/build", {"output": "hello"}).status == 0
    (call,) = bench.calls
    assert call.argv == ("cargo", "auditable", "build", "--target-dir", "target", "--release")
    assert (call.environment["RUSTFLAGS"], call.directory) == ("", "/home/build")
    assert look(bench.out()) == {"usr/bin/hello": "0755 program\n"}


def test_all_inputs_of_cargo(bench: Bench) -> None:
    bench.tool("cargo", "mkdir -p target/opt", "echo program > 'target/opt/a b'")
    bench.add({"a b/Cargo.toml": ""})
    inputs = {
        "output": "a b",
        "opts": "--profile opt \\\n--features 'x y'",
        "modroot": "a b",
        "rustflags": "-C link-args=-Wl,-z,shstk",
        "prefix": "usr/local",
        "install-dir": "lib/x",
        "output-dir": "target/opt",
        "jobs": "3",
    }
    assert bench.use("cargo/build", inputs).status == 0
    (call,) = bench.calls
    options = ("--target-dir", "target", "--jobs", "3", "--profile", "opt", "--features", "x y")
    assert call.argv == ("cargo", "auditable", "build", *options)
    assert (call.environment["RUSTFLAGS"], call.directory) == (inputs["rustflags"], "/home/build/a b")
    assert look(bench.out()) == {"usr/local/lib/x/a b": "0755 program\n"}


def test_everything_that_cargo_built(bench: Bench) -> None:
    bench.tool("cargo")
    files: dict[str, Content] = {"one": program("1"), "a b": "2", "one.d": "", ".cargo-lock": "", "deps/x": program()}
    bench.add({f"target/release/{name}": content for name, content in files.items()})
    assert bench.use("cargo/build").status == 0
    assert look(bench.out()) == {"usr/bin/one": "0755 1", "usr/bin/a b": "0755 2"}


def test_cargo_that_builds_nothing(bench: Bench) -> None:
    bench.tool("cargo")
    result = bench.use("cargo/build")
    assert (result.status, result.lines) == (1, ["cargo/build: there is nothing to install in target/release"])
    assert bench.use("cargo/build", {"output": "hello"}).status == 1
    bench.tool("cargo", "exit 101")
    assert bench.use("cargo/build").status == 101


GEMS = "/usr/lib/ruby/gems/3.4.0"
SPECIFICATION = "s.name = 'x'\n  s.signing_key = 'key'\ns.files = []\n"


@pytest.fixture
def ruby(bench: Bench) -> Bench:
    bench.tool("ruby", f"echo {GEMS}")
    bench.tool("gem")
    return bench


@pytest.mark.parametrize(
    ("pipeline", "inputs"),
    [("ruby/build", {"gem": "x"}), ("ruby/install", {"gem": "x", "version": "1"}), ("ruby/clean", {})],
)
def test_ruby_must_be_there(bare: Bench, pipeline: str, inputs: dict[str, str]) -> None:
    result = bare.use(pipeline, inputs)
    assert (result.status, result.lines) == (1, [f"{pipeline}: Ruby is not installed; put it into the environment"])


def test_a_gem_is_built(ruby: Bench) -> None:
    ruby.add({"my.gemspec": SPECIFICATION, "a b/x.gemspec": SPECIFICATION})
    assert ruby.use("ruby/build", {"gem": "my"}).status == 0
    inputs = {"gem": "x", "dir": "a b", "output": "o p.gem", "opts": "--strict -C 'a b'"}
    assert ruby.use("ruby/build", inputs).status == 0
    assert ruby.argvs == [
        ("gem", "build", "my.gemspec"),
        ("gem", "build", "x.gemspec", "--output", "o p.gem", "--strict", "-C", "a b"),
    ]
    assert ruby.calls[1].directory == "/home/build/a b"
    for name in ("my.gemspec", "a b/x.gemspec"):
        assert (ruby.workspace / name).read_text() == "s.name = 'x'\ns.files = []\n"


def test_a_gem_without_specification(ruby: Bench) -> None:
    result = ruby.use("ruby/build", {"gem": "my"})
    assert (result.status, result.lines, ruby.calls) == (1, ["ruby/build: there is no my.gemspec"], [])


@pytest.mark.parametrize(
    ("inputs", "file"),
    [
        ({"gem": "my"}, "my-${V}.gem"),
        ({"gem-file": "my-1-java.gem"}, "my-1-java.gem"),
        ({"gem": "my", "gem-file": "other.gem"}, "my-${V}.gem"),
    ],
)
def test_a_gem_is_installed(ruby: Bench, inputs: dict[str, str], file: str) -> None:
    ruby.add({"pkg/x": ""})
    ruby.variables = {"V": "1.2"}
    given = {**inputs, "version": "${V}", "dir": "./pkg", "opts": "-n /x -- --with 'a b'"}
    assert ruby.use("ruby/install", given).status == 0
    assert [call.argv for call in ruby.calls if call.argv[0] == "gem"] == [
        (
            *(
                "gem",
                "install",
                file.replace("${V}", "1.2"),
                "--install-dir",
                f"{OUT}{GEMS}",
                "--bindir",
                f"{OUT}/usr/bin",
            ),
            *("--version", "1.2", "--ignore-dependencies", "--no-document", "--local", "--verbose"),
            *("-n", "/x", "--", "--with", "a b"),
        ),
    ]
    assert ruby.calls[-1].directory == "/home/build/pkg"
    assert look(ruby.out()) == {GEMS[1:]: "empty", "usr/bin": "empty"}


def test_a_gem_must_be_named(ruby: Bench) -> None:
    result = ruby.use("ruby/install", {"version": "1"})
    assert (result.status, result.lines) == (1, ["ruby/install: neither gem nor gem-file is given"])


def test_what_a_gem_leaves(ruby: Bench) -> None:
    below: dict[str, Content] = {
        "build_info/x": "",
        "cache/my-1.gem": "",
        "extensions/a b/gem_make.out": "",
        "extensions/a b/mkmf.log": "",
        "gems/my-1/cache/kept": "kept",
        "extensions/a b/my.so": "kept",
    }
    ruby.add({f"{GEMS[1:]}/{name}": content for name, content in below.items()}, "hello")
    ruby.add({"usr/share/mkmf.log": "kept"}, "hello")
    assert ruby.use("ruby/clean").status == 0
    assert set(look(ruby.out())) == {
        "usr/share/mkmf.log",
        f"{GEMS[1:]}/gems/my-1/cache/kept",
        f"{GEMS[1:]}/extensions/a b/my.so",
    }
    assert ruby.use("ruby/clean", within="hello-empty").status == 0


MAKEFILE_PL = """\
use ExtUtils::MakeMaker;
open my $out, '>', 'seen';
print $out join("\\n", $ENV{CFLAGS}, "default=$ENV{PERL_MM_USE_DEFAULT}", scalar(grep { $_ eq '.' } @INC), @ARGV);
WriteMakefile(NAME => 'Hello', VERSION => 1);
"""


@pytest.mark.parametrize(("before", "after"), [("", ""), ("-O2 -Wall", "-O2 -Wall ")])
def test_a_perl_module_is_configured(bench: Bench, require: Callable[..., None], before: str, after: str) -> None:
    require("perl")
    bench.add({"Makefile.PL": MAKEFILE_PL})
    bench.variables = {"CFLAGS": before} if before else {}
    result = bench.use("perl/make")
    assert result.status == 0, result.lines
    command = ["/usr/bin/perl", "-MConfig", "-e", "print $Config{ccflags}"]
    flags = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "-D" in flags
    seen = (bench.workspace / "seen").read_text().splitlines()
    assert seen == [after + flags, "default=1", "1", "INSTALLDIRS=vendor"]
    assert "INSTALLDIRS = vendor" in (bench.workspace / "Makefile").read_text()


def test_what_a_perl_module_leaves(bench: Bench) -> None:
    kept: dict[str, Content] = {"usr/lib/perl5/a b/Hello.pm": "kept", "usr/lib/x.packlist": "kept"}
    gone: dict[str, Content] = {"usr/lib/perl5/perllocal.pod": "", "usr/lib/perl5/a b/.packlist": Link("x")}
    bench.add({**kept, **gone}, "hello")
    bench.add(gone, "hello-doc")
    assert bench.use("perl/cleanup").status == 0
    assert look(bench.out()) == kept
    assert set(look(bench.out("hello-doc"))) == set(gone)


def test_npm(bench: Bench) -> None:
    bench.tool("npm")
    assert bench.use("npm/install", {"package": "@scope/x", "version": "1.2"}).status == 0
    assert bench.argvs == [("npm", "install", "-g", "@scope/x@1.2", "--prefix", f"{OUT}/usr/")]
    assert look(bench.out()) == {"usr/bin": "empty", "usr/lib": "empty"}


def test_npm_with_overrides(bench: Bench) -> None:
    bench.tool(
        *("npm", "mkdir -p lib/node_modules node_modules", "cat package.json > /home/build/seen 2>/dev/null"),
        *("touch node_modules/.package-lock.json node_modules/made package-lock.json", "exit 0"),
    )
    prefix = "${{targets.contextdir}}/opt/a b"
    bench.add({"opt/a b/lib/node_modules/old": "", "opt/a b/lib/node_modules/.package-lock.json": ""}, "hello")
    overrides = "# which\nyargs@^17.0.0, @s/get-stdin@npm:@t/x@9\n\n  c@github:a/b#main # why\n"
    inputs = {"package": "x", "version": "1.2", "prefix": prefix, "overrides": overrides}
    assert bench.use("npm/install", inputs).status == 0
    assert bench.argvs == [
        ("npm", "install", "-g", "x@1.2", "--prefix", f"{OUT}/opt/a b"),
        ("npm", "install", "--install-strategy=shallow", "."),
    ]
    assert bench.calls[1].directory == f"{OUT}/opt/a b/lib"
    assert json.loads((bench.workspace / "seen").read_text()) == {
        "dependencies": {"x": "1.2"},
        "overrides": {"yargs": "^17.0.0", "@s/get-stdin": "npm:@t/x@9", "c": "github:a/b#main"},
    }
    left = look(bench.out() / "opt/a b/lib")
    assert {name for name in left if not name.startswith("lib")} == {"node_modules/made"}


@pytest.mark.parametrize("override", ["yargs", "@s/x", "x@"])
def test_overrides_that_are_none(bench: Bench, override: str) -> None:
    bench.tool("npm")
    result = bench.use("npm/install", {"package": "x", "version": "1", "overrides": f"a@1 {override}"})
    assert (result.status, len(bench.calls)) == (1, 1)
    assert result.lines == [f"npm/install: an override is written name@version, found {override}"]


def test_pnpm(bench: Bench) -> None:
    bench.tool("pnpm")
    inputs = {"package": "x", "version": "1.2", "npm-package": "pnpm", "overrides": "a@1"}
    assert bench.use("npm/install", inputs).status == 0
    assert bench.argvs == [
        ("pnpm", "install", "-g", "x@1.2", "--prefix", f"{OUT}/usr/"),
        ("pnpm", "install", "."),
    ]
    environment = bench.calls[0].environment
    assert environment["PNPM_HOME"] == "/home/build/.pnpm/store"
    assert environment["PATH"].startswith("/home/build/.pnpm/store:")


def test_only_npm_and_pnpm(bench: Bench) -> None:
    result = bench.use("npm/install", {"package": "x", "version": "1", "npm-package": "yarn"})
    assert (result.status, result.lines) == (1, ["npm/install: npm-package must be npm or pnpm, found 'yarn'"])


def test_r(bench: Bench) -> None:
    bench.tool("R")
    assert bench.use("R/build", {"package": "x", "version": "1"}).status == 0
    assert bench.use("R/build", {"package": "x", "version": "1", "path": "a b.tar.gz"}).status == 0
    command = ("R", "CMD", "INSTALL", f"--library={OUT}/usr/lib/R/library")
    assert bench.argvs == [(*command, "."), (*command, "a b.tar.gz")]
    assert look(bench.out()) == {"usr/lib/R/library": "empty"}


def test_pecl(bench: Bench) -> None:
    for name in ("phpize", "make"):
        bench.tool(name)
    bench.add({"configure": program("#!/bin/sh\nprintf '%s\\n' \"$@\" > seen\n")})
    assert bench.use("pecl/phpize").status == 0
    assert (bench.workspace / "seen").read_text() == "--prefix=/usr\n--with-php-config=php-config\n"
    assert bench.use("pecl/phpize", {"prefix": "/opt/a b", "php-config": "php-config-8.4"}).status == 0
    assert (bench.workspace / "seen").read_text() == "--prefix=/opt/a b\n--with-php-config=php-config-8.4\n"
    assert bench.use("pecl/install", {"extension": "raphf"}).status == 0
    assert bench.argvs == [("phpize",), ("phpize",), ("make", f"INSTALL_ROOT={OUT}", "install")]
    assert look(bench.out()) == {"etc/php/conf.d/raphf.ini": "extension=raphf.so\n"}
