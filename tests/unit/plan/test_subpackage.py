"""Ranges of subpackages are restricted to some of their keys."""

from __future__ import annotations

from melpy.arch import parse_arch
from melpy.plan.library import Library
from melpy.plan.planner import PlanOptions, examine_recipe
from tests.factories.recipe import recipe

TEXT = """\
package:
  name: py3-thing
  version: "1"
  epoch: 0
  copyright: [{license: MIT}]
data:
  - name: py-versions
    items: {"3.12": "312", "3.13": "313"}
  - name: flavours
    items: {big: "1"}
pipeline:
  - runs: "echo ${{targets.package.py3.12-thing}}"
subpackages:
  - range: py-versions
    name: py${{range.key}}-thing
  - range: flavours
    name: thing-${{range.key}}
  - name: thing-doc
"""


def test_only_the_subpackages_of_the_stated_keys_are_made() -> None:
    options = PlanOptions(ranges={"py-versions": frozenset({"3.13"}), "other": frozenset({"x"})})
    found, faults = examine_recipe(recipe(TEXT), parse_arch("x86_64"), Library(), options)
    faults.raise_found()
    assert [package.name for package in found.packages] == ["py3-thing", "py3.13-thing", "thing-big", "thing-doc"]
    assert found.left_out == ("py3.12-thing",)


def test_without_restriction_nothing_is_left_out() -> None:
    found, _ = examine_recipe(recipe(TEXT), parse_arch("x86_64"), Library(), PlanOptions())
    assert found.left_out == ()
    assert len(found.packages) == 5
