"""The inputs of a pipeline: given, defaulted, resolved, checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.errors import PipelineError, RecipeError, hint_near
from melpy.plan.model import Pairs, pairs
from melpy.plan.template import Spot, find_names, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.plan.fault import Faults
    from melpy.plan.library import Definition
    from melpy.recipe.step import Input, Step

_FORMATS = {"expected-sha256": 64, "expected-sha512": 128, "expected-commit": 40}
"""Inputs that are digests, and their length in hex digits."""

_DEEPEST = 100


def resolve_inputs(
    step: Step, definition: Definition, variables: Mapping[str, str], spot: Spot, faults: Faults
) -> dict[str, str] | None:
    """Return the inputs of one use of a pipeline, by name; None when one is faulty.

    Args:
        step: the step that uses it.
        definition: the pipeline.
        variables: what the step's own texts may name.
        spot: where the step is.
        faults: receives what is wrong.
    """
    declared = definition.model.inputs
    before = len(faults)
    for key in step.with_:
        if key not in declared:
            near = hint_near(key, declared, f"its inputs are {', '.join(sorted(declared)) or 'none'}")
            message = f"pipeline {step.uses!r} has no input {key!r}"
            faults.add(spot.below("with", key).at_key(PipelineError, message, near))
    values: dict[str, str] = {}
    pending: list[str] = []
    for key, one in declared.items():
        text = step.with_.get(key) or one.default
        if "${{" in text:
            pending.append(key)
        else:
            values[key] = text
    if pending:
        resolver = _Resolver(step, definition, variables, spot, values)
        for key in pending:
            try:
                if key not in resolver.faulty:
                    resolver.resolve(key)
            except RecipeError as error:
                faults.add(error)
    for key, value in values.items():
        if (not value and declared[key].required) or key in _FORMATS:
            _check(key, value, declared[key], step, spot, faults)
    return values if len(faults) == before else None


def given_inputs(values: Mapping[str, str], definition: Definition) -> Pairs:
    """Return the inputs that differ from their defaults, as the compiled recipe lists them."""
    declared = definition.model.inputs
    return pairs({key: value for key, value in values.items() if value != declared[key].default})


class _Resolver:
    """Resolves inputs that hold references; they may refer to one another."""

    def __init__(
        self,
        step: Step,
        definition: Definition,
        variables: Mapping[str, str],
        spot: Spot,
        values: dict[str, str],
    ) -> None:
        self._step = step
        self._definition = definition
        self._outer = variables
        self._spot = spot
        self._values = values
        self._active: list[str] = []
        self.faulty: set[str] = set()

    def resolve(self, key: str) -> str:
        if key in self._values:
            return self._values[key]
        given = self._step.with_.get(key)
        text = given or self._definition.model.inputs[key].default
        default = Spot(self._definition.document, ("inputs", key, "default"))
        spot = self._spot.below("with", key) if given else default
        if len(self._active) == _DEEPEST:
            hint = f"{_DEEPEST} levels are allowed"
            raise spot.at(text, 0, PipelineError, "inputs refer to each other too deep", hint)
        if key in self._active:
            message = f"inputs refer to each other in a circle: {' -> '.join([*self._active, key])}"
            raise spot.at(text, 0, PipelineError, message, None)
        self._active.append(key)
        try:
            self._values[key] = render(text, self._visible(text, given=bool(given)), spot)
        except RecipeError:
            self.faulty.add(key)
            raise
        finally:
            self._active.pop()
        return self._values[key]

    def _visible(self, text: str, *, given: bool) -> Mapping[str, str]:
        """Return what the text may name: a caller's text means the caller's inputs first, a default its siblings."""
        declared = self._definition.model.inputs
        siblings = {}
        for name in find_names(text):
            key = name.removeprefix("inputs.")
            if key != name and key in declared and not (given and name in self._outer):
                siblings[name] = self.resolve(key)
        return {**self._outer, **siblings} if siblings else self._outer


def _check(key: str, value: str, declared: Input, step: Step, spot: Spot, faults: Faults) -> None:
    if declared.required and not value:
        where = spot.below("with", key) if key in step.with_ else spot.below("uses")
        message = f"pipeline {step.uses!r} needs the input {key!r}"
        faults.add(where.at("", 0, PipelineError, message, "give it under `with`"))
    length = _FORMATS.get(key)
    if length and value and not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", value):
        message = f"{key} must be {length} hex digits, found {value!r}"
        faults.add(spot.below("with", key).at(value, 0, PipelineError, message, None))
