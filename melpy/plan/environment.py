"""The environments of a recipe: what is installed for the build, and for each of its tests."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from melpy.errors import RecipeError, hint_near
from melpy.plan.model import WORKSPACE, PlanCertificate, PlanEnvironment, PlanGroup, PlanUser, pairs
from melpy.recipe.package import NAME
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
_FIELD = re.compile(r"[^:,\x00-\x1f\x7f]*")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n([^-]*)\n-----END CERTIFICATE-----")


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
    own = faults.render_environment(model.environment, variables, spot)
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
        users=_users(model, spot, faults),
        groups=_groups(model, spot, faults),
        certificates=_certificates(model, spot.below("certificates"), faults),
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


def _users(model: Environment, spot: Spot, faults: Faults) -> tuple[PlanUser, ...]:
    found = []
    for number, user in enumerate(model.accounts.users):
        place = spot.below("accounts", "users").below(number)
        for key, text in (("username", user.username), ("homedir", user.homedir), ("shell", user.shell)):
            _check_field(text, key, place, faults)
        found.append(PlanUser(user.username, user.uid, user.gid or user.uid, user.homedir, user.shell))
    return tuple(found)


def _groups(model: Environment, spot: Spot, faults: Faults) -> tuple[PlanGroup, ...]:
    found = []
    for number, group in enumerate(model.accounts.groups):
        place = spot.below("accounts", "groups").below(number)
        for text in (group.groupname, *group.members):
            _check_field(text, "groupname" if text == group.groupname else "members", place, faults)
        found.append(PlanGroup(group.groupname, group.gid, tuple(group.members)))
    return tuple(found)


def _certificates(model: Environment, spot: Spot, faults: Faults) -> tuple[PlanCertificate, ...]:
    if model.certificates.providers:
        hint = "name certificates under `additional`, or packages that add theirs to the bundle under `contents`"
        faults.warnings.append(spot.below("providers").at_key(RecipeError, "`providers` has no effect", hint))
    found = []
    for number, item in enumerate(model.certificates.additional):
        here = spot.below("additional", number)
        if not NAME.fullmatch(item.name):
            message = f"{item.name!r} cannot be the name of a certificate"
            faults.add(here.below("name").at(item.name, 0, RecipeError, message, "write letters, digits, + _ . and -"))
        match = _CERTIFICATE.search(item.content)
        if match and _is_base64(match[1]) and not _CERTIFICATE.search(item.content, match.end()):
            found.append(PlanCertificate(item.name, match[0]))
            continue
        hint = "write one block from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, and no second one"
        faults.add(here.below("content").at(item.content, 0, RecipeError, "is not one certificate in PEM", hint))
    return tuple(found)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode("".join(text.split()), validate=True))
    except ValueError:
        return False


def _check_field(text: str, key: str, spot: Spot, faults: Faults) -> None:
    """Check that a text can stand in /etc/passwd or /etc/group, whose fields have no quotes."""
    if not _FIELD.fullmatch(text):
        message = f"{text!r} cannot stand in /etc/passwd or /etc/group"
        faults.add(spot.below(key).at(text, 0, RecipeError, message, "leave out colons, commas and control characters"))
