"""tests/golden/plans/every-key.yaml says every key there is: each is read, typed, and known to the JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from melpy.plan.library import BUILT_IN
from melpy.recipe.load import load_recipe
from melpy.recipe.model import RecipeModel
from melpy.recipe.schema import json_schema
from tests.factories.recipe import plan

GOLDEN = Path(__file__).parents[2] / "golden"
FILE = GOLDEN / "plans/every-key.yaml"


def models(model: Any, found: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Return a model and all that it is made of, by name."""
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__name__ not in found:
        found[model.__name__] = model
        for field in model.model_fields.values():
            models(field.annotation, found)
    for argument in getattr(model, "__args__", ()):
        models(argument, found)
    return found


def stated(value: object) -> Iterator[tuple[str, str]]:
    """Yield every key that a part of a recipe states, with the part's name."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield type(value).__name__, name
            yield from stated(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from stated(item)
    elif isinstance(value, list):
        for item in value:
            yield from stated(item)


def test_every_key_is_there() -> None:
    known = {(name, key) for name, model in models(RecipeModel, {}).items() for key in model.model_fields}
    assert known == set(stated(load_recipe(FILE).model))


def test_every_key_has_its_value() -> None:
    model = load_recipe(FILE).model
    assert model.package.options.no_depends is True
    scripts = model.package.scriptlets
    assert (scripts.pre_install, scripts.post_install) == ("#!/bin/sh -a", "#!/bin/sh -b")
    assert (scripts.pre_deinstall, scripts.post_deinstall) == ("#!/bin/sh -c", "#!/bin/sh -e")
    assert (scripts.pre_upgrade, scripts.post_upgrade) == ("#!/bin/sh -f", "#!/bin/sh -u")
    cpe = model.package.cpe
    assert [cpe.edition, cpe.language, cpe.sw_edition, cpe.target_sw, cpe.target_hw, cpe.other] == [
        *("e1", "l1", "s1", "t1", "h1", "o1")
    ]
    assert model.environment.paths[0].permissions == "0o755"
    assert model.update.schedule.period == "weekly"


def test_what_it_evaluates_to() -> None:
    found = plan(FILE.read_text())
    assert found.cpe == "cpe:2.3:a:some:every:1.2.3:*:e1:l1:s1:t1:h1:o1"
    assert dict(found.packages[0].scriptlets) == {
        "trigger": "#!/bin/sh",
        "pre-install": "#!/bin/sh -a",
        "post-install": "#!/bin/sh -b",
        "pre-deinstall": "#!/bin/sh -c",
        "post-deinstall": "#!/bin/sh -e",
        "pre-upgrade": "#!/bin/sh -f",
        "post-upgrade": "#!/bin/sh -u",
    }
    assert found.packages[0].no_versioned_shlib_deps
    assert [package.name for package in found.packages] == ["every-key", "every-key-one"]
    assert found.environment.user == (1001, 1002)
    assert found.tests[1].environment.packages == ("busybox", "every-key-one")
    assert dict(found.tests[1].environment.variables)["ROW"] == "one"


def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_accepts_what_loads() -> None:
    schema = validator("recipe")
    for file in (FILE, GOLDEN / "plans/whole.yaml"):
        assert [error.message for error in schema.iter_errors(yaml.safe_load(file.read_text()))] == []
    definitions = validator("pipeline")
    for file in BUILT_IN.rglob("*.yaml"):
        errors = [error.message for error in definitions.iter_errors(yaml.safe_load(file.read_text()))]
        assert errors == [], file


@pytest.mark.parametrize(
    "case",
    [
        *("unknown-key-at-top", "unknown-key-of-package", "unknown-key-of-dependencies", "missing-version"),
        *("missing-package", "list-instead-of-mapping", "environment-not-a-mapping", "pipeline-not-a-list"),
        *("unknown-architecture", "unknown-period", "epoch-negative", "with-value-not-text"),
    ],
)
def test_the_schema_refuses_what_does_not_load(case: str) -> None:
    data = yaml.safe_load((GOLDEN / f"messages/{case}.yaml").read_text())
    assert list(validator("recipe").iter_errors(data))
