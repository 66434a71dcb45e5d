"""The environments of a recipe: what is installed for the build, and for each of its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import RecipeError, hint_near
from melpy.plan.model import WORKSPACE, PlanEnvironment, pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.plan.fault import Faults
    from melpy.plan.step import CompiledStep
    from melpy.plan.template import Spot
    from melpy.recipe.image import Environment

DEFAULT_VARIABLES = {
    "HOME": WORKSPACE,
    "GOPATH": f"{WORKSPACE}/.cache/go",
    "GOMODCACHE": "/var/cache/melange/gomodcache",
    "UV_CACHE_DIR": "/var/cache/melange/uv",
    "PIP_CACHE_DIR": "/var/cache/melange/pip",
    "COMPOSER_CACHE_DIR": "/var/cache/melange/composer",
    "npm_config_cache": "/var/cache/melange/npm",
}
"""Variables that every build has unless the recipe says otherwise."""

_BUILD_USER = (1000, 1000)


def plan_environment(
    model: Environment,
    defaults: Mapping[str, str],
    needed: Iterable[str],
    variables: Mapping[str, str],
    spot: Spot,
    faults: Faults,
) -> PlanEnvironment:
    """Return an environment.

    Args:
        model: what the recipe says of it.
        defaults: environment variables that it has unless the recipe says otherwise.
        needed: packages that it has beside those of the recipe.
        variables: what its texts may name.
        spot: where it is in the recipe.
        faults: receives what is wrong.
    """
    contents = model.contents
    stated = faults.render_all(contents.packages, variables, spot, "contents", "packages")
    own = {key: faults.render(value, variables, spot, "environment", key) for key, value in model.environment.items()}
    # A variable that has a default cannot be emptied, as in melange.
    own = {key: value for key, value in own.items() if value or key not in DEFAULT_VARIABLES}
    return PlanEnvironment(
        packages=tuple(dict.fromkeys([*stated, *needed])),
        repositories=(*contents.build_repositories, *contents.repositories),
        keyring=tuple(contents.keyring),
        variables=pairs({**defaults, **own}),
        user=_user(model, spot, faults),
    )


def needed_packages(steps: Iterable[CompiledStep]) -> list[str]:
    """Return the packages that steps need, in order."""
    return [name for top in steps for step in top.walk() for name in step.packages]


def _user(model: Environment, spot: Spot, faults: Faults) -> tuple[int, int]:
    accounts = model.accounts
    name = accounts.run_as
    if not name:
        return _BUILD_USER
    for user in accounts.users:
        if name in {user.username, str(user.uid)}:
            return user.uid, user.gid or user.uid
    if name.isdecimal():
        return int(name), int(name)
    known = {"build": _BUILD_USER, "root": (0, 0)}
    if name in known:
        return known[name]
    names = [*known, *(user.username for user in accounts.users)]
    hint = hint_near(name, names, f"known are {', '.join(names)}")
    message = f"no user is called {name!r}"
    faults.add(spot.below("accounts", "run-as").at(name, 0, RecipeError, message, hint))
    return _BUILD_USER
