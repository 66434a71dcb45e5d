"""Steps: pipelines, inputs, inheritance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.errors import FaultsError
from melpy.plan.library import BUILT_IN, Library
from melpy.recipe.load import parse_pipeline
from tests.factories.recipe import library, plan

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.plan.model import PlanStep

DEFINITIONS = {
    "greet": """\
        name: Greet
        needs:
          packages: [greeter, "${{inputs.language}}-words"]
        inputs:
          who: {required: true}
          language: {default: en}
          greeting: {default: "hello in ${{inputs.language}}"}
        pipeline:
          - runs: greet ${{inputs.who}} ${{inputs.greeting}}
        """,
    "party/whole": """\
        inputs:
          guest: {default: everybody}
        pipeline:
          - uses: greet
            with:
              who: ${{inputs.guest}}
          - runs: party ${{inputs.guest}}
        """,
    "inner": """\
        inputs:
          opts: {default: own}
        runs: inner ${{inputs.opts}} ${{inputs.outer-only}}
        """,
    "outer": """\
        inputs:
          opts: {default: outer}
          outer-only: {default: seen}
        pipeline:
          - uses: inner
        """,
    "wrapper": """\
        inputs:
          expected-commit: {required: true}
        pipeline:
          - uses: checkout
            with:
              expected-commit: ${{inputs.expected-commit}}
        """,
    "checkout": """\
        inputs:
          expected-commit: {required: true}
        runs: checkout ${{inputs.expected-commit}}
        """,
    "placed": """\
        working-directory: below
        environment: {A: inner, B: "${{inputs.b}}"}
        inputs:
          b: {default: two}
        pipeline:
          - runs: here
          - working-directory: /abs/olute
            environment: {C: three}
            runs: there
        """,
    "only-arm": """\
        if: ${{build.arch}} == 'aarch64'
        needs: {packages: [arm-tools]}
        runs: arm
        """,
    "pretender": "native: fetch\nruns: pretend\n",
}


def steps(directory: Path, text: str, arch: str = "x86_64") -> tuple[PlanStep, ...]:
    return plan(text, arch=arch, pipelines=library(directory, DEFINITIONS)).packages[0].steps


def scripts(directory: Path, text: str, arch: str = "x86_64") -> list[str]:
    return [step.script for step in steps(directory, text, arch)]


def packages(directory: Path, text: str, arch: str = "x86_64") -> tuple[str, ...]:
    return plan(text, arch=arch, pipelines=library(directory, DEFINITIONS)).environment.packages


def complaint(directory: Path, text: str) -> str:
    with pytest.raises(FaultsError) as caught:
        steps(directory, text)
    assert len(caught.value.faults) == 1
    return caught.value.message


def test_inputs_and_defaults_that_name_siblings(tmp_path: Path) -> None:
    text = "pipeline:\n  - uses: greet\n    with: {who: world, language: de}\n"
    assert scripts(tmp_path, text) == ["greet world hello in de"]
    assert packages(tmp_path, text) == ("greeter", "de-words")


def test_an_empty_input_is_its_default(tmp_path: Path) -> None:
    text = "pipeline:\n  - uses: greet\n    with:\n      who: world\n      language: ''\n      greeting:\n"
    assert scripts(tmp_path, text) == ["greet world hello in en"]


def test_a_given_input_may_name_a_sibling(tmp_path: Path) -> None:
    text = "pipeline:\n  - uses: greet\n    with: {who: 'x-${{inputs.language}}'}\n"
    assert scripts(tmp_path, text) == ["greet x-en hello in en"]


def test_pipelines_use_pipelines(tmp_path: Path) -> None:
    text = "pipeline:\n  - uses: party/whole\n    with: {guest: '${{package.name}}'}\n"
    assert scripts(tmp_path, text) == ["greet hello hello in en", "party hello"]


def test_a_child_has_its_own_default_and_sees_the_rest_of_its_parents_inputs(tmp_path: Path) -> None:
    assert scripts(tmp_path, "pipeline:\n  - uses: outer\n    with: {opts: given}\n") == ["inner own seen"]


def test_a_checksum_is_looked_at_once_it_is_rendered(tmp_path: Path) -> None:
    commit = "0123456789abcdefABCDEF0123456789abcdef01"
    text = f"vars:\n  commit: {commit}\npipeline:\n  - uses: wrapper\n    with:\n      expected-commit: "
    assert scripts(tmp_path, text + "${{vars.commit}}\n") == [f"checkout {commit}"]
    assert complaint(tmp_path, text + "main\n") == "expected-commit must be 40 hex digits, found 'main'"


@pytest.mark.parametrize(("name", "length"), [("expected-sha256", 64), ("expected-sha512", 128)])
def test_checksums_have_their_length(tmp_path: Path, name: str, length: int) -> None:
    text = "pipeline:\n  - uses: fetch\n    with:\n      uri: https://example.org/a.tar.gz\n      " + name + ": "
    assert steps(tmp_path, text + "a" * length)[0].native == "fetch"
    for bad in ("a" * (length - 1), "a" * (length + 1), "g" * length):
        assert f"must be {length} hex digits" in complaint(tmp_path, text + bad)


def test_working_directory_and_environment_are_inherited(tmp_path: Path) -> None:
    first, second = steps(
        tmp_path,
        """\
        pipeline:
          - uses: placed
            working-directory: above
            environment: {A: outer, Z: "${{package.name}}"}
        """,
    )
    assert first.workdir == "/home/build/below"
    assert dict(first.environment) == {"A": "inner", "B": "two", "Z": "hello"}
    assert second.workdir == "/abs/olute"
    assert dict(second.environment) == {"A": "inner", "B": "two", "C": "three", "Z": "hello"}


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("", "/home/build"),
        ("src", "/home/build/src"),
        ("./src/../lib", "/home/build/lib"),
        ("/tmp/x", "/tmp/x"),
        ("${{package.name}}-${{package.version}}", "/home/build/hello-1.2.3"),
        ("${{targets.contextdir}}/usr", "/home/build/melange-out/hello/usr"),
    ],
)
def test_working_directories(tmp_path: Path, directory: str, expected: str) -> None:
    text = f"pipeline:\n  - working-directory: {directory}\n    pipeline:\n      - runs: make\n"
    assert steps(tmp_path, text)[0].workdir == expected


def test_a_condition_that_does_not_hold_takes_the_needs_with_it(tmp_path: Path) -> None:
    text = """\
    environment: {contents: {packages: [busybox]}}
    pipeline:
      - if: ${{build.arch}} == 'aarch64'
        needs: {packages: [own-tools]}
        runs: own
      - uses: only-arm
      - runs: all
    """
    assert scripts(tmp_path, text) == ["all"]
    assert packages(tmp_path, text) == ("busybox",)
    assert scripts(tmp_path, text, "aarch64") == ["own", "arm", "all"]
    assert packages(tmp_path, text, "aarch64") == ("busybox", "own-tools", "arm-tools")


@pytest.mark.parametrize(("required", "holds"), [(1, True), (2, False), (0, False)])
def test_required_steps(tmp_path: Path, required: int, holds: bool) -> None:
    text = f"""\
    pipeline:
      - assertions: {{required-steps: {required}}}
        pipeline:
          - if: ${{{{build.arch}}}} == 'x86_64'
            runs: intel
          - if: ${{{{build.arch}}}} == 'aarch64'
            runs: arm
    """
    if holds:
        assert scripts(tmp_path, text) == ["intel"]
    else:
        assert complaint(tmp_path, text) == f"{required} of its steps must run, the conditions of 1 hold"


def test_required_steps_of_a_use_and_of_its_pipeline(tmp_path: Path) -> None:
    library(tmp_path, {"two": "pipeline: [{runs: one}, {runs: two}]"})
    text = "pipeline: [{uses: two, assertions: {required-steps: 1}}]"
    assert complaint(tmp_path, text) == "1 of its steps must run, the conditions of 2 hold"
    library(tmp_path, {"two": "assertions: {required-steps: 2}\npipeline: [{runs: one}, {runs: two}]"})
    assert scripts(tmp_path, text) == ["one", "two"]


def test_labels_name_the_step_or_its_pipeline(tmp_path: Path) -> None:
    found = steps(
        tmp_path,
        """\
        pipeline:
          - runs: one
          - name: build ${{package.name}}
            runs: two
          - uses: greet
            with: {who: me}
          - name: say it
            uses: greet
            with: {who: you}
          - name: outside
            pipeline:
              - runs: inside
        """,
    )
    assert [step.label for step in found] == ["runs", "build hello", "greet", "say it", "outside"]


def test_steps_without_a_script_are_not_run(tmp_path: Path) -> None:
    assert scripts(tmp_path, "pipeline:\n  - name: nothing\n  - runs: '  '\n  - runs: make\n") == ["make"]


def test_own_definitions_come_before_the_built_in_ones(tmp_path: Path) -> None:
    own = library(tmp_path, {"strip": "runs: my strip\n"})
    assert [step.script for step in plan("pipeline:\n  - uses: strip\n", pipelines=own).packages[0].steps] == [
        "my strip"
    ]


def test_only_built_in_pipelines_are_native(tmp_path: Path) -> None:
    (step,) = steps(tmp_path, "pipeline:\n  - uses: pretender\n")
    assert (step.native, step.script) == ("", "pretend")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a..b"])
def test_pipelines_stay_in_their_directory(tmp_path: Path, name: str) -> None:
    assert complaint(tmp_path, f"pipeline:\n  - uses: {name}\n") == f"pipeline {name!r} leaves its directory"


def test_a_circle_of_three_shows_its_chain(tmp_path: Path) -> None:
    circle = library(
        tmp_path, {"a": "pipeline: [{uses: b}]", "b": "pipeline: [{uses: c}]", "c": "pipeline: [{uses: b}]"}
    )
    with pytest.raises(FaultsError) as caught:
        plan("pipeline:\n  - uses: a\n", pipelines=circle)
    assert caught.value.message == "pipelines use each other in a circle: b -> c -> b"


def test_a_pipeline_may_be_used_twice_in_a_row(tmp_path: Path) -> None:
    text = "pipeline:\n" + "  - uses: greet\n    with: {who: me}\n" * 2
    assert len(scripts(tmp_path, text)) == 2


def test_inputs_of_one_step_are_not_seen_by_the_next(tmp_path: Path) -> None:
    text = "pipeline:\n  - uses: greet\n    with: {who: me}\n  - runs: echo ${{inputs.who}}\n"
    assert complaint(tmp_path, text) == "undefined variable 'inputs.who'"


def test_a_definition_is_read_once(tmp_path: Path) -> None:
    pipelines = library(tmp_path, DEFINITIONS)
    first = pipelines.find("greet")
    (tmp_path / "greet.yaml").unlink()
    assert pipelines.find("greet") is first


BUILT_IN_NAMES = sorted(file.relative_to(BUILT_IN).with_suffix("").as_posix() for file in BUILT_IN.rglob("*.yaml"))
OFTEN_NEEDED = {"expected-sha256"}
GIVEN = {
    "expected-sha256": "0" * 64,
    "uri": "https://example.org/hello-1.2.3.tar.gz",
    "repository": "https://example.org/hello.git",
}


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_every_built_in_pipeline_compiles_in_a_subpackage(name: str) -> None:
    model, _, _ = parse_pipeline((BUILT_IN / f"{name}.yaml").read_text(), name)
    required = [key for key, value in model.inputs.items() if value.required or key in OFTEN_NEEDED]
    given = "".join(f"\n          {key}: {GIVEN.get(key, '0' * 40)}" for key in required)
    text = f"""\
subpackages:
  - name: hello-dev
    pipeline:
      - uses: {name}
        with:{given}
"""
    for arch in ("x86_64", "aarch64"):
        found = plan(text, arch=arch, pipelines=Library())
        for step in found.packages[1].steps:
            assert "${{" not in step.script


def test_pipelines_that_fan_out_are_refused(tmp_path: Path) -> None:
    step = "  - uses: own/fan{}\n"
    definitions = {f"own/fan{level}": "pipeline:\n" + 3 * step.format(level + 1) for level in range(18)}
    pipelines = library(tmp_path, {**definitions, "own/fan18": "runs: 'true'\n"})
    with pytest.raises(FaultsError, match="expand to too many steps"):
        plan("pipeline: [{uses: own/fan0}]", pipelines=pipelines)


def test_variables_that_multiply_are_refused() -> None:
    lines = "".join(f"  a{n}: ${{{{vars.a{n - 1}}}}}${{{{vars.a{n - 1}}}}}\n" for n in range(1, 40))
    with pytest.raises(FaultsError, match="expand to too much text"):
        plan("vars:\n  a0: 0123456789\n" + lines)


def test_parentheses_that_nest_too_deep_are_refused() -> None:
    condition = 2000 * "(" + "'a' == 'a'" + 2000 * ")"
    with pytest.raises(FaultsError, match="nest too deep"):
        plan(f'pipeline:\n  - if: "{condition}"\n    runs: ok\n')
