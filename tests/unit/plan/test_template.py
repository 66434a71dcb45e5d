"""References in texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.errors import RecipeError, TemplateError, UndefinedVariableError
from melpy.plan.template import Spot, render, render_loosely
from melpy.recipe.document import parse_document

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = {
    "package.name": "hello",
    "package.version": "1.2.3",
    "package.full-version": "1.2.3-r4",
    "vars.major-version": "1",
    "vars.major": "7",
    "vars.empty": "",
    "vars.import": "yes",
    "vars.with-reference": "${{package.name}}",
    "inputs.update": "now",
    "inputs.items": "some",
    "targets.package.hello-doc": "/out/hello-doc",
    "build.arch": "x86_64",
    "range.key": "64",
}
SPOT = Spot(parse_document("a: b\n", "x.yaml"), ("a",))


def rendered(text: str, variables: Mapping[str, str] = VARIABLES) -> str:
    return render(text, variables, SPOT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${{package.name}}", "hello"),
        ("${{ package.name }}", "hello"),
        ("${{\tpackage.name}}", "hello"),
        ("a-${{package.name}}-${{package.version}}.tar.gz", "a-hello-1.2.3.tar.gz"),
        ("${{package.name}}${{package.name}}", "hellohello"),
        ("${{vars.empty}}", ""),
        ("${{package.full-version}}", "1.2.3-r4"),
        ("${{vars.major-version}}", "1"),
        ("${{vars.import}}", "yes"),
        ("${{inputs.update}} ${{inputs.items}}", "now some"),
        ("${{targets.package.hello-doc}}", "/out/hello-doc"),
        ("first\n${{package.name}}\n", "first\nhello\n"),
        ("line\n\n", "line\n\n"),
        ("${{\n\tpackage.name\n}}", "hello"),
    ],
)
def test_names(text: str, expected: str) -> None:
    assert rendered(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        'test "${#output}" -eq 64',
        "echo ${#a[@]}",
        "go list -f '{{.Version}}'",
        "{{package.version}}",
        "%{{x}} {% if %} {# comment #} <%= erb %>",
        "${SOURCE_DATE_EPOCH:+ -d@${SOURCE_DATE_EPOCH}}",
        "${JOBS:+-j ${JOBS}}",
        "$((1 + 2)) $(nproc) ${x} $x [[ -n $x ]]",
        "$ {{package.name}}",
        '{"a": {"b": {}}}',
        "100%}",
        r"\n \$1 \\",
    ],
)
def test_other_languages_are_left_alone(text: str) -> None:
    assert rendered(text) == text


def test_shell_and_references_side_by_side() -> None:
    text = "x=${y:-${{package.name}}} z=${#y} {{.Go}}"
    assert rendered(text) == "x=${y:-hello} z=${#y} {{.Go}}"


def test_values_are_not_rendered_again() -> None:
    assert rendered("${{vars.with-reference}}") == "${{package.name}}"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("package.name | upper", "HELLO"),
        ("package.version | replace('.', '_')", "1_2_3"),
        ("package.version.split('.')[0]", "1"),
        ("vars.major-version | int + 1", "2"),
        ("vars.major - 1", None),
        ("(vars.major | int) - 1", "6"),
        ("'a' if build.arch == 'x86_64' else 'b'", "a"),
        ("'a' if build.arch == 'aarch64' else 'b'", "b"),
        ("build.arch == 'x86_64'", "true"),
        ("build.arch != 'x86_64'", "false"),
        ('range.key == "64" && " (ILP64 interface)" || ""', " (ILP64 interface)"),
        ('range.key == "32" && " (ILP64 interface)" || ""', ""),
        ("'&& || vars.x' ~ package.name", "&& || vars.xhello"),
        ("package.name ~ '-' ~ package.full-version", "hello-1.2.3-r4"),
        ("targets.package.hello-doc ~ '/usr'", "/out/hello-doc/usr"),
        ("vars.nothing | default('some')", "some"),
        ("vars.empty or 'none'", "none"),
        ("'x' in build.arch", "true"),
        ("[package.name, vars.major] | join(',')", "hello,7"),
        ("inputs.update ~ inputs.items", "nowsome"),
    ],
)
def test_formulas(formula: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(RecipeError):
            rendered(f"${{{{{formula}}}}}")
    else:
        assert rendered(f"${{{{{formula}}}}}") == expected


@pytest.mark.parametrize(
    "formula",
    [
        "''.__class__",
        "package.__class__",
        "(package).__init__.__globals__",
        "package.name['__class__']",
        "package._variables",
        "package | attr('__class__')",
        "''.join.__self__",
        "'{0.__class__}'.format(package)",
        "range(10)",
        "dict(a=1)",
        "lipsum()",
        "cycler('a')",
        "namespace()",
        "self.__dict__",
        "[].append(1)",
    ],
)
def test_formulas_reach_nothing_but_values(formula: str) -> None:
    with pytest.raises(RecipeError) as caught:
        rendered(f"${{{{ {formula} }}}}")
    assert isinstance(caught.value, (TemplateError, UndefinedVariableError))


def test_a_namespace_shows_nothing_of_its_inside() -> None:
    for formula in ("package ~ ''", "(package)", "[package] | join"):
        with pytest.raises(TemplateError, match="'package' is no value, it holds several"):
            rendered(f"${{{{ {formula} }}}}")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("${{package.nam}}", UndefinedVariableError, "undefined variable 'package.nam'"),
        ("${{package.nam | upper}}", UndefinedVariableError, "undefined variable 'package.nam'"),
        ("${{nothing}}", UndefinedVariableError, "undefined variable 'nothing'"),
        ("${{nothing + 1}}", UndefinedVariableError, "'nothing' is undefined"),
        ("${{}}", TemplateError, "empty reference"),
        ("${{   }}", TemplateError, "empty reference"),
        ("${{package.name", TemplateError, "not closed on its line"),
        ("${{package.name +\n1}}", TemplateError, "not closed on its line"),
        ("${{package.name} }", TemplateError, "not closed on its line"),
        ("${{package.name | upper(}}", TemplateError, "not an expression"),
        ("${{1 / 0}}", TemplateError, "division by zero"),
    ],
)
def test_errors(text: str, error: type[RecipeError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        rendered(text)
    assert type(caught.value) is error


def test_an_unterminated_reference_swallows_nothing() -> None:
    with pytest.raises(TemplateError) as caught:
        render("a ${{package.name\nb ${{package.name}}\n", VARIABLES, SPOT)
    assert "not closed" in caught.value.message


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        ("a: ${{x.y}}", "x.yaml:1:4"),
        ("a: one ${{x.y}}", "x.yaml:1:8"),
        ("a: 'one ${{x.y}}'", "x.yaml:1:9"),
        ("a: |\n  one\n  two ${{x.y}}\n", "x.yaml:3:7"),
        ("a: |\n  if true; then\n    echo ${{x.y}}\n  fi\n", "x.yaml:3:10"),
        ("a: |\n\n  ${{x.y}}\n", "x.yaml:3:3"),
        ("a: |2\n    ${{x.y}}\n", "x.yaml:2:5"),
    ],
)
def test_errors_point_at_the_reference(yaml: str, place: str) -> None:
    document = parse_document(yaml, "x.yaml")
    assert isinstance(document.data, dict)
    with pytest.raises(UndefinedVariableError) as caught:
        render(document.data["a"], {}, Spot(document, ("a",)))
    assert str(caught.value.where) == place
    excerpt, caret = caught.value.details
    assert excerpt[caret.index("^") :].startswith("${{x.y}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{package.name}} libraries", "hello libraries"),
        ("${{package.name libraries", "${{package.name libraries"),
        ("${{inputs.python}} ${{package.name}}", "${{inputs.python}} hello"),
        ("${{ }} and ${{1 +}}", "${{ }} and ${{1 +}}"),
        ('x${{range.key == "64" && " (ILP64)" || ""}}', "x (ILP64)"),
    ],
)
def test_prose_is_rendered_loosely(text: str, expected: str) -> None:
    assert render_loosely(text, VARIABLES) == expected
