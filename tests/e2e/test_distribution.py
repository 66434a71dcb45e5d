"""This repository's own recipes, built from the seed as a user builds them: real apt, real compilers, real QEMU."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from melpy.apk.segment import read_entry
from melpy.apk.signature import load_keyring, write_key_pair

ROOT = Path(__file__).parent.parent.parent


class Distribution:
    """An output directory and a key; the cache is shared, so that the seed is made once."""

    def __init__(self, directory: Path, cache: Path) -> None:
        self.out = directory / "out"
        self.cache = cache
        self.key = directory / "local.rsa"
        self.public_key = write_key_pair(self.key, 2048)

    def melpy(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "melpy", *arguments, "--cache-dir", str(self.cache)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, *arguments: str) -> list[dict[str, object]]:
        options = ["--out-dir", str(self.out), "--signing-key", str(self.key), "--json"]
        result: list[dict[str, object]] = json.loads(self.melpy("build", *options, *arguments))
        return result

    def try_out(self, script: str, packages: str, arch: str, directory: Path) -> None:
        """Install packages into an environment and run a script there: a recipe that fails when the script does."""
        recipe = directory / "try.yaml"
        lines = "".join(f"      {line}\n" for line in script.splitlines())
        recipe.write_text(
            "package:\n  name: try\n  version: 1\n  epoch: 0\n"
            f"environment:\n  contents:\n    packages: [busybox, {', '.join(packages.split())}]\n"
            f"pipeline:\n  - runs: |\n{lines}      mkdir ${{{{targets.destdir}}}}/tried\n"
        )
        self.build("--config", str(ROOT / "melpy.toml"), "--arch", arch, str(recipe))

    def path(self, name: str, arch: str) -> Path:
        return self.out / arch / f"{name}.apk"


@pytest.fixture(scope="module")
def distribution(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, require: Callable[..., None]
) -> Distribution:
    require("bwrap", "apt-get", "qemu-aarch64-static")
    return Distribution(tmp_path_factory.mktemp("distribution"), shared_cache)


def needed_by_readelf(package: Path, member: str, directory: Path) -> set[str]:
    """Return what binutils says that a program of a package needs."""
    program = directory / "program"
    with tarfile.open(package, ignore_zeros=True) as tar:
        content = tar.extractfile(member)
        assert content is not None
        program.write_bytes(content.read())
    text = subprocess.run(
        ["readelf", "--dynamic", "--program-headers", program], capture_output=True, text=True, check=True
    ).stdout
    interpreter = re.search(r"program interpreter: (\S+)]", text)
    names = set(re.findall(r"\(NEEDED\).*\[(\S+)]", text))
    return names | ({Path(interpreter[1]).name} if interpreter else set())


def test_hello_is_built_from_its_upstream_tarball(distribution: Distribution, tmp_path: Path) -> None:
    distribution.melpy("bootstrap", "--arch", "x86_64", "packages/hello.yaml")
    distribution.build("--arch", "x86_64", "packages/hello.yaml")
    package = distribution.path("hello-2.10-r0", "x86_64")
    info = read_entry(package, keyring=load_keyring([distribution.public_key])).info
    assert info.provides == ("cmd:hello=2.10-r0",)
    needed = needed_by_readelf(package, "usr/bin/hello", tmp_path)
    assert {name.removeprefix("so:") for name in info.depends} == needed
    distribution.try_out('[ "$(hello)" = "Hello, world!" ]', "hello", "x86_64", tmp_path)
    with tarfile.open(distribution.path("hello-doc-2.10-r0", "x86_64"), ignore_zeros=True) as tar:
        assert "usr/share/man/man1/hello.1" in tar.getnames()
    first = package.read_bytes()
    distribution.build("--arch", "x86_64", "packages/hello.yaml")
    assert package.read_bytes() == first


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_a_program_is_built_after_its_library_and_runs(distribution: Distribution, arch: str, tmp_path: Path) -> None:
    jobs = [item["job"] for item in distribution.build("--arch", arch, "packages/greet.yaml", "packages/libgreet.yaml")]
    assert jobs == [f"libgreet-1.2.0-r0/{arch}", f"greet-1.2.0-r0/{arch}"]
    library = read_entry(distribution.path("libgreet-1.2.0-r0", arch)).info
    assert "so:libgreet.so.1=1" in library.provides
    development = read_entry(distribution.path("libgreet-dev-1.2.0-r0", arch)).info
    assert development.depends == ("libgreet=1.2.0-r0", "so:libgreet.so.1")
    assert development.provides == ("pc:libgreet=1.2.0-r0",)
    program = read_entry(distribution.path("greet-1.2.0-r0", arch)).info
    assert "so:libgreet.so.1" in program.depends
    needed = needed_by_readelf(distribution.path("greet-1.2.0-r0", arch), "usr/bin/greet", tmp_path)
    assert {name.removeprefix("so:") for name in program.depends} == needed
    # An environment that asks for the program gets library and libc with it.
    script = f'[ "$(greet melpy)" = "Hello, melpy! From {arch}." ]\ngreet-all one two | grep two'
    distribution.try_out(script, "greet greet-scripts", arch, tmp_path)


LANGUAGES = """\
package: {name: languages, version: 1, epoch: 0, copyright: [{license: MIT}]}
environment: {contents: {packages: [busybox, py3-build-base, perl, make, ruby-3.3]}}
pipeline:
  - name: sources
    runs: |
      mkdir -p python/thing perl/lib/Try ruby/lib
      echo 'number = 1' > python/thing/__init__.py
      printf '[project]\\nname = "thing"\\nversion = "1"\\n' > python/pyproject.toml
      printf '[tool.setuptools]\\npackages = ["thing"]\\n' >> python/pyproject.toml
      echo 'package Try::Thing; our $VERSION = 2; 1;' > perl/lib/Try/Thing.pm
      echo 'use ExtUtils::MakeMaker; WriteMakefile(NAME => "Try::Thing", VERSION => 2);' > perl/Makefile.PL
      echo 'THING = 3' > ruby/lib/thing.rb
      echo 'Gem::Specification.new { |s| s.name = "thing"; s.version = "3"; s.summary = "t"; s.authors = ["t"];
        s.files = ["lib/thing.rb"] }' > ruby/thing.gemspec
  - name: perl
    working-directory: perl
    pipeline:
      - uses: perl/make
      - runs: make install DESTDIR="${{targets.destdir}}"
      - uses: perl/cleanup
  - name: ruby
    pipeline:
      - {uses: ruby/build, with: {gem: thing, dir: ruby}}
      - {uses: ruby/install, with: {gem: thing, version: 3, dir: ruby}}
subpackages:
  - name: py3.13-thing
    pipeline:
      - runs: |
          cd python
          pip install --no-index --no-build-isolation --no-deps --no-compile --prefix=/usr \\
            --root="${{targets.contextdir}}" .
          directory=$(python3.13 -c 'import site; print(site.getsitepackages()[0])')
          python3.13 -m compileall -q --invalidation-mode=unchecked-hash -r100 "${{targets.contextdir}}$directory"
"""
TRIED = """\
[ "$(python3.13 -c 'import thing; print(thing.number)')" = 1 ]
[ "$(python3.13 -c 'import thing; print(thing.__path__[0])')" = /usr/lib/python3.13/site-packages/thing ]
[ "$(perl -MTry::Thing -e 'print Try::Thing->VERSION')" = 2 ]
[ "$(ruby -e 'require "thing"; puts THING')" = 3 ]
[ "$(echo 'puts [info tclversion]' | tclsh)" = 9.0 ]
. /usr/lib/tclConfig.sh
[ "$TCL_VERSION" = 9.0 ]
python3.13 -c 'import ssl; assert len(ssl.create_default_context().get_ca_certs()) > 100'
"""


def test_modules_go_where_the_tree_has_them_and_are_found_there(distribution: Distribution, tmp_path: Path) -> None:
    (tmp_path / "languages.yaml").write_text(LANGUAGES)
    distribution.build("--config", str(ROOT / "melpy.toml"), "--arch", "x86_64", str(tmp_path / "languages.yaml"))
    files = set()
    for name in ("languages-1-r0", "py3.13-thing-1-r0"):
        with tarfile.open(distribution.path(name, "x86_64"), ignore_zeros=True) as tar:
            files |= {item.name for item in tar if item.isfile()}
    assert {
        "usr/lib/python3.13/site-packages/thing/__init__.py",
        "usr/lib/python3.13/site-packages/thing/__pycache__/__init__.cpython-313.pyc",
        "usr/share/perl5/vendor_perl/Try/Thing.pm",
        "usr/lib/ruby/gems/3.3.0/gems/thing-3/lib/thing.rb",
    } <= files
    assert not any(path.startswith(("usr/local", "var/lib/gems")) for path in files)
    python = read_entry(distribution.path("py3.13-thing-1-r0", "x86_64")).info
    assert python.depends == ("python-3.13-base",)
    packages = "languages py3.13-thing perl ruby-3.3 tcl-dev merged-bin"
    distribution.try_out(TRIED, packages, "x86_64", tmp_path)
