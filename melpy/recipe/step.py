"""The schema of pipeline steps, and of the definitions that they use."""

from __future__ import annotations

from melpy.recipe.part import Boolean, Natural, Part, Text, TextList, TextMap, Variables, constant


class Needs(Part):
    """Packages that a step adds to the build environment."""

    packages: TextList = constant([])
    """Packages."""


class Input(Part):
    """An input of a pipeline."""

    description: Text = ""
    """What it is for."""
    default: Text = ""
    """Value when none is given."""
    required: Boolean = False
    """Whether one must be given."""


class Assertions(Part):
    """What must hold after a step's children."""

    required_steps: Natural = -1
    """Exactly how many of the step's children must run."""


class Step(Part):
    """A pipeline step: a script, a use of a pipeline, or a group of steps."""

    name: Text = ""
    """What to call it."""
    uses: Text = ""
    """Pipeline it uses."""
    with_: TextMap = constant({})
    """Inputs of that pipeline."""
    runs: Text = ""
    """Shell script."""
    pipeline: list[Step] = constant([])
    """Nested steps."""
    inputs: dict[str, Input] = constant({})
    """Inputs, of a pipeline definition."""
    needs: Needs = constant(Needs.model_construct())
    """Packages it adds to the build environment."""
    label: Text = ""
    """A mark for other programs."""
    if_: Text = ""
    """Condition: it runs when this holds."""
    assertions: Assertions = constant(Assertions.model_construct())
    """What must hold once its children ran."""
    working_directory: Text = ""
    """Directory it runs in, made when missing, below /home/build; children inherit it."""
    environment: Variables = constant({})
    """Environment variables; children inherit them."""


class PipelineModel(Part):
    """A pipeline definition: a step that others use. Unknown keys are passed over, as melange does, with a warning.

    `native` names a step that melpy does itself, outside the sandbox; only built-in pipelines have it. `network` lets
    its steps use the network, which they otherwise cannot see.
    """

    name: Text = ""
    """What to call it."""
    description: Text = ""
    """What it does."""
    runs: Text = ""
    """Shell script."""
    pipeline: list[Step] = constant([])
    """Nested steps."""
    inputs: dict[str, Input] = constant({})
    """Inputs: `${{inputs.…}}`."""
    needs: Needs = constant(Needs.model_construct())
    """Packages it adds to the build environment."""
    if_: Text = ""
    """Condition: it runs when this holds."""
    assertions: Assertions = constant(Assertions.model_construct())
    """What must hold once its children ran."""
    working_directory: Text = ""
    """Directory it runs in."""
    environment: Variables = constant({})
    """Environment variables."""
    native: Text = ""
    """What melpy does itself; for built-in pipelines."""
    network: Boolean = False
    """Whether its steps may use the network."""
