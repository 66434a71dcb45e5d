"""Questions about recipes."""

from __future__ import annotations

import pytest

from melpy.arch import parse_arch
from melpy.errors import TemplateError, UndefinedVariableError
from melpy.plan.compiled import describe_recipe
from melpy.plan.library import Library
from melpy.plan.planner import evaluate_recipe
from melpy.plan.query import answer_query
from tests.factories.recipe import recipe

RECIPE = """
package:
  name: hello
  version: 1.10
  epoch: 2
  description: ${{package.name}} world
  target-architecture: [x86_64, aarch64]
  dependencies:
    runtime:
      - a
      - b=${{package.full-version}}
data:
  - name: py
    items: {3.10: "310", 3.9: "39"}
subpackages:
  - name: hello-doc
  - range: py
    name: py${{range.key}}-hello
"""


def ask(template: str) -> str:
    found = evaluate_recipe(recipe(RECIPE), parse_arch("x86_64"), Library())
    return answer_query(template, describe_recipe(found))


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        ("{{ package.name }}-{{ package.version }}-r{{ package.epoch }}", "hello-1.10-r2"),
        ("{{ package.description | upper }}", "HELLO WORLD"),
        ("{{ package.target_architecture | join(',') }}", "x86_64,aarch64"),
        ('{{ package["target-architecture"][1] }}', "aarch64"),
        ("{% for sub in subpackages %}{{ sub.name }} {% endfor %}", "hello-doc py3.10-hello py3.9-hello "),
        ("[{{ package.url }}]", "[]"),
        ("no question", "no question"),
        ("{{ .Package.Name }}", "hello"),
        ("{{.Package.TargetArchitecture}}", "[x86_64 aarch64]"),
        ("{{range .Subpackages}}{{.Name}},{{end}}", "hello-doc,py3.10-hello,py3.9-hello,"),
        ('{{range .Package.Dependencies.Runtime}}{{.}}{{"\\n"}}{{end}}', "a\nb=1.10-r2\n"),
        ("{{if .Package.Url}}{{.Package.Url}}{{else}}none{{end}}", "none"),
        ('{{ .Package.Name | printf "%q" }}', '"hello"'),
        ('{{ printf "%s-%s-r%d 100%%" .Package.Name .Package.Version .Package.Epoch }}', "hello-1.10-r2 100%"),
        ("{{ len .Subpackages }} {{ len (index .Package.Dependencies.Runtime) }}", "3 2"),
        ("{{ index .Package.TargetArchitecture 1 }}", "aarch64"),
        ("{{ with index .Subpackages 0 }}{{ .Name }}{{ end }}", "hello-doc"),
        ('{{ if eq .Package.Name "hi" "hello" }}yes{{ else if true }}no{{ end }}', "yes"),
        ("{{ if and .Package.Url (not false) }}a{{ else if ne .Package.Epoch 3 }}b{{ else }}c{{ end }}", "b"),
        (
            "{{ range $i, $s := .Subpackages }}{{ if $i }}, {{ end }}{{ $s.Name }}{{ end }}",
            "hello-doc, py3.10-hello, py3.9-hello",
        ),
        ("{{ range $s := .Package.Dependencies.Runtime }}<{{ $s }}>{{ else }}none{{ end }}", "<a><b=1.10-r2>"),
        ("{{ range .Package.Copyright }}x{{ else }}{{ .Package.Name }}{{ end }}", "hello"),
        ("{{ with .Package.URL }}x{{ else }}{{ .Package.Name }}{{ end }}", "hello"),
        ("{{ with $n := .Package.Name }}{{ $n }}{{ end }}", "hello"),
        ('{{ or .Package.URL "none" }}{{ ne .Package.Name "a" }}', "nonetrue"),
        ("{{ not package.options.no_provides }}{{ 'a .B' }}", "truea .B"),
        ('{{ println .Package.Name "x" }}', "hello x\n"),
        ("{{ $name := .Package.Name }}{{/* a comment */}}{{ $name }}", "hello"),
        ("{{ .Package.Name -}}  \n  {{- .Package.Version }}", "hello1.10"),
        ("{{ print .Package.Options.NoProvides `{%` }} {# {{ .Package.Epoch }} {%", "false{% {# 2 {%"),
        (
            "{{.Update.Enabled}}{{.Package.CPE.Vendor}}{{.Package.Resources.CPU}}{{.Package.Scriptlets.PostInstall}}",
            "false",
        ),
        ("{{.Update.GitHubMonitor.Identifier}}{{.Package.Timeout}}", ""),
        ("{{ package.target-architecture | first }}{{ 'a.b-c' }}", "x86_64a.b-c"),
        ("{{ package.checks | tojson }}", '{"disabled": []}'),
        ("{{range .Subpackages}}{{$.Package.Name}}{{if .Description}}!{{end}} {{- end }}", "hellohellohello"),
    ],
)
def test_answers(template: str, answer: str) -> None:
    assert ask(template) == answer


@pytest.mark.parametrize(
    "template", ["{{ package.nam }}", "{{ .Package.Nam }}", "{{ nothing }}", "{{ subpackages[0].nam }}"]
)
def test_what_no_recipe_has(template: str) -> None:
    with pytest.raises(UndefinedVariableError):
        ask(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ package.name",
        "{% for %}",
        "{{range .Subpackages}}",
        "{{.Package.Name}}{{end}}",
        '{{ .Package.Name | printf "%x" }}',
        "{{ .Package.Name | upper }}",
        "{{ printf . | printf }}",
        "{{ range .Subpackages }}{{ $x = .Name }}{{ end }}",
        "{{ (.Package.Name }}",
        "{{else}}{{.Package.Name}}",
        "{{ range }}{{ end }}{{.Package.Name}}",
        "{{ package.epoch + 'x' }}",
        "{{ package.version | part('x') }}",
    ],
)
def test_templates_that_are_none(template: str) -> None:
    with pytest.raises(TemplateError):
        ask(template)


def test_a_template_cannot_reach_python() -> None:
    with pytest.raises((TemplateError, UndefinedVariableError)):
        ask("{{ package.__class__.__mro__[1].__subclasses__() }}")
