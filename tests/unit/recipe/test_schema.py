"""The JSON schemas."""

from __future__ import annotations

from typing import Any

import pytest

from melpy.recipe.schema import SCHEMAS, json_schema


def parts(kind: str) -> dict[str, dict[str, Any]]:
    schema = json_schema(kind)
    return {kind: schema, **schema["$defs"]}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_key_is_documented_and_typed(kind: str) -> None:
    for name, part in parts(kind).items():
        for key, value in part["properties"].items():
            assert value["description"].endswith("."), (name, key)
            assert value.keys() & {"type", "anyOf", "$ref"}, (name, key)


def test_keys_are_those_of_recipes() -> None:
    found = parts("recipe")
    assert {"package", "var-transforms", "subpackages", "test"} <= found["recipe"]["properties"].keys()
    assert {"target-architecture", "test-resources"} <= found["Package"]["properties"].keys()
    assert {"with", "if", "working-directory"} <= found["Step"]["properties"].keys()
    assert {"from", "to"} <= found["VarTransform"]["properties"].keys()
    assert "build_repositories" in found["Contents"]["properties"]
    assert found["recipe"]["required"] == ["package"]
    assert sorted(found["Package"]["required"]) == ["name", "version"]


def test_unknown_keys_are_refused() -> None:
    assert all(part["additionalProperties"] is False for part in parts("recipe").values())
    assert json_schema("pipeline")["additionalProperties"] is False


def test_texts_may_look_like_numbers_and_mappings_may_be_empty() -> None:
    found = parts("recipe")
    assert "number" in found["Package"]["properties"]["version"]["type"]
    assert found["Package"]["properties"]["dependencies"]["anyOf"][1] == {"type": "null"}
    assert found["Dependencies"]["properties"]["runtime"]["type"] == ["array", "null"]
