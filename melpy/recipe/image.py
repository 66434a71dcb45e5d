"""The schema of a build environment: apko's image configuration."""

from __future__ import annotations

from melpy.recipe.part import Boolean, Id, Integer, Part, Text, TextList, TextMap, Variables, constant


class User(Part):
    """A user of the build environment."""

    username: Text
    """Name."""
    uid: Id = 0
    """Number."""
    gid: Id = 0
    """Number of its group; its own number without one."""
    shell: Text = ""
    """Login shell."""
    homedir: Text = ""
    """Home directory."""


class Group(Part):
    """A group of the build environment."""

    groupname: Text
    """Name."""
    gid: Id = 0
    """Number."""
    members: TextList = constant([])
    """Names of users."""


class Accounts(Part):
    """Users and groups of the build environment, and who runs the steps."""

    run_as: Text = ""
    """Who runs the steps: a name or number; `root` or `build`, or one of `users`."""
    users: list[User] = constant([])
    """Users that are made."""
    groups: list[Group] = constant([])
    """Groups that are made."""


class RuntimeKey(Part):
    """A key that an image trusts at run time."""

    name: Text = ""
    """File name."""
    content: Text = ""
    """Public key."""


class BaseImage(Part):
    """An image to build upon."""

    image: Text = ""
    """Path of the image."""
    apkindex: Text = ""
    """Path of the index of its packages."""


class Contents(Part):
    """Packages of an environment and where they come from."""

    build_repositories: TextList = constant([], alias="build_repositories")
    """Repositories for the build alone."""
    runtime_repositories: TextList = constant([], alias="runtime_repositories")
    """Repositories of the image."""
    repositories: TextList = constant([])
    """Repositories that packages come from."""
    keyring: TextList = constant([])
    """Public keys that these are trusted by."""
    runtime_keyring: list[RuntimeKey] = constant([], alias="runtime_keyring")
    """Keys of the image."""
    packages: TextList = constant([])
    """Packages, with constraints on their versions."""
    baseimage: BaseImage = constant(BaseImage.model_construct())
    """Image to build upon."""


class Entrypoint(Part):
    """What an image runs."""

    type: Text = ""
    """Kind of entry point."""
    command: Text = ""
    """Command."""
    shell_fragment: Text = ""
    """Shell script."""
    services: TextMap = constant({})
    """Names and commands of services."""


class PathMutation(Part):
    """A file or directory that an image adds or changes."""

    path: Text
    """Path."""
    type: Text = ""
    """What to do: directory, empty-file, hardlink, symlink or permissions."""
    uid: Id = 0
    """Owner."""
    gid: Id = 0
    """Group."""
    permissions: Text = ""
    """Mode, in octal."""
    source: Text = ""
    """Target of a link."""
    recursive: Boolean = False
    """Whether what is below it is meant too."""


class Layering(Part):
    """How an image is cut into layers."""

    strategy: Text = ""
    """How."""
    budget: Integer = 0
    """How many layers."""


class Certificate(Part):
    """A further certificate authority."""

    name: Text = ""
    """Name."""
    content: Text = ""
    """Certificate in PEM."""


class Certificates(Part):
    """Further certificate authorities."""

    additional: list[Certificate] = constant([])
    """Certificates."""
    providers: TextList = constant([])
    """Packages that bring certificates: no effect."""


class Environment(Part):
    """The build environment, in apko's image configuration."""

    contents: Contents = constant(Contents.model_construct())
    """Packages and where they come from."""
    entrypoint: Entrypoint = constant(Entrypoint.model_construct())
    """What an image runs."""
    cmd: Text = ""
    """Arguments of what it runs."""
    stop_signal: Text = ""
    """Signal that stops it."""
    work_dir: Text = ""
    """Working directory."""
    vcs_url: Text = ""
    """Where its source is."""
    include: Text = ""
    """File to include."""
    accounts: Accounts = constant(Accounts.model_construct())
    """Users and groups, and who runs the steps."""
    archs: TextList = constant([])
    """Architectures."""
    environment: Variables = constant({})
    """Environment variables."""
    paths: list[PathMutation] = constant([])
    """Files to make or change."""
    annotations: TextMap = constant({})
    """Facts for other programs."""
    volumes: TextList = constant([])
    """Volumes."""
    layering: Layering = constant(Layering.model_construct())
    """How it is cut into layers."""
    format: Text = ""
    """Tar or erofs."""
    certificates: Certificates = constant(Certificates.model_construct())
    """Certificate authorities."""
