"""A recipe as its author wrote it: melange's schema, templates unevaluated.

Keys, types and defaults are melange's, so that a recipe loads in both. Strings keep their text; a key without a
value is as good as absent. Unknown keys are errors everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field

from melpy.recipe.image import Environment
from melpy.recipe.part import Boolean, Duration, Integer, Natural, Part, Priority, Text, TextList, TextMap, constant
from melpy.recipe.update import Update

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.recipe.document import Document

NAME = re.compile(r"[a-zA-Z\d][a-zA-Z\d+_.-]*")
"""What a package may be called."""


class Dependencies(Part):
    """What a package needs, offers and replaces, in apk's constraint syntax."""

    runtime: TextList = constant([])
    provides: TextList = constant([])
    replaces: TextList = constant([])
    provider_priority: Priority = ""
    replaces_priority: Priority = ""


class PackageOptions(Part):
    """Which generated dependencies and provides a package does without."""

    no_provides: Boolean = False
    no_depends: Boolean = False
    no_commands: Boolean = False
    no_versioned_shlib_deps: Boolean = False


class Trigger(Part):
    """A script that runs when files appear in watched directories."""

    script: Text = ""
    paths: TextList = constant([])


class Scriptlets(Part):
    """Scripts that apk runs around installation, each with its interpreter line."""

    trigger: Trigger = constant(Trigger())
    pre_install: Text = ""
    post_install: Text = ""
    pre_deinstall: Text = ""
    post_deinstall: Text = ""
    pre_upgrade: Text = ""
    post_upgrade: Text = ""


class Copyright(Part):
    """A licence and what it covers."""

    paths: TextList = constant([])
    attestation: Text = ""
    license: Text = ""
    license_path: Text = ""
    detection_override: Text = ""


class Checks(Part):
    """Linters that only warn for this package."""

    disabled: TextList = constant([])


class Cpe(Part):
    """The package's name in the Common Platform Enumeration 2.3."""

    part: Text = ""
    vendor: Text = ""
    product: Text = ""
    edition: Text = ""
    language: Text = ""
    sw_edition: Text = Field(default="", alias="sw_edition")
    target_sw: Text = Field(default="", alias="target_sw")
    target_hw: Text = Field(default="", alias="target_hw")
    other: Text = ""


class SetCap(Part):
    """File capabilities of one path: capability names to flags such as `+ep`, and why."""

    path: Text
    add: TextMap = constant({})
    reason: Text = ""


class Resources(Part):
    """What a build may use of the machine."""

    cpu: Text = ""
    cpumodel: Text = ""
    memory: Text = ""
    disk: Text = ""


class Package(Part):
    """Identity and metadata of the main package."""

    name: Text
    version: Text
    epoch: Natural = 0
    description: Text = ""
    annotations: TextMap = constant({})
    url: Text = ""
    commit: Text = ""
    target_architecture: TextList = constant([])
    copyright: list[Copyright] = constant([])
    dependencies: Dependencies = constant(Dependencies())
    options: PackageOptions = constant(PackageOptions())
    scriptlets: Scriptlets = constant(Scriptlets())
    checks: Checks = constant(Checks())
    cpe: Cpe = constant(Cpe())
    setcap: list[SetCap] = constant([])
    timeout: Duration = ""
    resources: Resources = constant(Resources())
    test_resources: Resources = constant(Resources())


class Needs(Part):
    """Packages that a step adds to the build environment."""

    packages: TextList = constant([])


class Input(Part):
    """An input of a pipeline."""

    description: Text = ""
    default: Text = ""
    required: Boolean = False


class Assertions(Part):
    """What must hold after a step's children."""

    required_steps: Integer = 0


class Step(Part):
    """A pipeline step: a script, a use of a pipeline, or a group of steps."""

    name: Text = ""
    uses: Text = ""
    with_: TextMap = constant({})
    runs: Text = ""
    pipeline: list[Step] = constant([])
    inputs: dict[str, Input] = constant({})
    needs: Needs = constant(Needs())
    label: Text = ""
    if_: Text = ""
    assertions: Assertions = constant(Assertions())
    working_directory: Text = ""
    environment: TextMap = constant({})


class Test(Part):
    """Tests of a package, run in an environment of their own."""

    environment: Environment = constant(Environment())
    pipeline: list[Step] = constant([])


class Subpackage(Part):
    """A further package of the same build."""

    if_: Text = ""
    range: Text = ""
    name: Text
    pipeline: list[Step] = constant([])
    dependencies: Dependencies = constant(Dependencies())
    options: PackageOptions = constant(PackageOptions())
    scriptlets: Scriptlets = constant(Scriptlets())
    description: Text = ""
    annotations: TextMap = constant({})
    url: Text = ""
    commit: Text = ""
    checks: Checks = constant(Checks())
    test: Test = constant(Test())
    setcap: list[SetCap] = constant([])


class Data(Part):
    """A table that subpackages range over."""

    name: Text
    items: TextMap = constant({})


class VarTransform(Part):
    """A variable made from another by a regular expression."""

    from_: Text
    match: Text
    replace: Text = ""
    to: Text


class PackageListChange(Part):
    """Packages that an option adds to or removes from the environment."""

    add: TextList = constant([])
    remove: TextList = constant([])


class OptionContents(Part):
    """What an option changes of the environment's contents."""

    packages: PackageListChange = constant(PackageListChange())


class OptionEnvironment(Part):
    """What an option changes of the environment."""

    contents: OptionContents = constant(OptionContents())


class BuildOption(Part):
    """A switch of the build: variables and packages that it sets."""

    vars: TextMap = constant({})
    environment: OptionEnvironment = constant(OptionEnvironment())


class Capabilities(Part):
    """Linux capabilities that the sandbox adds or drops."""

    add: TextList = constant([])
    drop: TextList = constant([])


class RecipeModel(Part):
    """A whole recipe file."""

    package: Package
    environment: Environment = constant(Environment())
    capabilities: Capabilities = constant(Capabilities())
    pipeline: list[Step] = constant([])
    subpackages: list[Subpackage] = constant([])
    data: list[Data] = constant([])
    update: Update = constant(Update())
    vars: TextMap = constant({})
    var_transforms: list[VarTransform] = constant([])
    options: dict[str, BuildOption] = constant({})
    test: Test = constant(Test())


class PipelineModel(Part):
    """A pipeline definition: a step that others use. Unknown keys are passed over, as melange does.

    `native` names a step that melpy does itself, outside the sandbox; only built-in pipelines have it. `network` lets
    its steps use the network, which they otherwise cannot see.
    """

    model_config = ConfigDict(extra="ignore")

    name: Text = ""
    description: Text = ""
    runs: Text = ""
    pipeline: list[Step] = constant([])
    inputs: dict[str, Input] = constant({})
    needs: Needs = constant(Needs())
    if_: Text = ""
    assertions: Assertions = constant(Assertions())
    working_directory: Text = ""
    environment: TextMap = constant({})
    native: Text = ""
    network: Boolean = False


@dataclass(frozen=True)
class Recipe:
    """A recipe file that was read and found valid.

    Attributes:
        path: the file.
        model: what it says.
        document: its text and where each value stands.
    """

    path: Path
    model: RecipeModel
    document: Document

    @property
    def name(self) -> str:
        """The main package's name."""
        return self.model.package.name
