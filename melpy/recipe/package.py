"""The schema of what a package says about itself, be it the main package or a subpackage."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from melpy.arch import ARCHES, NOARCH
from melpy.errors import hint_near
from melpy.recipe.capability import FILE_CAPABILITIES
from melpy.recipe.part import (
    Boolean,
    Duration,
    Natural,
    Part,
    Priority,
    Text,
    TextList,
    TextMap,
    ValueFaultError,
    constant,
)

NAME = re.compile(r"[a-zA-Z\d][a-zA-Z\d+_.-]*", re.ASCII)
"""What a package may be called."""

ARCH_NAMES = [*ARCHES, *sorted({arch.go for arch in ARCHES.values()} - set(ARCHES)), "all", NOARCH]
"""What `target-architecture` may hold."""

_CPE_FIELD = re.compile(r"[a-z\d][a-z\d+_.-]*")


def _cpe_part(value: str) -> str:
    if value not in {"", "a", "o"}:
        raise ValueFaultError(f"expected `a` or `o`, found {value!r}", "`a` is an application, `o` an operating system")
    return value


def _cpe_field(value: str) -> str:
    if value and not _CPE_FIELD.fullmatch(value):
        raise ValueFaultError(
            f"expected lower-case letters, digits, + _ . and -, found {value!r}", "leave out what can be anything"
        )
    return value


def _capabilities(value: str) -> str:
    for name in value.split(","):
        if name not in FILE_CAPABILITIES:
            hint = f"allowed are {', '.join(FILE_CAPABILITIES)}"
            raise ValueFaultError(f"files of packages may not have the capability {name!r}", hint)
    return value


def _reason(value: str) -> str:
    if not value.strip():
        raise ValueFaultError("is empty", "say why the file needs its capabilities")
    return value


def _architecture(value: str) -> str:
    if "${{" not in value and value not in ARCH_NAMES:
        raise ValueFaultError(
            f"no architecture is called {value!r}", hint_near(value, ARCH_NAMES, f"known are {', '.join(ARCH_NAMES)}")
        )
    return value


_ARCHITECTURE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "enum": ARCH_NAMES}, {"type": "string", "pattern": r"\$\{\{"}]
}
Architecture = Annotated[Text, AfterValidator(_architecture), WithJsonSchema(_ARCHITECTURE_SCHEMA)]
CpePart = Annotated[Text, AfterValidator(_cpe_part)]
CpeField = Annotated[Text, AfterValidator(_cpe_field)]
Capabilities = Annotated[Text, AfterValidator(_capabilities)]


class Dependencies(Part):
    """What a package needs, offers and replaces, in apk's constraint syntax."""

    runtime: TextList = constant([])
    """What it needs when it is used."""
    provides: TextList = constant([])
    """Further names it is found by, with or without a version."""
    replaces: TextList = constant([])
    """Packages whose files it may overwrite."""
    provider_priority: Priority = ""
    """Which of several providers is chosen; the highest number wins."""
    replaces_priority: Priority = ""
    """Whose files win where packages replace each other; the highest number wins."""


class PackageOptions(Part):
    """Which generated dependencies and provides a package does without."""

    no_provides: Boolean = False
    """Generate no provides."""
    no_depends: Boolean = False
    """Generate no runtime dependencies."""
    no_commands: Boolean = False
    """Generate no `cmd:` provides."""
    no_versioned_shlib_deps: Boolean = False
    """Generate no versioned dependencies on shared libraries."""


class Trigger(Part):
    """A script that runs when files appear in watched directories."""

    script: Text = ""
    """The script, with its interpreter line."""
    paths: TextList = constant([])
    """Directories that are watched; shell patterns."""


class Scriptlets(Part):
    """Scripts that apk runs around installation, each with its interpreter line."""

    trigger: Trigger = constant(Trigger.model_construct())
    """Runs when files appear in watched directories."""
    pre_install: Text = ""
    """Runs before the package is installed."""
    post_install: Text = ""
    """Runs after it was installed."""
    pre_deinstall: Text = ""
    """Runs before it is removed."""
    post_deinstall: Text = ""
    """Runs after it was removed."""
    pre_upgrade: Text = ""
    """Runs before another version takes its place."""
    post_upgrade: Text = ""
    """Runs after it took the place of another version."""


class Copyright(Part):
    """A licence and what it covers."""

    paths: TextList = constant([])
    """Files that the entry covers, for people."""
    attestation: Text = ""
    """Copyright notice."""
    license: Text = ""
    """SPDX licence expression; ids of one's own are `LicenseRef-Name`."""
    license_path: Text = ""
    """File with the text of the licence, below the workspace; it is read after the last step, for the SBOM."""
    detection_override: Text = ""
    """Licence to assume where detection finds another."""


class Checks(Part):
    """Linters that only warn for this package."""

    disabled: TextList = constant([])
    """Names of linters."""


class Cpe(Part):
    """The package's name in the Common Platform Enumeration 2.3."""

    part: CpePart = ""
    """`a` for an application, `o` for an operating system."""
    vendor: CpeField = ""
    """Vendor."""
    product: CpeField = ""
    """Product."""
    edition: CpeField = ""
    """Edition."""
    language: CpeField = ""
    """Language."""
    sw_edition: CpeField = Field(default="", alias="sw_edition")
    """Software edition."""
    target_sw: CpeField = Field(default="", alias="target_sw")
    """Software it runs on."""
    target_hw: CpeField = Field(default="", alias="target_hw")
    """Hardware it runs on."""
    other: CpeField = ""
    """Anything else."""

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if bool(self.vendor) != bool(self.product):
            has, lacks = ("vendor", "product") if self.vendor else ("product", "vendor")
            raise ValueFaultError(f"has a {has} and no {lacks}", "give both or neither")
        return self


class SetCap(Part):
    """File capabilities of one path: capability names to flags such as `+ep`, and why."""

    path: Text
    """Path of the file in the package."""
    add: dict[Capabilities, Text] = constant({})
    """Capability names, several joined by commas, and flags out of e, p and i."""
    reason: Annotated[Text, AfterValidator(_reason)]
    """Why; it must be given."""


class Resources(Part):
    """What a build asks for of a machine; limits are set by flags and settings."""

    cpu: Text = ""
    """Number of cores."""
    cpumodel: Text = ""
    """Model that is emulated."""
    memory: Text = ""
    """Memory, such as 8Gi."""
    disk: Text = ""
    """Disk space, such as 50Gi."""


class Package(Part):
    """Identity and metadata of the main package."""

    name: Text
    """Name of the main package and origin of all."""
    version: Text
    """Upstream version, in apk's syntax."""
    epoch: Natural = 0
    """Release of this version, the N of `-rN`."""
    description: Text = ""
    """One line about it."""
    annotations: TextMap = constant({})
    """Facts for other programs."""
    url: Text = ""
    """Home page."""
    commit: Text = ""
    """Commit of the recipe."""
    target_architecture: list[Architecture] = constant([])
    """Architectures it is built for; none or `all` is every one. `noarch` alone: built once, for every one."""
    copyright: list[Copyright] = constant([])
    """Licences."""
    dependencies: Dependencies = constant(Dependencies.model_construct())
    """What it needs, offers and replaces."""
    options: PackageOptions = constant(PackageOptions.model_construct())
    """Generated dependencies it does without."""
    scriptlets: Scriptlets = constant(Scriptlets.model_construct())
    """Scripts around its installation."""
    checks: Checks = constant(Checks.model_construct())
    """Linters that only warn."""
    cpe: Cpe = constant(Cpe.model_construct())
    """Its name in vulnerability databases."""
    setcap: list[SetCap] = constant([])
    """File capabilities."""
    timeout: Duration = ""
    """How long a build may take, such as 1h30m."""
    resources: Resources = constant(Resources.model_construct())
    """What a build asks for of a machine."""
    test_resources: Resources = constant(Resources.model_construct())
    """What its tests ask for of a machine."""
