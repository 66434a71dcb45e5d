from __future__ import annotations

import pytest

from melpy.arch import parse_arch
from melpy.errors import RecipeError
from melpy.plan.library import Library
from melpy.plan.model import PlanCertificate
from melpy.plan.planner import examine_recipe
from tests.factories.recipe import plan, recipe

PEM = "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----"


def text(name: str = "own", content: str = PEM) -> str:
    return f'environment:\n  certificates:\n    additional:\n      - {{name: {name}, content: "{content}"}}\n'


def test_text_around_a_certificate_is_dropped() -> None:
    found = plan(text(content=f"subject: x\\n{PEM}\\nrest")).environment.certificates
    assert found == (PlanCertificate("own", PEM.replace("\\n", "\n")),)


@pytest.mark.parametrize("content", ["", "AAAA", PEM.replace("AAAA", "AA!A"), f"{PEM}\\n{PEM}"])
def test_what_is_not_one_certificate_is_an_error(content: str) -> None:
    with pytest.raises(RecipeError, match="is not one certificate in PEM") as caught:
        plan(text(content=content))
    assert str(caught.value.where).startswith("hello.yaml:8:")


def test_a_name_becomes_a_file_name() -> None:
    with pytest.raises(RecipeError, match=r"'\.\./a' cannot be the name of a certificate"):
        plan(text(name="../a"))


def test_providers_have_no_effect_and_a_warning() -> None:
    asked = recipe("environment:\n  certificates: {providers: [ca]}\n")
    _, faults = examine_recipe(asked, parse_arch("x86_64"), Library())
    assert [fault.message for fault in faults.warnings if "providers" in fault.message] == ["`providers` has no effect"]
