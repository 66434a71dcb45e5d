"""The schema of a build environment: apko's image configuration."""

from __future__ import annotations

from melpy.recipe.part import Boolean, Integer, Natural, Part, Text, TextList, TextMap, constant


class User(Part):
    """A user of the build environment."""

    username: Text
    uid: Natural = 0
    gid: Natural = 0
    shell: Text = ""
    homedir: Text = ""


class Group(Part):
    """A group of the build environment."""

    groupname: Text
    gid: Natural = 0
    members: TextList = constant([])


class Accounts(Part):
    """Users and groups of the build environment, and who runs the steps."""

    run_as: Text = ""
    users: list[User] = constant([])
    groups: list[Group] = constant([])


class RuntimeKey(Part):
    """A key that an image trusts at run time."""

    name: Text = ""
    content: Text = ""


class BaseImage(Part):
    """An image to build upon."""

    image: Text = ""
    apkindex: Text = ""


class Contents(Part):
    """Packages of an environment and where they come from."""

    build_repositories: TextList = constant([], alias="build_repositories")
    runtime_repositories: TextList = constant([], alias="runtime_repositories")
    repositories: TextList = constant([])
    keyring: TextList = constant([])
    runtime_keyring: list[RuntimeKey] = constant([], alias="runtime_keyring")
    packages: TextList = constant([])
    baseimage: BaseImage = constant(BaseImage())


class Entrypoint(Part):
    """What an image runs."""

    type: Text = ""
    command: Text = ""
    shell_fragment: Text = ""
    services: TextMap = constant({})


class PathMutation(Part):
    """A file or directory that an image adds or changes."""

    path: Text
    type: Text = ""
    uid: Natural = 0
    gid: Natural = 0
    permissions: Text = ""
    source: Text = ""
    recursive: Boolean = False


class Layering(Part):
    """How an image is cut into layers."""

    strategy: Text = ""
    budget: Integer = 0


class Certificate(Part):
    """A further certificate authority."""

    name: Text = ""
    content: Text = ""


class Certificates(Part):
    """Further certificate authorities."""

    additional: list[Certificate] = constant([])
    providers: TextList = constant([])


class Environment(Part):
    """The build environment, in apko's image configuration."""

    contents: Contents = constant(Contents())
    entrypoint: Entrypoint = constant(Entrypoint())
    cmd: Text = ""
    stop_signal: Text = ""
    work_dir: Text = ""
    vcs_url: Text = ""
    include: Text = ""
    accounts: Accounts = constant(Accounts())
    archs: TextList = constant([])
    environment: TextMap = constant({})
    paths: list[PathMutation] = constant([])
    annotations: TextMap = constant({})
    volumes: TextList = constant([])
    layering: Layering = constant(Layering())
    format: Text = ""
    certificates: Certificates = constant(Certificates())
