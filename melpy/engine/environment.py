"""The environment of a plan, as the environment room is asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.environment.model import EnvironmentSpec
from melpy.repo.model import parse_location
from melpy.rootfs.account import make_build_root

if TYPE_CHECKING:
    from melpy.arch import Arch
    from melpy.plan.model import PlanEnvironment


def make_environment(environment: PlanEnvironment, arch: Arch) -> EnvironmentSpec:
    """Return what a build or a test asks for."""
    root = make_build_root(arch.apk, environment.packages, environment.users, environment.groups)
    return EnvironmentSpec(root, tuple(map(parse_location, environment.repositories)), environment.keyring)
