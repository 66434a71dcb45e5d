"""Steps of a recipe become steps of a plan: pipelines expanded, inputs resolved, conditions decided."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from melpy.errors import PipelineError, RecipeError, ScriptError
from melpy.plan import git
from melpy.plan.input import given_inputs, resolve_inputs
from melpy.plan.model import WORKSPACE, Pairs, PlanStep, pairs
from melpy.plan.shell import find_syntax_error, is_plausible
from melpy.plan.template import Spot, render_loosely

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from melpy.plan.fault import Faults
    from melpy.plan.library import Definition, Library
    from melpy.recipe.step import PipelineModel, Step


_MAX_STEPS = 20_000  # of one recipe; the largest real one has some hundred
_MAX_CHAIN = 50  # pipelines that use pipelines
_NUMBERS = {
    "strip-components": re.compile(r"[0-9]{1,7}"),
    "timeout": re.compile(r"[0-9]{1,7}(\.[0-9]{1,7})?"),
    "retry-limit": re.compile(r"[0-9]{1,7}"),
}
"""Inputs of `fetch` that are numbers, and their forms."""


class CompiledStep(NamedTuple):
    """A step with everything evaluated, its children inside it.

    Attributes:
        label: what to call it in messages and logs.
        name: the recipe's name for it.
        uses: pipeline it came from.
        inputs: resolved inputs of that pipeline.
        given: the inputs that differ from their defaults.
        native: what melpy does itself instead of a script.
        network: whether it may use the network.
        runs: script.
        directory: working directory as it is written, by the step or a parent, or empty.
        workdir: the same as an absolute path inside the sandbox.
        own: variables that the step itself sets.
        environment: variables, those of parents included.
        packages: what it needs in the environment, without its children's needs.
        children: nested steps.
        spots: where it stands: in the recipe, then in each pipeline that led to it, its own definition last.
        text: its script as it is written.
    """

    label: str
    name: str = ""
    uses: str = ""
    inputs: Mapping[str, str] = {}
    given: Pairs = ()
    native: str = ""
    network: bool = False
    runs: str = ""
    directory: str = ""
    workdir: str = WORKSPACE
    own: Mapping[str, str] = {}
    environment: Pairs = ()
    packages: tuple[str, ...] = ()
    children: tuple[CompiledStep, ...] = ()
    spots: tuple[Spot, ...] = ()
    text: str = ""

    @property
    def is_run(self) -> bool:
        """Whether there is something to run, beside its children."""
        return bool(self.runs.strip() or self.native)

    def walk(self) -> Iterator[CompiledStep]:
        """Yield this step and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def flat(self) -> Iterator[PlanStep]:
        """Yield what is to be run, in order."""
        for step in self.walk():
            if step.is_run:
                inputs = pairs(step.inputs) if step.native else ()
                yield PlanStep(step.label, step.runs, step.native, inputs, step.workdir, step.environment, step.network)


class Scope(NamedTuple):
    """What a step sees: variables, and what it inherits."""

    variables: Mapping[str, str]
    label: str = ""
    directory: str = ""
    workdir: str = WORKSPACE
    environment: Pairs = ()
    chain: tuple[str, ...] = ()
    network: bool = False
    nested: bool = False
    alone: bool = False  # the only step of a pipeline, which says enough by the pipeline's name
    callers: tuple[Spot, ...] = ()  # steps that use the pipelines which led here, the recipe's first


class Compiler:
    """Compiles the steps of one recipe; faults are collected, so that all are reported together."""

    def __init__(self, library: Library, faults: Faults) -> None:
        self._library = library
        self._faults = faults
        self.used: dict[str, Definition] = {}
        self._count = 0

    def compile_all(self, steps: Sequence[Step], scope: Scope, spot: Spot) -> tuple[CompiledStep, ...]:
        """Compile steps in order; those whose condition does not hold are left out."""
        self._count += len(steps)
        if self._count > _MAX_STEPS:
            message = "pipelines that use pipelines expand to too many steps"
            self._faults.add(spot.at("", 0, PipelineError, message, f"a recipe may have {_MAX_STEPS}"))
            return ()
        compiled = [self._compile(step, scope, spot.below(index)) for index, step in enumerate(steps)]
        return tuple([step for step in compiled if step])

    def _compile(self, step: Step, scope: Scope, spot: Spot) -> CompiledStep | None:
        variables = scope.variables
        if step.if_ and not self._faults.holds(step.if_, variables, spot, "if"):
            return None
        if step.uses and not step.pipeline:
            return self._use(step, scope, spot)
        if step.uses:
            message = "this step has both `uses` and `pipeline`; its `pipeline` is what runs"
            self._faults.warnings.append(spot.below("uses").at_key(RecipeError, message, "leave one of them out"))
        name = self._faults.render_prose(step.name, variables, spot, "name")
        inner, own = self._enter(step, scope, spot, name or scope.label or "runs")
        before = len(self._faults)
        children = self.compile_all(step.pipeline, inner, spot.below("pipeline")) if step.pipeline else ()
        self._check_assertions(step, len(children), spot, before)
        return CompiledStep(
            label=inner.label,
            name=name,
            uses=step.uses,
            network=inner.network,
            runs=self._script(step.runs, variables, spot),
            directory=inner.directory,
            workdir=inner.workdir,
            own=own,
            environment=inner.environment,
            packages=self._packages(step, variables, spot),
            children=children,
            spots=(*scope.callers, spot),
            text=step.runs,
        )

    def _use(self, step: Step, scope: Scope, spot: Spot) -> CompiledStep | None:
        try:
            definition = self._find(step.uses, scope, spot)
        except RecipeError as error:
            self._faults.add(error)
            return None
        model, inside = definition.model, Spot(definition.document, ())
        inputs = resolve_inputs(step, definition, scope.variables, spot, self._faults)
        if inputs is None:
            return None
        if model.native and definition.built_in:
            self._check_source(model.native, inputs, spot)
        variables = {**scope.variables, **{f"inputs.{key}": value for key, value in inputs.items()}}
        if model.if_ and not self._faults.holds(model.if_, variables, inside, "if"):
            return None
        name = self._faults.render_prose(step.name, scope.variables, spot, "name")
        outer, stated = self._enter(step, scope, spot, name or (scope.label if scope.alone else step.uses))
        visible = outer._replace(variables=variables, chain=(*scope.chain, step.uses))
        inner, own = self._enter(model, visible, inside, visible.label)
        callers = (*scope.callers, spot)
        inner = inner._replace(network=inner.network or model.network, alone=len(model.pipeline) == 1, callers=callers)
        before = len(self._faults)
        children = self.compile_all(model.pipeline, inner, inside.below("pipeline")) if model.pipeline else ()
        # What the file does not say, the step may.
        if model.assertions.required_steps >= 0:
            self._check_assertions(model, len(children), inside, before)
        else:
            self._check_assertions(step, len(children), spot, before)
        return CompiledStep(
            label=inner.label,
            name=name,
            uses=step.uses,
            inputs=inputs,
            given=given_inputs(inputs, definition) if step.with_ or scope.nested else (),
            native=model.native if definition.built_in else "",
            network=inner.network,
            runs=self._script(model.runs, variables, inside),
            directory=inner.directory,
            workdir=inner.workdir,
            own={**stated, **own},
            environment=inner.environment,
            packages=(*self._packages(step, scope.variables, spot), *self._packages(model, variables, inside)),
            children=children,
            spots=callers if model.native and definition.built_in else (*callers, inside),
            text=model.runs,
        )

    def _find(self, name: str, scope: Scope, spot: Spot) -> Definition:
        if name in scope.chain:
            chain = " -> ".join([*scope.chain[scope.chain.index(name) :], name])
            raise spot.below("uses").at(name, 0, PipelineError, f"pipelines use each other in a circle: {chain}", None)
        if len(scope.chain) >= _MAX_CHAIN:
            hint = f"{_MAX_CHAIN} levels are allowed"
            raise spot.below("uses").at(name, 0, PipelineError, "pipelines that use pipelines nest too deep", hint)
        try:
            definition = self._library.find(name)
        except PipelineError as error:
            raise spot.below("uses").at(name, 0, PipelineError, error.message, error.hint) from None
        if name not in self.used:
            self._faults.warnings += definition.warnings
        self.used[name] = definition
        return definition

    def _enter(
        self, step: Step | PipelineModel, scope: Scope, spot: Spot, label: str
    ) -> tuple[Scope, Mapping[str, str]]:
        """Return the scope of a step's children, and the variables that the step itself sets."""
        directory, workdir = scope.directory, scope.workdir
        if step.working_directory:
            directory = self._faults.render(step.working_directory, scope.variables, spot, "working-directory")
            workdir = posixpath.normpath(posixpath.join(WORKSPACE, directory))
        own: dict[str, str] = {}
        environment = scope.environment
        if step.environment:
            own = self._faults.render_environment(step.environment, scope.variables, spot)
            environment = pairs({**dict(environment), **own})
        inner = Scope(
            scope.variables,
            label,
            directory,
            workdir,
            environment,
            scope.chain,
            scope.network,
            nested=True,
            callers=scope.callers,
        )
        return inner, own

    def _script(self, text: str, variables: Mapping[str, str], spot: Spot) -> str:
        """Render a script; one of comments alone is as good as none."""
        script = self._faults.render(text, variables, spot, "runs")
        if script.lstrip().startswith("#"):
            lines = (line.strip() for line in script.split("\n"))
            if all(not line or line.startswith("#") for line in lines):
                return ""
        if not is_plausible(text):
            self._check_syntax(text, script, variables, spot)
        return script

    def _check_syntax(self, text: str, script: str, variables: Mapping[str, str], spot: Spot) -> None:
        """Check that a script is shell; one with faults in its references is not looked at."""
        found = None if "${{" in script else find_syntax_error(script)
        if found:
            rendered, message = found
            lines = text.split("\n")
            last = len(text.rstrip().split("\n"))
            # Values may have lines of their own. Where a script merely ends too early its last line is shown.
            number = -1
            while rendered > 0 and number + 1 < last:
                number += 1
                rendered -= 1 + render_loosely(lines[number], variables).count("\n")
            offset = sum(len(before) + 1 for before in lines[:number])
            offset += len(lines[number]) - len(lines[number].lstrip())
            self._faults.add(spot.below("runs").at(text, offset, ScriptError, f"not shell: {message}", None))

    def _packages(self, step: Step | PipelineModel, variables: Mapping[str, str], spot: Spot) -> tuple[str, ...]:
        names = step.needs.packages
        return self._faults.render_constraints(names, variables, spot, "needs", "packages") if names else ()

    def _check_assertions(self, step: Step | PipelineModel, ran: int, spot: Spot, before: int) -> None:
        """Check how many children are left, unless faults among them, since there were `before`, say why."""
        required = step.assertions.required_steps
        if required >= 0 and required != ran and len(self._faults) == before:
            message = f"{required} of its steps must run, the conditions of {ran} hold"
            self._faults.add(spot.below("assertions", "required-steps").at("", 0, RecipeError, message, None))

    def _check_source(self, native: str, inputs: Mapping[str, str], spot: Spot) -> None:
        if native == git.NATIVE:
            try:
                git.GitSource.from_inputs(inputs)
            except git.InputError as error:
                where = spot.below("with", error.key)
                fault = where.at(inputs[error.key], error.offset, PipelineError, error.message, error.hint)
                self._faults.add(fault)
            return
        for key, form in _NUMBERS.items():
            if not form.fullmatch(inputs[key]):
                message = f"{key} must be a number, found {inputs[key]!r}"
                self._faults.add(spot.below("with", key).at(inputs[key], 0, PipelineError, message, None))
        if not any(inputs[key] for key in ("expected-sha256", "expected-sha512", "expected-none")):
            hint = "give expected-sha256 (or expected-sha512); expected-none accepts whatever the server sends"
            self._faults.add(spot.below("with").at_key(PipelineError, "this source has no digest", hint))
