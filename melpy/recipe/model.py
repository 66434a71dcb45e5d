"""A recipe as its author wrote it: melange's schema, templates unevaluated.

Keys, types and defaults are melange's, so that a recipe loads in both. Strings keep their text; a key without a
value is as good as absent. Unknown keys are errors everywhere. What stands below a key is its documentation, from which
the reference and the JSON schema are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.recipe.image import Environment
from melpy.recipe.package import Checks, Dependencies, Package, PackageOptions, Scriptlets, SetCap
from melpy.recipe.part import Capability, Part, SomeText, Text, TextList, TextMap, constant
from melpy.recipe.step import Step  # noqa: TC001  # pydantic needs it
from melpy.recipe.update import Update

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.recipe.document import Document


class Test(Part):
    """Tests of a package, run in an environment of their own."""

    environment: Environment = constant(Environment.model_construct())
    """What the tests run in, beside the package itself."""
    pipeline: list[Step] = constant([])
    """Steps."""


class Subpackage(Part):
    """A further package of the same build."""

    if_: Text = ""
    """Condition: it is made when this holds."""
    range: Text = ""
    """Name of a table under `data`: one package is made for each of its items."""
    name: Text
    """Its name."""
    pipeline: list[Step] = constant([])
    """Steps that fill it."""
    dependencies: Dependencies = constant(Dependencies.model_construct())
    """What it needs, offers and replaces."""
    options: PackageOptions = constant(PackageOptions.model_construct())
    """Generated dependencies it does without."""
    scriptlets: Scriptlets = constant(Scriptlets.model_construct())
    """Scripts around its installation."""
    description: Text = ""
    """One line about it."""
    annotations: TextMap = constant({})
    """Facts for other programs."""
    url: Text = ""
    """Home page."""
    commit: Text = ""
    """Commit of the recipe."""
    checks: Checks = constant(Checks.model_construct())
    """Linters that only warn."""
    test: Test = constant(Test.model_construct())
    """Its tests."""
    setcap: list[SetCap] = constant([])
    """File capabilities."""


class Data(Part):
    """A table that subpackages range over."""

    name: SomeText
    """What `range` calls it."""
    items: TextMap = constant({})
    """Keys and values: `${{range.key}}` and `${{range.value}}`."""


class VarTransform(Part):
    """A variable made from another by a regular expression."""

    from_: Text
    """Text to change, usually a variable."""
    match: Text
    """Regular expression, in Go's syntax."""
    replace: Text = ""
    """What takes the place of each match; $1 is its first group."""
    to: SomeText
    """Name of the variable that gets the result."""


class PackageListChange(Part):
    """Packages that an option adds to or removes from the environment."""

    add: TextList = constant([])
    """Packages."""
    remove: TextList = constant([])
    """Packages."""


class OptionContents(Part):
    """What an option changes of the environment's contents."""

    packages: PackageListChange = constant(PackageListChange.model_construct())
    """Packages to add and to remove."""


class OptionEnvironment(Part):
    """What an option changes of the environment."""

    contents: OptionContents = constant(OptionContents.model_construct())
    """What it changes of the contents."""


class BuildOption(Part):
    """A switch of the build: variables and packages that it sets."""

    vars: TextMap = constant({})
    """Variables it sets."""
    environment: OptionEnvironment = constant(OptionEnvironment.model_construct())
    """What it changes of the build environment."""


class Capabilities(Part):
    """Linux capabilities that the sandbox adds or drops."""

    add: list[Capability] = constant([])
    """Capabilities such as CAP_NET_ADMIN."""
    drop: list[Capability] = constant([])
    """Capabilities such as CAP_MKNOD."""


class RecipeModel(Part):
    """A whole recipe file."""

    package: Package
    """The main package."""
    environment: Environment = constant(Environment.model_construct())
    """What the build runs in."""
    capabilities: Capabilities = constant(Capabilities.model_construct())
    """Linux capabilities of the build."""
    pipeline: list[Step] = constant([])
    """Steps of the build."""
    subpackages: list[Subpackage] = constant([])
    """Further packages of the same build."""
    data: list[Data] = constant([])
    """Tables for the ranges of subpackages."""
    update: Update = constant(Update.model_construct())
    """For bots that update recipes."""
    vars: TextMap = constant({})
    """Variables: `${{vars.…}}`."""
    var_transforms: list[VarTransform] = constant([])
    """Variables made from others."""
    options: dict[str, BuildOption] = constant({})
    """Switches that --build-option turns on."""
    test: Test = constant(Test.model_construct())
    """Tests of the main package."""


class Recipe(Struct, frozen=True):
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
