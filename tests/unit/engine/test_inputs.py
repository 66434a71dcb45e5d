"""The key and the identity of a build: what they depend on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from melpy.arch import parse_arch
from melpy.codec import replace
from melpy.engine.history import Revision
from melpy.engine.inputs import (
    Distribution,
    EnvironmentPackage,
    Inputs,
    RecipeFile,
    SourceDigest,
    describe_source,
    job_identity,
    job_key,
    read_recipe_files,
    render_build_inputs,
)
from melpy.plan.git import GitSource
from melpy.plan.library import Library
from melpy.plan.model import Source
from melpy.plan.planner import plan_recipe
from melpy.recipe.load import parse_recipe
from tests.factories.project import shell_recipe

if TYPE_CHECKING:
    from melpy.plan.model import Plan


def plan(text: str) -> Plan:
    return plan_recipe(parse_recipe(text, Path("one.yaml")), parse_arch("x86_64"), Library(()))


INPUTS = Inputs(
    plan=plan(shell_recipe()),
    environment=(EnvironmentPackage("a", "1-r0", content="f" * 64), EnvironmentPackage("b", "2-r0", checksum="Q1b=")),
    sources=(SourceDigest("https://example.org/a.tar.gz", sha256="e" * 64),),
    files=(RecipeFile("fix.patch", "file", "d" * 64),),
    distribution=Distribution("wolfi", "https://github.com/wolfi-dev/os", "Apache-2.0"),
    network=False,
    build_cache="none",
    revision=Revision("c" * 40, 7, path="one.yaml"),
    compressor="zlib-ng-9",
    rules=1,
)


def test_the_forms_are_what_they_were() -> None:
    """Other digests need other names of the forms, or all that was built would be out of date without a word."""
    assert job_key(INPUTS) == "789153640a30f72a8b437cac49d6a714ad22a543f3f6e3250e43da0b54174e5a"
    assert job_identity(INPUTS) == "529b01c2132dac9a95f9c8b59072acecee83a2185790756cdffa6d29b1a99a39"


def test_the_revision_is_of_the_identity_alone() -> None:
    later = replace(INPUTS, revision=Revision("b" * 40, 8, path="one.yaml"))
    assert job_key(later) == job_key(INPUTS)
    assert job_identity(later) != job_identity(INPUTS)


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + shell_recipe(),
        shell_recipe(tail="update:\n  enabled: true\n"),
        shell_recipe(tail="test:\n  pipeline:\n    - runs: 'true'\n"),
        shell_recipe().replace("- runs: |", "- name: a label\n    runs: |"),
        shell_recipe(head="  annotations:\n    owner: somebody\n"),
    ],
)
def test_what_cannot_change_a_package_is_not_in_the_key(text: str) -> None:
    assert text != shell_recipe()
    assert job_key(replace(INPUTS, plan=plan(text))) == job_key(INPUTS)


FETCHES = (
    shell_recipe()
    + f"""\
  - uses: fetch
    with:
      uri: https://example.org/a.tar.gz
      expected-sha256: {"a" * 64}
  - uses: git-checkout
    with:
      repository: https://example.org/a
      tag: v1
      expected-commit: {"b" * 40}
"""
)
SHA, COMMIT = f"expected-sha256: {'a' * 64}\n", f"expected-commit: {'b' * 40}\n"


@pytest.mark.parametrize(
    ("after", "input_text"),
    [
        *((SHA, text) for text in ("timeout: 60", "dns-timeout: 60", "retry-limit: 9", "reason: slow")),
        *((COMMIT, text) for text in ("max-retries: 9", "initial-backoff: 9", "max-backoff: 9", "submodule-jobs: 4")),
    ],
)
def test_how_sources_are_fetched_is_not_in_the_key(after: str, input_text: str) -> None:
    changed = plan(FETCHES.replace(after, f"{after}      {input_text}\n"))
    assert changed.packages[0].steps != plan(FETCHES).packages[0].steps
    assert job_key(replace(INPUTS, plan=changed)) == job_key(replace(INPUTS, plan=plan(FETCHES)))


@pytest.mark.parametrize(
    ("after", "input_text"),
    [
        *((SHA, text) for text in ("strip-components: 0", "directory: sub", "extract: false", "purl-name: other")),
        *((COMMIT, text) for text in ("destination: sub", "depth: 3", "recurse-submodules: true")),
    ],
)
def test_what_is_made_of_sources_is_in_the_key(after: str, input_text: str) -> None:
    changed = plan(FETCHES.replace(after, f"{after}      {input_text}\n"))
    assert job_key(replace(INPUTS, plan=changed)) != job_key(replace(INPUTS, plan=plan(FETCHES)))


@pytest.mark.parametrize(
    "change",
    [
        {"plan": plan(shell_recipe().replace("echo hello", "echo hullo"))},
        {"plan": plan(shell_recipe().replace("a package of a test", "another"))},
        {"plan": plan(shell_recipe().replace("epoch: 0", "epoch: 1"))},
        {"plan": plan(shell_recipe().replace("- busybox", "- busybox\n      - tool"))},
        {"plan": plan(shell_recipe().replace("contents:", "environment: {A: b}\n  contents:"))},
        {"plan": plan(shell_recipe(head="  dependencies:\n    runtime: [x]\n"))},
        {"plan": plan(shell_recipe(head="  scriptlets:\n    post-install: |\n      #!/bin/sh\n      true\n"))},
        {"environment": (*INPUTS.environment[:1], EnvironmentPackage("b", "2-r0", checksum="Q1c="))},
        {"environment": (EnvironmentPackage("a", "1-r0", content="0" * 64), *INPUTS.environment[1:])},
        {"sources": (SourceDigest("https://example.org/a.tar.gz", sha256="0" * 64),)},
        {"sources": (SourceDigest("git+https://example.org/a@v1", commit="0" * 40),)},
        {"files": ()},
        {"files": (RecipeFile("fix.patch", "executable", "d" * 64),)},
        {"files": (RecipeFile("fix-\udcff.patch", "file", "d" * 64),)},
        {"distribution": Distribution("other", "https://github.com/wolfi-dev/os", "Apache-2.0")},
        {"network": True},
        {"build_cache": "shared"},
        {"compressor": "other"},
        {"rules": 2},
    ],
)
def test_what_decides_the_packages_is_in_the_key(change: dict[str, Any]) -> None:
    changed = replace(INPUTS, **change)
    assert job_key(changed) != job_key(INPUTS)
    assert job_identity(changed) != job_identity(INPUTS)


def test_packages_say_what_counts_of_each_package() -> None:
    assert render_build_inputs(INPUTS)["environment"] == [
        {"name": "a", "version": "1-r0", "content": "f" * 64},
        {"name": "b", "version": "2-r0", "checksum": "Q1b="},
    ]


def test_the_files_of_a_recipe_count_as_a_workspace_gets_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_text("x")
    (tmp_path / "sub/a").chmod(0o664)
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o700)
    (tmp_path / "link").symlink_to("sub//a")
    os.mkfifo(tmp_path / "pipe")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert read_recipe_files(tmp_path) == (
        RecipeFile("link", "symlink", "sub//a"),
        RecipeFile("run", "executable", digest),
        RecipeFile("sub", "directory"),
        RecipeFile("sub/a", "file", digest),
    )
    assert read_recipe_files(None) == ()


def test_a_source_without_a_digest_counts_as_it_was_fetched(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert describe_source(Source("https://e.org/a", sha512="0" * 128), tmp_path / "a").sha256 == ""
    assert describe_source(Source("https://e.org/a"), tmp_path / "a").sha256.startswith("2d711642")
    assert describe_source(GitSource("https://e.org/a", tag="v1"), "1" * 40).commit == "1" * 40
    assert describe_source(GitSource("https://e.org/a", commit="2" * 40), "1" * 40).commit == "2" * 40
