"""A tree of small real C recipes of every shape that a run over a tree meets, and what is to be expected of it.

    python -m tests.factories.forest DIR --recipes 200 --seed 7

writes `packages/*.yaml`, `melpy.toml`, keys, `bootstrap/` (a repository with first versions of recipes that need one
another) and `expectation.json`, in a git repository of their own. Compilers come from Debian, the seed of melpy.toml.
Everything but the key is a function of the arguments.

Libraries `t000`, `t001`, ... are in chains and diamonds; each is linked with those that it needs, so it cannot be built
before them. Programs `app-...` are linked with some. The others have one of each shape: see `SHAPES`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from melpy.apk.model import PackageInfo
from tests.factories.repository import Repository, make_repository

ARCHES = ("x86_64", "aarch64")
RING = tuple(f"ring-{number}" for number in range(1, 6))

SHAPES = {
    "ring-1 … ring-5": "each needs the headers of the next one, the last those of the first",
    "selfish": "needs its own headers",
    "codegen": "a script that others need as `cmd:codegen`, built once for all architectures",
    "generated": "is made by it",
    "by-pc": "needs a library as `pc:t000`",
    "by-so": "needs a library as `so:libt000.so.1`",
    "data": "no program: built once for all architectures, with a library of one",
    "data-user": "needs it, and sees no library",
    "broken": "its compiler fails",
    "broken-user": "needs it, so it is skipped",
    "broken-user-user": "needs that one, so it is skipped too",
    "only-x86": "is not meant for aarch64",
    "only-x86-user": "needs it, and is not meant for aarch64 either",
}
"""Recipes of particular shapes."""

_SETTINGS = """\
arch = {}
out-dir = "out"
cache-dir = "cache"
signing-key = "keys/test.rsa"
{}"""
_HEAD = """\
package:
  name: {name}
  version: 1.0.0
  epoch: 0
  description: {name}, of a generated tree
  copyright:
    - license: MIT
{extra}
environment:
  contents:
    packages:
      - build-base
      - busybox
{needs}
pipeline:
  - runs: |
{script}
"""
_DEV = """
subpackages:
  - name: {name}-dev
    description: {name}, headers
    pipeline:
      - runs: |
          mkdir -p ${{{{targets.contextdir}}}}/usr/lib
          cd ${{{{targets.destdir}}}}/usr
          mv include ${{{{targets.contextdir}}}}/usr/
          mv lib/*.so lib/pkgconfig ${{{{targets.contextdir}}}}/usr/lib/
"""

_RING_BODY = """\
#include <{0}.h>
#ifdef IS_OLD
#define VALUE 1001
#else
#define VALUE 1
#endif
"""
"""A library of the ring returns 1 when it was built with headers of the tree, and 1001 with the first ones."""


@dataclass
class Expectation:
    """What is to be expected of a run over the tree.

    Attributes:
        needs: by recipe, those that have to be built before it; of the ring, those that it needs.
        arches: by recipe, the architectures that it is meant for, or `noarch`.
        ring: recipes that need one another.
        own: recipes that need themselves.
        fails: recipes whose build fails.
        skipped: recipes that are not built, each with the failed one that is the reason.
        outside: names that `bootstrap/` offers.
    """

    needs: dict[str, list[str]] = field(default_factory=dict)
    arches: dict[str, list[str]] = field(default_factory=dict)
    ring: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    fails: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)

    @property
    def built(self) -> list[str]:
        """Builds that succeed, as `t000-1.0.0-r0/x86_64`."""
        bad = {*self.fails, *self.skipped}
        return sorted(f"{name}-1.0.0-r0/{arch}" for name, its in self.arches.items() for arch in its if name not in bad)


@dataclass
class Forest:
    """A tree that is being written.

    Attributes:
        directory: where it goes.
        chance: what is chosen at random.
        expectation: what is to be expected of it.
    """

    directory: Path
    chance: random.Random
    expectation: Expectation = field(default_factory=Expectation)

    def write(self, name: str, script: str, needs: dict[str, str], *, dev: bool = False, arch: str = "") -> None:
        """Write a recipe.

        Args:
            name: its name.
            script: its step.
            needs: names in its environment, each with the recipe that makes it.
            dev: whether it has a package of headers.
            arch: the only one that it is meant for, or `noarch`.
        """
        extra = f"  target-architecture:\n    - {arch}\n" if arch else ""
        wanted = "".join(f"      - {need}\n" for need in needs)
        body = "".join(f"      {line}\n" for line in script.strip().splitlines())
        text = _HEAD.format(name=name, extra=extra, needs=wanted, script=body) + (_DEV.format(name=name) if dev else "")
        (self.directory / f"packages/{name}.yaml").write_text(text)
        self.expectation.needs[name] = sorted({recipe for recipe in needs.values() if recipe != name})
        self.expectation.arches[name] = [arch] if arch else list(ARCHES)

    def write_library(self, name: str, needs: list[str], body: str = "", others: dict[str, str] | None = None) -> None:
        """Write a library with headers that is linked with libraries that it needs."""
        names = [need.replace("-", "_") for need in needs]
        calls = "".join(f" + {need}()" for need in names)
        includes = "".join(f"#include <{need}.h>\n" for need in needs)
        links = "".join(f" -l{need}" for need in needs)
        function = name.replace("-", "_")
        value = "VALUE" if "VALUE" in body else "1"
        script = f"""
mkdir -p ${{{{targets.destdir}}}}/usr/lib/pkgconfig ${{{{targets.destdir}}}}/usr/include
cat > {name}.c <<'END'
{includes}{body}int {function}(void) {{ return {value}{calls}; }}
END
cc -O1 -shared -fPIC -Wl,--no-undefined -Wl,-soname,lib{name}.so.1 {name}.c{links} \\
  -o ${{{{targets.destdir}}}}/usr/lib/lib{name}.so.1
ln -s lib{name}.so.1 ${{{{targets.destdir}}}}/usr/lib/lib{name}.so
echo 'int {function}(void);' > ${{{{targets.destdir}}}}/usr/include/{name}.h
printf '%s\\n' 'Name: {name}' 'Description: {name}' 'Version: 1.0.0' 'Libs: -l{name}' \\
  > ${{{{targets.destdir}}}}/usr/lib/pkgconfig/{name}.pc
"""
        self.write(name, script, {f"{need}-dev": need for need in needs} | (others or {}), dev=True)

    def write_program(self, name: str, libraries: list[str], needs: dict[str, str] | None = None) -> None:
        """Write a program that is linked with libraries."""
        calls = "".join(f" + {library.replace('-', '_')}()" for library in libraries)
        includes = "".join(f"#include <{library}.h>\n" for library in libraries)
        links = "".join(f" -l{library}" for library in libraries)
        script = f"""
mkdir -p ${{{{targets.destdir}}}}/usr/bin
cat > main.c <<'END'
#include <stdio.h>
{includes}int main(void) {{ return printf("%d\\n", 0{calls}) < 0; }}
END
cc -O1 main.c{links} -o ${{{{targets.destdir}}}}/usr/bin/{name}
"""
        self.write(name, script, {f"{library}-dev": library for library in libraries} if needs is None else needs)


def write_forest(
    directory: Path, recipes: int = 200, seed: int = 7, *, plain: bool = False, made: Path | None = None
) -> Expectation:
    """Write a tree, and return what is to be expected of it.

    Args:
        directory: a new directory.
        recipes: number of recipes; at least those of particular shapes.
        seed: of everything that is chosen at random.
        plain: leave out recipes of particular shapes; all are built, and all names are stated.
        made: a cache of melpy in which compilers have been made from the seed, which is used as a repository then: no
            server is asked, and the cache of the tree is its own.
    """
    (directory / "packages").mkdir(parents=True)
    forest = Forest(directory, random.Random(seed))
    keys = make_repository(directory)
    bootstrap = Repository(directory / "bootstrap", keys.signer, keys.public_key)
    forest.write_library("t000", [])
    if not plain:
        _write_ring(forest, bootstrap)
        _write_shapes(forest)
    _write_rest(forest, recipes - len(forest.expectation.needs))
    (directory / "melpy.toml").write_text(_render_settings(plain, made))
    (directory / "expectation.json").write_text(json.dumps(asdict(forest.expectation), indent=1))
    _commit(directory)
    return forest.expectation


def _render_settings(plain: bool, made: Path | None) -> str:
    repositories = [] if plain else [("bootstrap", "keys/test.rsa.pub")]
    if made:
        suite = made.absolute() / "seed/trixie"
        repositories.append((f"{suite}/repository", f"{suite}/key/melpy-seed-trixie.rsa.pub"))
    lines = ["" if made else 'seed = "trixie"\n']
    if repositories:
        lines.append(f"repositories = {json.dumps([place for place, _ in repositories])}\n")
        lines.append(f"keyring = {json.dumps([key for _, key in repositories])}\n")
    return _SETTINGS.format(json.dumps(list(ARCHES)), "".join(lines))


def _write_ring(forest: Forest, bootstrap: Repository) -> None:
    """Write the recipes that need one another, or themselves, and first versions of them."""
    found = forest.expectation
    with tempfile.TemporaryDirectory() as scratch:
        for name in (*RING, "selfish"):
            _write_first(bootstrap, Path(scratch), name)
    found.outside = sorted(name + end for name in (*RING, "selfish") for end in ("", "-dev"))
    found.ring = list(RING)
    for name, following in zip(RING, (*RING[1:], RING[0]), strict=True):
        # Headers alone: linked with each other, none of them could be installed without the others.
        forest.write_library(name, [], _RING_BODY.format(following), {f"{following}-dev": following})
    found.own = ["selfish"]
    forest.write_library("selfish", [], "#include <selfish.h>\n", {"selfish-dev": "selfish"})


def _write_shapes(forest: Forest) -> None:
    found = forest.expectation
    forest.write(
        "codegen",
        """
mkdir -p ${{targets.destdir}}/usr/bin
cat > ${{targets.destdir}}/usr/bin/codegen <<'END'
#!/bin/sh
echo "int main(void) { return $1; }"
END
chmod +x ${{targets.destdir}}/usr/bin/codegen
""",
        {},
        arch="noarch",
    )
    forest.write(
        "generated",
        """
mkdir -p ${{targets.destdir}}/usr/bin
codegen 3 > main.c
cc -O1 main.c -o ${{targets.destdir}}/usr/bin/generated
""",
        {"cmd:codegen": "codegen"},
    )
    forest.write_program("by-pc", ["t000"], {"pc:t000": "t000"})
    forest.write("by-so", "test -e /usr/lib/libt000.so.1\nmkdir ${{targets.destdir}}/opt", {"so:libt000.so.1": "t000"})
    forest.write(
        "data",
        """
mkdir -p ${{targets.destdir}}/usr/share/data
test -e /usr/lib/libt000.so.1
seq 1000 > ${{targets.destdir}}/usr/share/data/numbers
""",
        {"t000": "t000"},
        arch="noarch",
    )
    forest.write(
        "data-user",
        """
mkdir -p ${{targets.destdir}}/opt
test ! -e /usr/lib/libt000.so.1
wc -l < /usr/share/data/numbers > ${{targets.destdir}}/opt/lines
""",
        {"data": "data"},
    )
    forest.write("broken", "echo 'int main(void) { return nothing; }' > main.c\ncc main.c -o broken", {})
    forest.write_program("broken-user", [], {"broken": "broken"})
    forest.write_program("broken-user-user", [], {"broken-user": "broken-user"})
    found.fails = ["broken"]
    found.skipped = {"broken-user": "broken", "broken-user-user": "broken"}
    forest.write("only-x86", "mkdir -p ${{targets.destdir}}/opt/only", {}, arch="x86_64")
    forest.write("only-x86-user", "mkdir -p ${{targets.destdir}}/opt/user", {"only-x86": "only-x86"}, arch="x86_64")


def _write_first(bootstrap: Repository, scratch: Path, name: str) -> None:
    """Put a first version of a recipe into a repository: headers that say of themselves that they are old."""
    include = scratch / name / "usr/include"
    include.mkdir(parents=True)
    function = name.replace("-", "_")
    (include / f"{name}.h").write_text(f"int {function}(void);\n#define IS_OLD\n")
    for arch in ARCHES:
        main = PackageInfo(name=name, version="0-r0", arch=arch, origin=name)
        headers = PackageInfo(name=f"{name}-dev", version="0-r0", arch=arch, origin=name, depends=(f"{name}=0-r0",))
        bootstrap.add_all([(main, scratch / "nothing"), (headers, scratch / name)])


def _write_rest(forest: Forest, count: int) -> None:
    """Write libraries and programs: chains, diamonds, and some that many need."""
    chance = forest.chance
    libraries = ["t000"]
    for number in range(1, count + 1):
        if chance.random() < 0.3 and len(libraries) > 3:
            forest.write_program(f"app-{number:03}", chance.sample(libraries, min(3, len(libraries))))
            continue
        name = f"t{number:03}"
        near = libraries[-4:]  # chains, and diamonds where it is two of these
        needs = chance.sample(near, min(len(near), chance.choice((0, 1, 1, 2))))
        if chance.random() < 0.2:
            needs = [*needs, libraries[0]]
        forest.write_library(name, sorted(set(needs)))
        libraries.append(name)


def _commit(directory: Path) -> None:
    (directory / ".gitignore").write_text("/out\n/cache\n/keys\n/bootstrap\n")
    environment = ["-c", "user.name=author", "-c", "user.email=author@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "tree", "--date=@1700000000 +0000"]):
        subprocess.run(
            ["git", *environment, *arguments],
            cwd=directory,
            check=True,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_COMMITTER_DATE": "@1700000000 +0000"},
        )


def main() -> None:
    """Write a tree for use by hand."""
    parser = argparse.ArgumentParser(description="Write a tree of small C recipes.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--recipes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plain", action="store_true", help="without recipes of particular shapes")
    parser.add_argument("--made", type=Path, metavar="CACHE", help="take compilers from the seed of a cache of melpy")
    arguments = parser.parse_args()
    write_forest(arguments.directory, arguments.recipes, arguments.seed, plain=arguments.plain, made=arguments.made)


if __name__ == "__main__":
    main()
