"""`melpy solve`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from melpy.cli.help import Command
from melpy.cli.monitor import open_monitor
from melpy.cli.option import IGNORE_SIGNATURES, OFFLINE, read_settings, setting_options
from melpy.cli.report import print_json, print_text, short_list
from melpy.errors import SettingsError, UnresolvableError, hint_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.solve.model import Solution


@click.command(
    cls=Command,
    short_help="Show the packages that constraints lead to.",
    examples={
        "melpy solve busybox 'openssl>3'": "what an environment would consist of",
        "melpy solve curl --explain so:libz.so.1": "why a package is part of it, by its name or what it provides",
        "melpy solve busybox -r /srv/packages -k /srv/packages/local.rsa.pub": "with another repository",
    },
)
@click.argument("world", nargs=-1, required=True, metavar="CONSTRAINT...")
@setting_options("arch", "out-dir", "repositories", "keyring", "cache-dir", "seed", "seed-mirror")
@IGNORE_SIGNATURES
@OFFLINE
@click.option("--explain", metavar="PACKAGE", help="Say why this package is one of them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    world: tuple[str, ...],
    ignore_signatures: bool,
    offline: bool,
    explain: str | None,
    as_json: bool,
    **flags: Any,  # the settings' flags
) -> None:
    """Show the packages that apk would install into an empty root, each after what it depends on.

    They come from where a build takes them: the out-dir, the repositories, and the seed. A constraint is a name, with
    or without a version, as in /etc/apk/world. Where several packages provide a name
    without a version, it is yours to choose, as with apk. Nothing is installed.
    """
    from melpy.cli.setup import make_repositories  # noqa: PLC0415  # --help does not need it
    from melpy.environment.model import EnvironmentSpec  # noqa: PLC0415  # likewise
    from melpy.environment.repository import Repositories  # noqa: PLC0415  # likewise
    from melpy.environment.resolution import resolve_environment  # noqa: PLC0415  # likewise
    from melpy.rootfs.model import RootSpec  # noqa: PLC0415  # likewise

    settings = read_settings(flags)
    arches = settings.arch
    if len(arches) != 1:
        names = ", ".join(arch.apk for arch in arches)
        raise SettingsError(f"packages are found for one architecture, not for {names}", hint="name one with --arch")
    with open_monitor(verbose=False, quiet=False) as monitor:
        spec = make_repositories(settings, monitor, offline=offline, check_signatures=not ignore_signatures)
        environment = EnvironmentSpec(RootSpec(arches[0].apk, tuple(dict.fromkeys(world))))
        found = resolve_environment(environment, Repositories(spec), where="", choosy=True)
        solution = found.solution
    if explain:
        _explain(explain, world, solution, as_json=as_json)
    elif as_json:
        print_json(
            [
                {
                    "name": offer.name,
                    "version": offer.version,
                    "checksum": offer.entry.checksum,
                    "repository": offer.repository,
                    "location": offer.location,
                }
                for offer in solution.offers
            ]
        )
    else:
        print_text("\n".join(map(str, solution.offers)))


def _explain(name: str, world: Sequence[str], solution: Solution, *, as_json: bool) -> None:
    from melpy.solve.explanation import explain_package  # noqa: PLC0415  # only when it is asked for

    names = [offer.name for offer in solution.offers]
    # A package is known by what it provides, too: so:libz.so.1, cmd:curl, or the name that recipes have for it.
    answers = [offer.name for offer in solution.offers if name not in names and name in dict(offer.answers)]
    chain = explain_package(answers[0] if answers else name, world, solution)
    if not chain:
        alike = [other for other in names if name in other or other in name]
        listed = f"names like it are {short_list(alike)}" if alike else f"melpy solve {shlex.join(world)} lists them"
        raise UnresolvableError(f"{name!r} is none of the {len(names)} packages", hint=hint_near(name, names, listed))
    if as_json:
        print_json([{"asker": one.asker, "constraint": one.constraint, "package": one.package} for one in chain])
    else:
        print_text("\n".join(map(str, chain)))
