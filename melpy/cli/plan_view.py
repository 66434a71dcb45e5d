"""What a person is shown of a plan."""

from __future__ import annotations

import functools
import re
import textwrap
from typing import TYPE_CHECKING

from melpy.cli.report import count_text
from melpy.plan.form import plan_digest
from melpy.plan.model import WORKSPACE
from melpy.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from melpy.plan.model import PackagePlan, Plan, PlanStep

_FUNCTION = re.compile(r"\w+\(\)\s*\{\s*")
_WRAP = functools.partial(textwrap.wrap, break_on_hyphens=False, break_long_words=False)  # to be copied whole
_INDENT = 15  # of what follows a heading


def describe_plan(plan: Plan, width: int | None) -> Iterator[str]:
    """Yield the lines that tell a person what a plan does.

    Args:
        plan: the plan.
        width: how long lines may be; None for as long as they are.
    """
    where = f", in an environment for {plan.arch}" if plan.noarch else ""
    yield f"{plan.name} {plan.full_version} for {plan.package_arch}{where}"
    yield from _field("digest", [plan_digest(plan)], width)
    yield from _field("environment", [" ".join(plan.environment.packages) or "nothing"], width)
    yield from _field("sources", [_source(source.material) for source in plan.sources], width)
    for package in plan.packages:
        yield from _package(package, width)
    for test in plan.tests:
        steps = count_text(len(test.steps), "step")
        yield from _field("test", [f"{test.package}: {steps}, with {' '.join(test.environment.packages)}"], width)


def _field(heading: str, values: Iterable[str], width: int | None) -> Iterator[str]:
    for number, value in enumerate(values):
        first = f"  {'' if number else heading:{_INDENT - 2}}"
        if width is None:
            yield first + printable(value)
        else:
            margin = " " * _INDENT
            yield from _WRAP(printable(value), width, initial_indent=first, subsequent_indent=margin)


def _source(material: dict[str, str]) -> str:
    """Return where a source is and what verifies it."""
    uri = material["uri"]
    digests = [f"{kind} {value}" for kind, value in material.items() if kind != "uri" and value and value not in uri]
    return " ".join([uri, *digests])


def _package(package: PackagePlan, width: int | None) -> Iterator[str]:
    yield from _field("package", [package.name], width)
    labels = [printable(step.label) for step in package.steps]
    column = min(max(map(len, labels), default=0), 32)
    for label, step in zip(labels, package.steps, strict=True):
        line = f"{' ' * _INDENT}{label:{column}}  {printable(_gist(step))}".rstrip()
        yield line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def _gist(step: PlanStep) -> str:
    """Return what a step does in a few words: the first line of its script that does something."""
    if step.native:
        return "by melpy itself, outside of the sandbox"
    lines = _commands(step.script.split("\n"))
    more = f"  (+{count_text(len(lines) - 1, 'line')})" if len(lines) > 1 else ""
    place = "" if step.workdir == WORKSPACE else f"in {step.workdir.removeprefix(f'{WORKSPACE}/')}: "
    return ("with network: " if step.network else "") + place + (lines[0] if lines else "") + more


def _commands(lines: Sequence[str]) -> list[str]:
    """Return the lines of a script without blanks, comments and definitions of functions."""
    found: list[str] = []
    inside = False
    for line in lines:
        inside = line != "}" if inside else _FUNCTION.fullmatch(line) is not None
        text = line.strip()
        if not inside and text and not text.startswith("#") and line != "}":
            found.append(text.removesuffix("\\").rstrip())
    return found
