"""Settings, taken apart into what builds are given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy import events
from melpy.build.model import StepOptions
from melpy.cli.signer import find_secrets
from melpy.engine.history import read_epoch
from melpy.engine.inputs import Distribution
from melpy.engine.model import BuildSpec, SourceSpec, StepSettings
from melpy.environment.model import RepositorySpec, StoreSpec
from melpy.files import check_writable
from melpy.repo.remote import ServerCache
from melpy.sandbox.model import Limits
from melpy.source.place import SourcePlaces
from melpy.unpack import make_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.bootstrap.closure import Resolver
    from melpy.bootstrap.model import SeedSpec
    from melpy.config.model import Settings
    from melpy.environment.model import Supply


def make_spec(
    settings: Settings, monitor: events.Monitor, *, offline: bool = False, check_signatures: bool = True
) -> BuildSpec:
    """Return what builds are prepared from; the signing key is not looked at.

    Raises:
        SettingsError: SOURCE_DATE_EPOCH is not a number.
    """
    repositories = make_repositories(settings, monitor, offline=offline, check_signatures=check_signatures)
    servers = repositories.servers
    limits = Limits(settings.timeout, settings.cpu, settings.memory, settings.disk, settings.processes)
    return BuildSpec(
        repositories=repositories,
        store=StoreSpec(servers.directory, servers, os.cpu_count() or 1, repositories.own),
        sources=SourceSpec(servers.directory, make_places(settings, offline=offline)),
        distribution=Distribution(settings.namespace, settings.git_repo_url, settings.recipe_license),
        steps=StepSettings(
            StepOptions(limits, unpack_limit=make_limit(settings.unpack_limit)), build_cache=settings.build_cache
        ),
        epoch=read_epoch(os.environ),
        secrets=find_secrets(settings),
    )


def make_repositories(
    settings: Settings, monitor: events.Monitor, *, offline: bool, check_signatures: bool
) -> RepositorySpec:
    """Return where the packages of environments come from.

    Raises:
        OutputError: the cache cannot be written.
    """
    check_writable(settings.cache_dir)
    return RepositorySpec(
        own=settings.out_dir,
        servers=ServerCache(settings.cache_dir.resolve(), offline),
        locations=settings.repositories,
        keyring=settings.keyring,
        check_signatures=check_signatures,
        local=settings.local_sources,
        supply=make_supply(settings, monitor, offline=offline),
        note=lambda text: monitor.emit(events.Note("", text)),
    )


def make_places(settings: Settings, *, offline: bool) -> SourcePlaces:
    """Return where sources are looked for."""
    return SourcePlaces(
        mirrors=settings.mirrors,
        rewrites=settings.rewrites,
        local=settings.local_sources,
        offline=offline,
        limit=settings.source_limit,
    )


def make_seed_spec(settings: Settings) -> SeedSpec | None:
    """Return the seed of the settings, or None when they name no suite.

    Raises:
        SeedError: there is no table for the suite.
    """
    if not settings.seed:
        return None
    from melpy.bootstrap.model import SeedSpec  # noqa: PLC0415  # only where there is a seed
    from melpy.bootstrap.table import read_table  # noqa: PLC0415  # likewise

    read_table(settings.seed)  # a suite that nobody knows is told before something is asked of it
    return SeedSpec(settings.seed, settings.cache_dir / "seed", settings.seed_mirror, os.cpu_count() or 1)


def make_supply(settings: Settings, monitor: events.Monitor, *, offline: bool = False) -> Supply | None:
    """Return the seed as a repository that grows as builds ask for more."""
    spec = make_seed_spec(settings)
    return _SeedSupply(spec, monitor, offline) if spec else None


@dataclass(frozen=True)
class _SeedSupply:
    spec: SeedSpec
    monitor: events.Monitor
    offline: bool
    answered: dict[Arch, frozenset[str]] = field(default_factory=dict)
    resolvers: dict[Arch, Resolver | None] = field(default_factory=dict)  # the lists of a suite take a second to read

    @property
    def root(self) -> Path:
        from melpy.bootstrap.seed import seed_repository  # noqa: PLC0415  # only where there is a seed

        return seed_repository(self.spec).root

    @property
    def public_key(self) -> Path:
        from melpy.bootstrap.seed import seed_repository  # noqa: PLC0415  # likewise

        return seed_repository(self.spec).public_key

    def find_state(self, arch: Arch) -> str:
        from melpy.bootstrap.seed import find_state  # noqa: PLC0415  # likewise

        return find_state(self.spec, arch)

    def offers(self, name: str, arch: Arch) -> bool:
        from melpy.bootstrap.seed import find_answered  # noqa: PLC0415  # only for cycles of recipes

        if arch not in self.answered:
            self.answered[arch] = find_answered(self.spec, arch)
        if name in self.answered[arch]:
            return True
        from melpy.bootstrap.extension import load_resolver  # noqa: PLC0415  # only for names that are new

        if arch not in self.resolvers:
            self.resolvers[arch] = load_resolver(self.spec, arch, self.monitor, offline=self.offline)
        resolver = self.resolvers[arch]
        return resolver is not None and resolver.find_answer(name) is not None

    def find_near(self, name: str, arch: Arch) -> Sequence[str]:
        from melpy.bootstrap.seed import find_near  # noqa: PLC0415  # only for names that nobody has

        return find_near(self.spec, name, arch)

    def find_unmet(self, table: str, keys: Sequence[str]) -> Mapping[str, str]:
        from melpy.bootstrap.table import load_table  # noqa: PLC0415  # only for recipes with ranges

        known = load_table(self.spec.suite).ranges.get(table)
        if known is None:
            return {}
        return {key: known.package.format(key=key) for key in keys if key not in known.keys}

    def extend(self, names: Sequence[str], arch: Arch) -> Mapping[str, str]:
        from melpy.bootstrap.seed import extend_seed, find_answers  # noqa: PLC0415  # only where there is a seed

        if self.offline:
            return find_answers(self.spec, names, arch)
        return extend_seed(self.spec, names, arch, self.monitor).answers
