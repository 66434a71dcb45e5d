"""Variables of a recipe."""

from __future__ import annotations

import pytest

from melpy.errors import FaultsError
from melpy.plan.fault import Faults
from melpy.plan.planner import PlanOptions
from melpy.plan.template import Spot
from melpy.plan.variable import recipe_variables
from melpy.recipe.document import parse_document
from tests.factories.recipe import plan, recipe


def variables(text: str, **overrides: str) -> dict[str, str]:
    faults = Faults()
    place = Spot(parse_document("", "vars.yaml"), ())
    stated = {name: (value, place) for name, value in overrides.items()}
    found, _ = recipe_variables(recipe(text), {"host.triplet.gnu": "x86_64-pc-linux-gnu"}, stated, faults)
    assert not len(faults)
    return found


def faults(text: str) -> list[str]:
    found = Faults()
    recipe_variables(recipe(text), {}, {}, found)
    with pytest.raises(FaultsError) as caught:
        found.raise_found()
    return [str(fault) for fault in caught.value.faults]


def test_what_a_transform_makes_is_bounded() -> None:
    many = "$1" * 50_000
    text = f"vars: {{a: {'x' * 50_000}}}\nvar-transforms:\n"
    found = faults(text + f"  - {{from: '${{{{vars.a}}}}', match: '(.*)', replace: '{many}', to: b}}\n")
    assert found == ["hello.yaml:7:34: the result would be too long"]
    long = "".join(f"  - {{from: '${{{{vars.a}}}}', match: x, replace: xxxxxxxxxx, to: b{n}}}\n" for n in range(20))
    assert faults(text + long)[0].endswith("variables expand to too much text")


def test_the_package_itself() -> None:
    found = variables("")
    assert found["package.name"] == "hello"
    assert found["package.version"] == "1.2.3"
    assert found["package.epoch"] == "4"
    assert found["package.full-version"] == "1.2.3-r4"
    assert found["package.description"] == ""


def test_variables_refer_to_each_other_in_any_order() -> None:
    found = variables(
        """\
        vars:
          url: https://${{vars.host}}/${{vars.path}}
          path: ${{package.name}}-${{package.version}}
          host: example.${{vars.top}}
          top: org
        """
    )
    assert found["vars.url"] == "https://example.org/hello-1.2.3"


def test_the_version_may_come_from_a_variable() -> None:
    found = variables(
        "package:\n  name: hello\n  version: ${{vars.major}}.0\n  epoch: 2\nvars:\n  major: 3\n",
    )
    assert found["package.full-version"] == "3.0-r2"


def test_a_circle_is_reported_once() -> None:
    assert faults("vars:\n  a: ${{vars.b}}\n  b: ${{vars.a}}\n") == [
        "hello.yaml:6:6: variables refer to each other in a circle: vars.a -> vars.b -> vars.a"
    ]


def test_a_variable_that_names_itself() -> None:
    assert faults("vars:\n  a: x${{vars.a}}\n") == [
        "hello.yaml:6:6: variables refer to each other in a circle: vars.a -> vars.a"
    ]


def test_overrides_win_and_may_add() -> None:
    found = variables("vars:\n  a: one\n  b: ${{vars.a}}!\n", a="two", c="three")
    assert (found["vars.a"], found["vars.b"], found["vars.c"]) == ("two", "two!", "three")


def test_transforms_go_in_order_and_see_each_other() -> None:
    found = variables(
        """\
        var-transforms:
          - from: ${{package.version}}
            match: ^(\\d+)\\.(\\d+).*
            replace: ${1}_$2
            to: short
          - from: v${{vars.short}}
            match: _
            replace: "-"
            to: tag
        """
    )
    assert (found["vars.short"], found["vars.tag"]) == ("1_2", "v1-2")


def test_a_later_transform_to_the_same_name_wins_even_when_it_does_not_match() -> None:
    found = variables(
        """\
        var-transforms:
          - {from: "${{package.version}}", match: "\\\\.", replace: "_", to: x}
          - {from: "${{package.name}}", match: "nothing", replace: "", to: x}
        """
    )
    assert found["vars.x"] == "hello"


def test_a_transform_takes_the_place_of_a_variable() -> None:
    found = variables(
        """\
        vars:
          major: none
          full: ${{vars.major}}.x
        var-transforms:
          - {from: "${{package.version}}", match: "^(\\\\d+).*", replace: $1, to: major}
        """
    )
    assert (found["vars.major"], found["vars.full"]) == ("1", "1.x")


def test_a_transform_sees_variables() -> None:
    found = variables(
        """\
        vars: {a: "${{vars.b}}-1", b: x}
        var-transforms:
          - {from: "${{vars.a}}", match: "-", replace: "+", to: c}
        """
    )
    assert found["vars.c"] == "x+1"


def test_a_replacement_may_bring_in_a_reference() -> None:
    found = variables(
        """\
        var-transforms:
          - {from: x, match: x, replace: "config-${{host.triplet.gnu}}", to: config}
        """
    )
    assert found["vars.config"] == "config-x86_64-pc-linux-gnu"


def test_an_option_sets_variables() -> None:
    text = """\
    vars:
      flavour: plain
    options:
      fancy:
        vars:
          flavour: fancy
    pipeline:
      - runs: echo ${{vars.flavour}} ${{options.fancy.enabled}}
    """
    assert plan(text).packages[0].steps[0].script == "echo plain false"
    assert plan(text, options=PlanOptions(enabled=("fancy",))).packages[0].steps[0].script == "echo fancy true"


def test_an_unknown_option() -> None:
    with pytest.raises(FaultsError) as caught:
        plan("options:\n  fancy: {}\n", options=PlanOptions(enabled=("fanzy",)))
    assert str(caught.value) == "hello.yaml: no build option is called 'fanzy'"
    assert caught.value.hint == "did you mean 'fancy'?"
