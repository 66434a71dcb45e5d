"""Steps of a recipe become steps of a plan: pipelines expanded, inputs resolved, conditions decided."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.errors import PipelineError, RecipeError, hint_near
from melpy.plan import git
from melpy.plan.condition import evaluate_condition
from melpy.plan.model import WORKSPACE, Pairs, PlanStep, pairs
from melpy.plan.template import REFERENCE, Spot, render, render_loosely

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.plan.library import Definition, Library
    from melpy.recipe.model import Input, Step

_FORMATS = {"expected-sha256": 64, "expected-sha512": 128, "expected-commit": 40}


@dataclass(frozen=True)
class CompiledStep:
    """A step with everything evaluated, its children inside it.

    Attributes:
        label: what to call it in messages and logs.
        name: the recipe's name for it.
        uses: pipeline it came from.
        inputs: resolved inputs of that pipeline.
        given: the inputs that differ from their defaults.
        native: what melpy does itself instead of a script.
        runs: script.
        workdir: absolute directory inside the sandbox.
        environment: variables, those of parents included.
        packages: what it needs in the environment, without its children's needs.
        children: nested steps.
    """

    label: str
    name: str = ""
    uses: str = ""
    inputs: Pairs = ()
    given: Pairs = ()
    native: str = ""
    runs: str = ""
    workdir: str = WORKSPACE
    environment: Pairs = ()
    packages: tuple[str, ...] = ()
    children: tuple[CompiledStep, ...] = ()

    def walk(self) -> Iterator[CompiledStep]:
        """Yield this step and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def flat(self) -> Iterator[PlanStep]:
        """Yield what is to be run, in order."""
        for step in self.walk():
            if step.runs.strip() or step.native:
                inputs = step.inputs if step.native else ()
                yield PlanStep(step.label, step.runs, step.native, inputs, step.workdir, step.environment)

    def to_json(self) -> dict[str, object]:
        """Return the step in the form of melange's compiled recipes."""
        data: dict[str, object] = {
            "name": self.name,
            "uses": self.uses,
            "with": dict(self.given),
            "runs": self.runs,
            "working-directory": "" if self.workdir == WORKSPACE else self.workdir,
            "environment": dict(self.environment),
            "pipeline": [child.to_json() for child in self.children],
        }
        return {key: value for key, value in data.items() if value}


@dataclass(frozen=True)
class Scope:
    """What a step sees: variables, and what it inherits."""

    variables: Mapping[str, str]
    label: str = ""
    workdir: str = WORKSPACE
    environment: Mapping[str, str] = field(default_factory=dict)
    chain: tuple[str, ...] = ()
    inputs: Pairs = ()


class Compiler:
    """Compiles the steps of one recipe; faults are collected, so that all are reported together."""

    def __init__(self, library: Library, faults: list[RecipeError]) -> None:
        self._library = library
        self.faults = faults
        self.used: dict[str, Definition] = {}

    def compile_all(self, steps: list[Step], scope: Scope, spot: Spot) -> tuple[CompiledStep, ...]:
        """Compile steps in order; those whose condition does not hold are left out."""
        compiled = []
        for index, step in enumerate(steps):
            here = spot.below(index)
            try:
                done = self._compile(step, scope, here)
            except RecipeError as error:
                self.faults.append(error)
            else:
                compiled += [done] if done else []
        return tuple(compiled)

    def _compile(self, step: Step, scope: Scope, spot: Spot) -> CompiledStep | None:
        if not evaluate_condition(step.if_, scope.variables, spot.below("if")):
            return None
        if step.uses and not step.pipeline:
            return self._use(step, scope, spot)
        label = render_loosely(step.name, scope.variables) or scope.label or "runs"
        inner = self._enter(step, scope, spot, label)
        children = self.compile_all(step.pipeline, inner, spot.below("pipeline"))
        self._check_assertions(step, len(children), spot)
        return CompiledStep(
            label=label,
            name=render_loosely(step.name, scope.variables),
            runs=render(step.runs, scope.variables, spot.below("runs")),
            workdir=inner.workdir,
            environment=pairs(inner.environment),
            packages=self._packages(step, scope, spot),
            children=children,
        )

    def _use(self, step: Step, scope: Scope, spot: Spot) -> CompiledStep | None:
        definition = self._find(step.uses, scope, spot)
        model, inside = definition.model, Spot(definition.document, ())
        inputs = self._inputs(step, definition, scope, spot)
        if model.native == "fetch" and definition.built_in:
            _check_digest(inputs, spot)
        if model.native == git.NATIVE and definition.built_in:
            _check_git(inputs, spot)
        variables = {**scope.variables, **{f"inputs.{key}": value for key, value in inputs.items()}}
        if not evaluate_condition(model.if_, variables, inside.below("if")):
            return None
        name = render_loosely(step.name, scope.variables)
        chain = (*scope.chain, step.uses)
        outer = self._enter(step, scope, spot, name or step.uses)
        visible = Scope(variables, name or step.uses, outer.workdir, outer.environment, chain)
        inner = self._enter(model, visible, inside, visible.label)
        children = self.compile_all(model.pipeline, inner, inside.below("pipeline"))
        self._check_assertions(model, len(children), inside)
        return CompiledStep(
            label=visible.label,
            name=name,
            uses=step.uses,
            inputs=pairs(inputs),
            given=_given(inputs, model.inputs) if step.with_ else (),
            native=model.native if definition.built_in else "",
            runs=render(model.runs, variables, inside.below("runs")),
            workdir=inner.workdir,
            environment=pairs(inner.environment),
            packages=(*self._packages(step, scope, spot), *self._packages(model, visible, inside)),
            children=children,
        )

    def _find(self, name: str, scope: Scope, spot: Spot) -> Definition:
        if name in scope.chain:
            chain = " -> ".join([*scope.chain[scope.chain.index(name) :], name])
            raise spot.below("uses").at(name, 0, PipelineError, f"pipelines use each other in a circle: {chain}", None)
        try:
            definition = self._library.find(name)
        except PipelineError as error:
            raise spot.below("uses").at(name, 0, PipelineError, error.message, error.hint) from None
        self.used[name] = definition
        return definition

    def _enter(self, step: object, scope: Scope, spot: Spot, label: str) -> Scope:
        """Return the scope of a step's children."""
        directory, environment = step.working_directory, step.environment  # type: ignore[attr-defined]  # Step or PipelineModel
        workdir = render(directory, scope.variables, spot.below("working-directory"))
        own = {
            key: render(value, scope.variables, spot.below("environment", key)) for key, value in environment.items()
        }
        return Scope(
            scope.variables,
            label,
            posixpath.normpath(posixpath.join(WORKSPACE, workdir)) if workdir else scope.workdir,
            {**scope.environment, **own},
            scope.chain,
        )

    def _packages(self, step: object, scope: Scope, spot: Spot) -> tuple[str, ...]:
        names = step.needs.packages  # type: ignore[attr-defined]  # Step or PipelineModel
        below = spot.below("needs", "packages")
        return tuple(render(name, scope.variables, below.below(index)) for index, name in enumerate(names))

    def _inputs(self, step: Step, definition: Definition, scope: Scope, spot: Spot) -> dict[str, str]:
        declared = definition.model.inputs
        for key in step.with_:
            if key not in declared:
                near = hint_near(key, declared, f"its inputs are {', '.join(sorted(declared)) or 'none'}")
                place = spot.document.place((*spot.path, "with", key), key=True)
                raise PipelineError(
                    f"pipeline {step.uses!r} has no input {key!r}",
                    where=place,
                    hint=near,
                    details=spot.document.excerpt(place),
                )
        resolver = _Inputs(step, definition, scope.variables, spot)
        values = {key: resolver.resolve(key) for key in declared}
        for key, value in values.items():
            _check_input(key, value, declared[key], step.uses, spot.below("with", key))
        return values

    def _check_assertions(self, step: object, ran: int, spot: Spot) -> None:
        required = step.assertions.required_steps  # type: ignore[attr-defined]  # Step or PipelineModel
        if required and required != ran:
            message = f"{required} of its steps must run, the conditions of {ran} hold"
            raise spot.below("assertions", "required-steps").at("", 0, RecipeError, message, None)


class _Inputs:
    """Resolves the inputs of one use; they may refer to one another."""

    def __init__(self, step: Step, definition: Definition, variables: Mapping[str, str], spot: Spot) -> None:
        self._step = step
        self._definition = definition
        self._outer = variables
        self._spot = spot
        self._values: dict[str, str] = {}
        self._active: list[str] = []

    def resolve(self, key: str) -> str:
        if key in self._values:
            return self._values[key]
        given = self._step.with_.get(key, "")
        text = given or self._definition.model.inputs[key].default
        inside = Spot(self._definition.document, ("inputs", key, "default"))
        spot = self._spot.below("with", key) if given else inside
        if key in self._active:
            message = f"inputs refer to each other in a circle: {' -> '.join([*self._active, key])}"
            raise spot.at(text, 0, PipelineError, message, None)
        self._active.append(key)
        self._values[key] = render(text, self._visible(text, given=bool(given)), spot)
        self._active.pop()
        return self._values[key]

    def _visible(self, text: str, *, given: bool) -> Mapping[str, str]:
        """Return what the text may name: a caller's text means the caller's inputs first, a default its siblings."""
        declared = self._definition.model.inputs
        named = {
            name for match in REFERENCE.finditer(text) for name in re.findall(r"inputs\.([A-Za-z0-9._-]+)", match[1])
        }
        wanted = {name for name in named if name in declared and not (given and f"inputs.{name}" in self._outer)}
        return {**self._outer, **{f"inputs.{name}": self.resolve(name) for name in wanted}}


def _check_input(key: str, value: str, declared: Input, uses: str, spot: Spot) -> None:
    if declared.required and not value:
        raise spot.at("", 0, PipelineError, f"pipeline {uses!r} needs the input {key!r}", "give it under `with`")
    length = _FORMATS.get(key)
    if length and value and not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", value):
        raise spot.at(value, 0, PipelineError, f"{key} must be {length} hex digits, found {value!r}", None)


def _check_digest(inputs: Mapping[str, str], spot: Spot) -> None:
    if not any(inputs[key] for key in ("expected-sha256", "expected-sha512", "expected-none")):
        place = spot.document.place((*spot.path, "with"), key=True)
        hint = "give expected-sha256 (or expected-sha512); expected-none accepts whatever the server sends"
        raise PipelineError("this source has no digest", where=place, hint=hint, details=spot.document.excerpt(place))


def _check_git(inputs: Mapping[str, str], spot: Spot) -> None:
    try:
        git.GitSource.from_inputs(inputs)
    except git.InputError as error:
        value = inputs[error.key]
        here = spot.below("with", error.key)
        raise here.at(value, error.offset, PipelineError, error.message, error.hint) from None


def _given(inputs: Mapping[str, str], declared: Mapping[str, Input]) -> Pairs:
    return pairs({key: value for key, value in inputs.items() if value != declared[key].default})
