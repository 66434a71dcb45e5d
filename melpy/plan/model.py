"""The nouns of a plan: everything a build needs to know, with no template left.

A plan is for one recipe and one architecture. It names nothing of this machine: paths are those inside the sandbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from melpy.arch import NOARCH
from melpy.codec import Noun, PartNoun, asdict, replace
from melpy.plan.git import GitSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.plan.step import CompiledStep
    from melpy.plan.template import Spot
    from melpy.recipe.model import Recipe, Subpackage


Pairs = tuple[tuple[str, str], ...]
"""An immutable mapping of strings, sorted by key."""

WORKSPACE = "/home/build"
"""Where the workspace is inside the sandbox."""

OUTPUT = f"{WORKSPACE}/melange-out"
"""Where packages put their files, one directory each."""

_MOST_TRIES = 100


def pairs(mapping: Mapping[str, str]) -> Pairs:
    """Return a mapping as sorted pairs."""
    return tuple(sorted(mapping.items()))


class PlanStep(Noun, frozen=True):
    """One step to run: a script in the sandbox, or something melpy does itself.

    Attributes:
        label: what to call it.
        script: shell fragment, empty for a native step.
        native: name of what melpy does itself, such as `fetch`; empty for a script.
        inputs: inputs of a native step.
        workdir: absolute directory inside the sandbox, made when missing.
        environment: variables beside the environment's own.
        network: whether it may use the network.
    """

    label: str
    script: str = ""
    native: str = ""
    inputs: Pairs = ()
    workdir: str = WORKSPACE
    environment: Pairs = ()
    network: bool = False


class FetchPatience(Noun, frozen=True):
    """How long a server is waited for, as wget has it.

    Attributes:
        timeout: seconds without an answer after which it is given up; 0 for never.
        tries: how often it is tried in all; 0 for as often as it takes.
    """

    timeout: float = 5.0
    tries: int = 5

    @property
    def retries(self) -> int:
        """Tries after the first; nothing is tried for ever."""
        return (self.tries or _MOST_TRIES) - 1


class Source(PartNoun, frozen=True, tag="fetch"):
    """An upstream file by digest.

    Attributes:
        uri: where upstream offers it.
        sha256: its SHA-256 in lower-case hex, or empty.
        sha512: its SHA-512 in lower-case hex, or empty.
        name: name of the software, for the SBOM.
        version: version of the software, for the SBOM.
        patience: how failures to reach it are met.
    """

    uri: str
    sha256: str = ""
    sha512: str = ""
    name: str = ""
    version: str = ""
    patience: FetchPatience = FetchPatience()

    uncounted: ClassVar = ("patience",)  # how they are fetched: two may differ in that and be the same

    @property
    def material(self) -> dict[str, str]:
        """What it is, for the record of a build."""
        return {"uri": self.uri, "sha256": self.sha256, "sha512": self.sha512}

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, str]) -> Source:
        """Return the source that the inputs of a fetch step name."""
        return cls(
            uri=inputs["uri"],
            sha256=inputs["expected-sha256"].lower(),
            sha512=inputs["expected-sha512"].lower(),
            name=inputs["purl-name"],
            version=inputs["purl-version"],
            patience=FetchPatience(float(inputs["timeout"]), int(inputs["retry-limit"])),
        )


class SetCapability(Noun, frozen=True):
    """File capabilities: the path in the package, capability names with their flags, and why."""

    path: str
    add: Pairs
    reason: str = ""


class Licence(Noun, frozen=True):
    """A copyright entry of the recipe."""

    license: str
    attestation: str = ""
    license_path: str = ""
    paths: tuple[str, ...] = ()


class PackagePlan(Noun, frozen=True):
    """One package that the build makes: its metadata, and the steps that fill its directory."""

    name: str
    description: str = ""
    url: str = ""
    commit: str = ""
    runtime: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    provider_priority: str = ""
    replaces_priority: str = ""
    no_provides: bool = False
    no_depends: bool = False
    no_commands: bool = False
    no_versioned_shlib_deps: bool = False
    scriptlets: Pairs = ()
    triggers: tuple[str, ...] = ()
    setcap: tuple[SetCapability, ...] = ()
    annotations: Pairs = ()
    steps: tuple[PlanStep, ...] = ()

    @property
    def outdir(self) -> str:
        """Its directory inside the sandbox."""
        return f"{OUTPUT}/{self.name}"


class PlanUser(Noun, frozen=True):
    """A user of the build environment; an empty home or shell is the usual one."""

    name: str
    uid: int
    gid: int
    home: str = ""
    shell: str = ""


class PlanGroup(Noun, frozen=True):
    """A group of the build environment."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


class PlanCertificate(Noun, frozen=True):
    """A certificate authority that steps trust: the name of its file, and one certificate in PEM."""

    name: str
    content: str


class PlanEnvironment(Noun, frozen=True):
    """The build environment: what is installed, from where, and how steps see it.

    Attributes:
        packages: constraints that are installed, needs of the steps included.
        repositories: repositories that the recipe itself names.
        keyring: keys that the recipe itself names.
        variables: environment variables of every step.
        user: uid and gid of the steps.
        users, groups: accounts beside those of the packages.
        certificates: authorities that steps trust beside those of the packages.
    """

    packages: tuple[str, ...]
    repositories: tuple[str, ...] = ()
    keyring: tuple[str, ...] = ()
    variables: Pairs = ()
    user: tuple[int, int] = (1000, 1000)
    users: tuple[PlanUser, ...] = ()
    groups: tuple[PlanGroup, ...] = ()
    certificates: tuple[PlanCertificate, ...] = ()

    def with_packages(self, names: Iterable[str]) -> PlanEnvironment:
        """Return the same with other packages, each once."""
        return replace(self, packages=tuple(dict.fromkeys(names)))


class PackageTest(Noun, frozen=True):
    """The test of a package: what it runs, in an environment that has the package.

    Attributes:
        package: name of the package.
        environment: what the test runs in.
        steps: what is to be run, in order.
    """

    package: str
    environment: PlanEnvironment
    steps: tuple[PlanStep, ...] = ()


class Plan(Noun, frozen=True):
    """A recipe for one architecture.

    Attributes:
        recipe: file name of the recipe, without its directory.
        name: main package and origin.
        version: upstream version.
        epoch: release.
        arch: APK architecture.
        packages: main package first, then subpackages in the recipe's order.
        environment: what the build runs in.
        sources: upstream files and repositories that native steps fetch, in order.
        licences: copyright entries.
        cpe: CPE 2.3 name, or empty.
        capabilities_add: Linux capabilities the sandbox adds.
        capabilities_drop: Linux capabilities the sandbox drops.
        pipelines: names of the pipelines that its build uses.
        tests: tests of the packages that have one; no part of the plan's identity.
        compiled: the compiled recipe as JSON text, in the form of melange's `.melange.yaml`.
        noarch: whether its packages are for every architecture; `arch` is that of their environment then.
    """

    recipe: str
    name: str
    version: str
    epoch: int
    arch: str
    packages: tuple[PackagePlan, ...]
    environment: PlanEnvironment
    sources: tuple[Source | GitSource, ...] = ()
    licences: tuple[Licence, ...] = ()
    cpe: str = ""
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    tests: tuple[PackageTest, ...] = ()
    compiled: str = "{}"
    noarch: bool = False

    @property
    def full_version(self) -> str:
        """Version and release as in packages: `2.10-r0`."""
        return f"{self.version}-r{self.epoch}"

    @property
    def job(self) -> str:
        """What to call this build: `hello-2.10-r0/x86_64`."""
        return f"{self.name}-{self.full_version}/{self.package_arch}"

    @property
    def package_arch(self) -> str:
        """Architecture that its packages say they are for, `noarch` for every one."""
        return NOARCH if self.noarch else self.arch

    def to_json(self) -> dict[str, object]:
        """Return the plan as JSON-able values; pairs become mappings."""
        data = _plain(asdict(self))
        assert isinstance(data, dict)
        return data


class Evaluation(Struct, frozen=True):
    """A recipe evaluated for one architecture, its steps still nested as the recipe has them.

    Attributes:
        recipe: what was evaluated.
        arch: APK architecture.
        variables: every variable of the recipe as a whole, by name.
        origins: where a variable stands; those of melpy itself are left out.
        packages: plans of the packages, the main one first.
        scopes: every variable that the texts of each package see, by name.
        subpackages: what the recipe says of the packages after the main one.
        spots: where the recipe says it, of each package.
        licences: copyright entries.
        steps: compiled steps of each package.
        environment: what the build runs in.
        tests: tests of the packages that have one.
        test_steps: compiled steps of each test, by package.
        pipelines: names of the pipelines that its build uses.
        left_out: names of subpackages that a restricted range leaves out.
        noarch: whether its packages are for every architecture; `arch` is that of their environment then.
    """

    recipe: Recipe
    arch: str
    variables: Mapping[str, str]
    origins: Mapping[str, Spot]
    packages: tuple[PackagePlan, ...]
    scopes: tuple[Mapping[str, str], ...]
    subpackages: tuple[Subpackage, ...]
    spots: tuple[Spot, ...]
    licences: tuple[Licence, ...]
    steps: tuple[tuple[CompiledStep, ...], ...]
    environment: PlanEnvironment
    tests: tuple[PackageTest, ...]
    test_steps: Mapping[str, tuple[CompiledStep, ...]]
    pipelines: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    noarch: bool = False


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain_field(key, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


_PAIR_FIELDS = {"inputs", "environment", "scriptlets", "variables", "annotations", "add"}


def _plain_field(key: str, value: object) -> object:
    if key in _PAIR_FIELDS and isinstance(value, tuple):
        return {str(name): item for name, item in value}
    return _plain(value)
