"""The environments of a recipe: what is installed for the build, and for each of its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import RecipeError, hint_near
from melpy.plan.model import WORKSPACE, PlanEnvironment, pairs
from melpy.recipe.part import LARGEST_ID, WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.plan.fault import Faults
    from melpy.plan.step import CompiledStep
    from melpy.plan.template import Spot
    from melpy.recipe.image import Environment
    from melpy.recipe.model import PackageListChange

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
    changes: Iterable[tuple[PackageListChange, Spot]] = (),
) -> PlanEnvironment:
    """Return an environment.

    Args:
        model: what the recipe says of it.
        defaults: environment variables that it has unless the recipe says otherwise.
        needed: packages that it has beside those of the recipe.
        variables: what its texts may name.
        spot: where it is in the recipe.
        faults: receives what is wrong.
        changes: what build options change of the recipe's packages, and where they say so.
    """
    contents, inside = model.contents, spot.below("contents")
    stated = list(faults.render_constraints(contents.packages, variables, inside, "packages"))
    for change, where in changes:
        removed = faults.render_all(change.remove, variables, where, "remove")
        stated = [name for name in stated if name not in removed]
        stated += faults.render_constraints(change.add, variables, where, "add")
    own = {key: faults.render(value, variables, spot, "environment", key) for key, value in model.environment.items()}
    # A variable that has a default cannot be emptied, as in melange.
    own = {key: value for key, value in own.items() if value or key not in DEFAULT_VARIABLES}
    return PlanEnvironment(
        packages=tuple(dict.fromkeys([*stated, *needed])),
        repositories=(
            *faults.render_all(contents.build_repositories, variables, inside, "build_repositories"),
            *faults.render_all(contents.repositories, variables, inside, "repositories"),
        ),
        keyring=faults.render_all(contents.keyring, variables, inside, "keyring"),
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
    if WHOLE.fullmatch(name) and len(name) <= len(str(LARGEST_ID)) and 0 <= int(name) <= LARGEST_ID:
        return int(name), int(name)
    known = {"build": _BUILD_USER, "root": (0, 0)}
    if name in known:
        return known[name]
    names = [*known, *(user.username for user in accounts.users)]
    hint = hint_near(name, names, f"known are {', '.join(names)}")
    message = f"no user is called {name!r}"
    faults.add(spot.below("accounts", "run-as").at(name, 0, RecipeError, message, hint))
    return _BUILD_USER
