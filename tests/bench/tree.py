"""A tree of recipes of the size and shape of a whole distribution, generated; nothing in it is real."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECIPES = 3_400
FEW = 400
"""Recipes of a tree that is checked again and again, such as by a hook before each commit."""

SMALL_C = """\
package:
  name: small
  version: "1"
  epoch: 0
  description: A program in C of one line
  copyright:
    - license: Apache-2.0
environment:
  contents:
    packages: [build-base, busybox]
pipeline:
  - runs: |
      mkdir -p ${{targets.destdir}}/usr/bin
      echo 'int main(void) { return 0; }' > small.c
      cc -O2 -o ${{targets.destdir}}/usr/bin/small small.c
  - uses: strip
"""
"""A recipe whose environment is that of most programs in C, and whose steps take next to nothing."""
COMMITS = 30_000

_PYTHONS = {"3.10": "310", "3.11": "311", "3.12": "312", "3.13": "313"}
_CHECK = """
name: Check {name}
needs: {{packages: [{name}-check]}}
inputs:
  packages: {{description: what is looked at, default: "${{{{context.name}}}}"}}
  verbose: {{description: say more, default: "false"}}
pipeline:
  - name: look
    runs: |
      {name}-check \\
        --packages="${{{{inputs.packages}}}}" \\
        --verbose="${{{{inputs.verbose}}}}"
"""


def write_tree(directory: Path, recipes: int = RECIPES) -> None:
    """Write recipes and pipelines: one recipe in three makes a package for each Python, one in nine is large."""
    (directory / "pipelines/check").mkdir(parents=True)
    for name in ("links", "help", "version", "docs", "files"):
        (directory / f"pipelines/check/{name}.yaml").write_text(_CHECK.format(name=name))
    for number in range(recipes):
        name = f"made-{number:04}"
        text = _python(name, number) if number % 3 == 0 else _autoconf(name, number)
        (directory / f"{name}.yaml").write_text(text)


def write_history(repository: Path) -> None:
    """Write a history in which each commit changes one recipe, some of them much more often than others."""
    chance = random.Random(1)  # the same history each time
    stream = []
    for number in range(COMMITS):
        recipe = number if number < RECIPES else int(RECIPES * chance.random() ** 4)
        stream.append(
            f"commit refs/heads/main\ncommitter a <a@example.org> {1600000000 + 60 * number} +0000\ndata 1\nx\n"
            f"M 644 inline made-{recipe}.yaml\ndata <<.\n{number}\n.\n\n"
        )
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repository, input="".join(stream), text=True, check=True)
    subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/main"], cwd=repository, check=True)


def _head(name: str, number: int) -> str:
    return f"""package:
  name: {name}
  version: "{number % 7}.{number % 10}.{number % 13}"
  epoch: {number % 5}
  description: What {name} is for, in some words that do not matter
  copyright:
    - license: Apache-2.0
  dependencies:
    runtime:
      - made-{number // 2:04}

vars:
  upstream: {name}
  commit: {number:040x}

var-transforms:
  - from: ${{{{package.version}}}}
    match: ^(\\d+\\.\\d+)\\.\\d+$
    replace: $1
    to: major-minor

environment:
  contents:
    packages:
      - build-base
      - busybox
      - ca-certificates-bundle
      - wolfi-base
"""


def _source(name: str) -> str:
    return f"""
pipeline:
  - uses: git-checkout
    with:
      repository: https://example.org/{name}/${{{{vars.upstream}}}}
      tag: v${{{{package.version}}}}
      expected-commit: ${{{{vars.commit}}}}
"""


def _tests(indent: str, name: str) -> str:
    lines = f"""
test:
  pipeline:
    - uses: check/links
    - uses: check/version
      with:
        verbose: true
    - name: It says its version
      runs: |
        {name} --version | grep ${{{{package.version}}}}
        {name} --help
"""
    return "\n".join(indent + line if line else line for line in lines.splitlines()) + "\n"


def _autoconf(name: str, number: int) -> str:
    script = "\n".join(
        f"      install -Dm644 file-{line} ${{{{targets.contextdir}}}}/usr/share/{name}/{line}" for line in range(9)
    )
    subpackages = "".join(
        f"""  - name: {name}-{kind}
    description: {kind} of ${{{{package.name}}}}
    pipeline:
      - uses: {uses}
    dependencies:
      provides:
        - {name}-{kind}-alias=${{{{package.full-version}}}}
{_tests("    ", name)}
"""
        for kind, uses in (("dev", "split/dev"), ("doc", "split/manpages"))
    )
    extra = "".join(
        f"  - name: {name}-part-{part}\n    if: ${{{{build.arch}}}} != 'riscv64'\n    pipeline:\n      - runs: |\n"
        f"          mkdir -p ${{{{targets.subpkgdir}}}}/usr/{part}\n{_tests('    ', name)}\n"
        for part in range(10 if number % 9 == 1 else 0)
    )
    return f"""{_head(name, number)}{_source(name)}
  - uses: autoconf/configure
    with:
      opts: --disable-static --with-version=${{{{vars.major-minor}}}} --host=${{{{host.triplet.gnu}}}}
  - uses: autoconf/make
  - uses: autoconf/make-install
  - runs: |
{script}
  - uses: strip

subpackages:
{subpackages}{extra}{_tests("", name)}"""


def _python(name: str, number: int) -> str:
    items = "\n".join(f"      {key}: '{value}'" for key, value in _PYTHONS.items())
    return f"""{_head(name, number)}
data:
  - name: py-versions
    items:
{items}
{_source(name)}
subpackages:
  - range: py-versions
    name: py${{{{range.key}}}}-{name}
    description: python${{{{range.key}}}} version of {name}
    dependencies:
      runtime:
        - python-${{{{range.key}}}}-base
      provides:
        - py3-{name}=${{{{package.full-version}}}}
      provider-priority: ${{{{range.value}}}}
    pipeline:
      - uses: python/build-wheel
      - uses: strip
{_tests("    ", name)}
{_tests("", name)}"""
