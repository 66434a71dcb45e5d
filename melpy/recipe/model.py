"""A recipe as its author wrote it: melange's schema, templates unevaluated.

Keys, types and defaults are melange's, so that a recipe loads in both. Strings keep their text; a key without a
value is as good as absent. Unknown keys are errors everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.recipe.document import Document

NAME = re.compile(r"[a-zA-Z\d][a-zA-Z\d+_.-]*")
"""What a package may be called."""

_BOOLEANS = {"true": True, "false": False}


def _boolean(value: object) -> object:
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, found {_describe(value)}")


def _integer(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value):
        return int(value)
    raise ValueError(f"expected a whole number, found {_describe(value)}")


def _natural(value: object) -> object:
    number = _integer(value)
    assert isinstance(number, int)
    if number < 0:
        raise ValueError(f"expected a number that is not negative, found {number}")
    return number


def _text(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise ValueError(f"expected text, found {_describe(value)}")


def _duration(value: object) -> object:
    text = _text(value)
    assert isinstance(text, str)
    if text and not re.fullmatch(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+|0", text):
        raise ValueError(f"expected a duration such as 30m or 1h30m, found {text!r}")
    return text


def _priority(value: object) -> object:
    text = _text(value)
    assert isinstance(text, str)
    # Templates are looked at once they are rendered.
    if text and "${{" not in text and not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"expected a whole number, found {text!r}")
    return text


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else repr(value)


Text = Annotated[str, BeforeValidator(_text)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Integer = Annotated[int, BeforeValidator(_integer)]
Natural = Annotated[int, BeforeValidator(_natural)]
Duration = Annotated[str, BeforeValidator(_duration)]
Priority = Annotated[str, BeforeValidator(_priority)]
TextMap = dict[str, Text]
TextList = list[Text]


class _Model(BaseModel):
    """Base of all parts: immutable, strict about keys, hyphens in YAML and underscores in Python."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.removesuffix("_").replace("_", "-")
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:  # whatever YAML holds
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


class Dependencies(_Model):
    """What a package needs, offers and replaces, in apk's constraint syntax."""

    runtime: TextList = []
    provides: TextList = []
    replaces: TextList = []
    provider_priority: Priority = ""
    replaces_priority: Priority = ""


class PackageOptions(_Model):
    """Which generated dependencies and provides a package does without."""

    no_provides: Boolean = False
    no_depends: Boolean = False
    no_commands: Boolean = False
    no_versioned_shlib_deps: Boolean = False


class Trigger(_Model):
    """A script that runs when files appear in watched directories."""

    script: Text = ""
    paths: TextList = []


class Scriptlets(_Model):
    """Scripts that apk runs around installation, each with its interpreter line."""

    trigger: Trigger = Trigger()
    pre_install: Text = ""
    post_install: Text = ""
    pre_deinstall: Text = ""
    post_deinstall: Text = ""
    pre_upgrade: Text = ""
    post_upgrade: Text = ""


class Copyright(_Model):
    """A licence and what it covers."""

    paths: TextList = []
    attestation: Text = ""
    license: Text = ""
    license_path: Text = ""
    detection_override: Text = ""


class Checks(_Model):
    """Linters that only warn for this package."""

    disabled: TextList = []


class Cpe(_Model):
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


class SetCap(_Model):
    """File capabilities of one path: capability names to flags such as `+ep`, and why."""

    path: Text
    add: TextMap = {}
    reason: Text = ""


class Resources(_Model):
    """What a build may use of the machine."""

    cpu: Text = ""
    cpumodel: Text = ""
    memory: Text = ""
    disk: Text = ""


class Package(_Model):
    """Identity and metadata of the main package."""

    name: Text
    version: Text
    epoch: Natural = 0
    description: Text = ""
    annotations: TextMap = {}
    url: Text = ""
    commit: Text = ""
    target_architecture: TextList = []
    copyright: list[Copyright] = []
    dependencies: Dependencies = Dependencies()
    options: PackageOptions = PackageOptions()
    scriptlets: Scriptlets = Scriptlets()
    checks: Checks = Checks()
    cpe: Cpe = Cpe()
    setcap: list[SetCap] = []
    timeout: Duration = ""
    resources: Resources = Resources()
    test_resources: Resources = Resources()


class Needs(_Model):
    """Packages that a step adds to the build environment."""

    packages: TextList = []


class Input(_Model):
    """An input of a pipeline."""

    description: Text = ""
    default: Text = ""
    required: Boolean = False


class Assertions(_Model):
    """What must hold after a step's children."""

    required_steps: Integer = 0


class Step(_Model):
    """A pipeline step: a script, a use of a pipeline, or a group of steps."""

    name: Text = ""
    uses: Text = ""
    with_: TextMap = {}
    runs: Text = ""
    pipeline: list[Step] = []
    inputs: dict[str, Input] = {}
    needs: Needs = Needs()
    label: Text = ""
    if_: Text = ""
    assertions: Assertions = Assertions()
    working_directory: Text = ""
    environment: TextMap = {}


class User(_Model):
    """A user of the build environment."""

    username: Text
    uid: Natural = 0
    gid: Natural = 0
    shell: Text = ""
    homedir: Text = ""


class Group(_Model):
    """A group of the build environment."""

    groupname: Text
    gid: Natural = 0
    members: TextList = []


class Accounts(_Model):
    """Users and groups of the build environment, and who runs the steps."""

    run_as: Text = ""
    users: list[User] = []
    groups: list[Group] = []


class RuntimeKey(_Model):
    """A key that an image trusts at run time."""

    name: Text = ""
    content: Text = ""


class BaseImage(_Model):
    """An image to build upon."""

    image: Text = ""
    apkindex: Text = ""


class Contents(_Model):
    """Packages of an environment and where they come from."""

    build_repositories: TextList = Field(default=[], alias="build_repositories")
    runtime_repositories: TextList = Field(default=[], alias="runtime_repositories")
    repositories: TextList = []
    keyring: TextList = []
    runtime_keyring: list[RuntimeKey] = Field(default=[], alias="runtime_keyring")
    packages: TextList = []
    baseimage: BaseImage = BaseImage()


class Entrypoint(_Model):
    """What an image runs."""

    type: Text = ""
    command: Text = ""
    shell_fragment: Text = ""
    services: TextMap = {}


class PathMutation(_Model):
    """A file or directory that an image adds or changes."""

    path: Text
    type: Text = ""
    uid: Natural = 0
    gid: Natural = 0
    permissions: Text = ""
    source: Text = ""
    recursive: Boolean = False


class Layering(_Model):
    """How an image is cut into layers."""

    strategy: Text = ""
    budget: Integer = 0


class Certificate(_Model):
    """A further certificate authority."""

    name: Text = ""
    content: Text = ""


class Certificates(_Model):
    """Further certificate authorities."""

    additional: list[Certificate] = []
    providers: TextList = []


class Environment(_Model):
    """The build environment, in apko's image configuration."""

    contents: Contents = Contents()
    entrypoint: Entrypoint = Entrypoint()
    cmd: Text = ""
    stop_signal: Text = ""
    work_dir: Text = ""
    vcs_url: Text = ""
    include: Text = ""
    accounts: Accounts = Accounts()
    archs: TextList = []
    environment: TextMap = {}
    paths: list[PathMutation] = []
    annotations: TextMap = {}
    volumes: TextList = []
    layering: Layering = Layering()
    format: Text = ""
    certificates: Certificates = Certificates()


class Test(_Model):
    """Tests of a package, run in an environment of their own."""

    environment: Environment = Environment()
    pipeline: list[Step] = []


class Subpackage(_Model):
    """A further package of the same build."""

    if_: Text = ""
    range: Text = ""
    name: Text
    pipeline: list[Step] = []
    dependencies: Dependencies = Dependencies()
    options: PackageOptions = PackageOptions()
    scriptlets: Scriptlets = Scriptlets()
    description: Text = ""
    annotations: TextMap = {}
    url: Text = ""
    commit: Text = ""
    checks: Checks = Checks()
    test: Test = Test()
    setcap: list[SetCap] = []


class Data(_Model):
    """A table that subpackages range over."""

    name: Text
    items: TextMap = {}


class VarTransform(_Model):
    """A variable made from another by a regular expression."""

    from_: Text
    match: Text
    replace: Text = ""
    to: Text


class PackageListChange(_Model):
    """Packages that an option adds to or removes from the environment."""

    add: TextList = []
    remove: TextList = []


class OptionContents(_Model):
    """What an option changes of the environment's contents."""

    packages: PackageListChange = PackageListChange()


class OptionEnvironment(_Model):
    """What an option changes of the environment."""

    contents: OptionContents = OptionContents()


class BuildOption(_Model):
    """A switch of the build: variables and packages that it sets."""

    vars: TextMap = {}
    environment: OptionEnvironment = OptionEnvironment()


class Capabilities(_Model):
    """Linux capabilities that the sandbox adds or drops."""

    add: TextList = []
    drop: TextList = []


class ReleaseMonitor(_Model):
    """Where release-monitoring.org knows the project."""

    identifier: Integer = 0
    strip_prefix: Text = ""
    strip_suffix: Text = ""
    version_filter_contains: Text = ""
    version_filter_prefix: Text = ""


class GitHubMonitor(_Model):
    """How new releases are found on GitHub."""

    identifier: Text = ""
    strip_prefix: Text = ""
    strip_suffix: Text = ""
    tag_filter: Text = ""
    tag_filter_prefix: Text = ""
    tag_filter_contains: Text = ""
    use_tag: Boolean = False


class GitMonitor(_Model):
    """How new releases are found in a git repository."""

    strip_prefix: Text = ""
    strip_suffix: Text = ""
    tag_filter_prefix: Text = ""
    tag_filter_contains: Text = ""


class OciMonitor(GitMonitor):
    """How new releases are found in an image repository."""

    identifier: Text = ""


class VersionSource(_Model):
    """One source of a set of version streams."""

    name: Text = ""
    stream: Text = ""
    ignore: TextList = []
    commit_source: Text = Field(default="", alias="commit_source")
    use_release: Boolean = Field(default=False, alias="use_release")


class VersionData(_Model):
    """How version streams are found."""

    version_format: Text = Field(default="", alias="version_format")
    sources: list[VersionSource] = []


class VersionTransform(_Model):
    """A change to an upstream version."""

    match: Text
    replace: Text = ""


class Schedule(_Model):
    """When updates are looked for."""

    reason: Text = ""
    period: Text = ""


class Update(_Model):
    """What a bot that updates recipes should know; the build does not use it."""

    enabled: Boolean = False
    manual: Boolean = False
    require_sequential: Boolean = False
    shared: Boolean = False
    enable_prerelease_tags: Boolean = False
    version_separator: Text = ""
    exclude_reason: Text = ""
    ignore_regex_patterns: TextList = []
    release_monitor: ReleaseMonitor = ReleaseMonitor()
    github: GitHubMonitor = GitHubMonitor()
    git: GitMonitor = GitMonitor()
    oci: OciMonitor = OciMonitor()
    version_data: VersionData = Field(default=VersionData(), alias="version_data")
    version_transform: list[VersionTransform] = []
    schedule: Schedule = Schedule()


class RecipeModel(_Model):
    """A whole recipe file."""

    package: Package
    environment: Environment = Environment()
    capabilities: Capabilities = Capabilities()
    pipeline: list[Step] = []
    subpackages: list[Subpackage] = []
    data: list[Data] = []
    update: Update = Update()
    vars: TextMap = {}
    var_transforms: list[VarTransform] = []
    options: dict[str, BuildOption] = {}
    test: Test = Test()


class PipelineModel(_Model):
    """A pipeline definition: a step that others use. Unknown keys are passed over, as melange does.

    `native` names a step that melpy does itself, outside the sandbox; only built-in pipelines have it.
    """

    model_config = ConfigDict(extra="ignore")

    name: Text = ""
    description: Text = ""
    runs: Text = ""
    pipeline: list[Step] = []
    inputs: dict[str, Input] = {}
    needs: Needs = Needs()
    if_: Text = ""
    assertions: Assertions = Assertions()
    working_directory: Text = ""
    environment: TextMap = {}
    native: Text = ""


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
