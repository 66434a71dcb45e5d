"""A supply of packages for tests: a real signed repository that grows by what it is asked for, as the seed does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_provide
from melpy.near import find_nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from melpy.arch import Arch
    from tests.factories.repository import Repository


@dataclass(frozen=True)
class Goods:
    """A package that the supply can make."""

    version: str = "1-r0"
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()


@dataclass
class Store:
    """A supply that can make some packages.

    Attributes:
        repository: where they go.
        goods: by name.
        asked: names that it was asked for, in order.
    """

    repository: Repository
    goods: Mapping[str, Goods]
    asked: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.repository.root

    @property
    def public_key(self) -> Path:
        return self.repository.public_key

    def offers(self, name: str, arch: Arch) -> bool:  # noqa: ARG002  # likewise
        return next(self._find(name), None) is not None

    def find_state(self, arch: Arch) -> str:  # noqa: ARG002  # as for every architecture
        return repr(self.goods)

    def find_near(self, name: str, arch: Arch) -> Sequence[str]:  # noqa: ARG002  # as for every architecture
        return find_nearest(name, self.goods)

    def find_unmet(self, table: str, keys: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002  # it has no tables
        return {}

    def extend(self, names: Sequence[str], arch: Arch) -> Mapping[str, str]:
        self.asked += names
        answers = {name: answer for name in names if (answer := next(self._find(name), None))}
        pending = list(answers.values())
        while pending:
            name = pending.pop()
            made, goods = self.root / arch.apk / f"{name}-{self.goods[name].version}.apk", self.goods[name]
            if not made.is_file():
                self.repository.add(
                    name, version=goods.version, arch=arch.apk, depends=goods.depends, provides=goods.provides
                )
                pending += goods.depends
        return answers

    def _find(self, name: str) -> Iterator[str]:
        if name in self.goods:
            yield name
        for package, goods in sorted(self.goods.items()):
            if name in [parse_provide(text)[0] for text in goods.provides]:
                yield package
