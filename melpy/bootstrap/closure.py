"""From the names that recipes ask for to the packages that have to be converted.

A node of the closure is an APK package: one of Debian's, or one that is made up (a name of the table, a name that
a rule found). What a node is, and what it depends on, follows from the table and the suite alone; it never
matters what was asked for before.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from melpy.apk.atom import parse_atom
from melpy.bootstrap.table import Change, Name
from melpy.near import find_nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.bootstrap.model import Deb
    from melpy.bootstrap.suite import Suite
    from melpy.bootstrap.table import Rule, Table

RENAMED = "debian-"
"""Prefix of a Debian package whose name means something else to Wolfi."""

_NEAR = 3
GENERATED = ("so:", "cmd:", "pc:", "/")
"""Beginnings of names that are not packages but what packages provide."""


class Node(Struct, frozen=True):
    """One APK package of the seed.

    Attributes:
        name: its APK name.
        depends: APK names, sorted.
        deb: the Debian package it is, or None.
        made: what it is made of when it is none of Debian's.
        change: what is different from the Debian package.
        model: APK name of the node that gives a made-up package its version, or empty.
        rivals: APK names of other packages that are the same virtual one as this, sorted.
    """

    name: str
    depends: tuple[str, ...]
    deb: Deb | None = None
    made: Name | None = None
    change: Change = field(default_factory=Change)
    model: str = ""
    rivals: tuple[str, ...] = ()


class Resolver:
    """Finds nodes by name, for one suite and architecture and its table."""

    def __init__(self, suite: Suite, table: Table) -> None:
        self._suite = suite
        self._table = table
        self._nodes: dict[str, Node | None] = {}

    def find(self, name: str) -> Node | None:
        """Return the package of this APK name, or None."""
        if name not in self._nodes:
            self._nodes[name] = self._make(name)
        return self._nodes[name]

    def find_answer(self, request: str) -> str | None:
        """Return the APK package for what a recipe asks for, which may also be `so:`, `cmd:`, `pc:` or a path.

        For these it is a guess: whether the package provides it is known when it has been converted.
        """
        if request in self._table.provided:
            return self._table.provided[request]
        if not request.startswith(GENERATED):
            return request if self.find(request) else None
        if request in self._table.names:
            return self._table.names[request].depends[0]
        return next(iter(self._look_up(request)), None)

    def _make(self, name: str) -> Node | None:
        return self._make_known(name) or self._make_other(name)

    def _make_known(self, name: str) -> Node | None:
        """Return the node for a name of the table or of Debian's."""
        made = self._table.names.get(name)
        if made is not None:
            return self._made(name, made)
        debian = name.removeprefix(RENAMED)
        if debian in self._suite and (debian == name) == (debian not in self._table.names):
            return self._debian(name, self._suite.load(debian))
        return None

    def _make_other(self, name: str) -> Node | None:
        """Return the node for a name that a rule leads on from, or that Debian's packages provide."""
        targets = self._look_up(name)
        if not targets:
            return None
        return Node(name, tuple(sorted(targets)), made=Name(depends=targets), model=targets[0])

    def _look_up(self, name: str) -> tuple[str, ...]:
        """Return the APK names of the packages that a name leads to which is not itself one."""
        targets = self._follow(self._table.rules, name)
        provider = None if targets else self._choose_provider(name)
        return targets or ((provider,) if provider else self._follow(self._table.late_rules, name))

    def _follow(self, rules: Iterable[Rule], name: str) -> tuple[str, ...]:
        """Return what the first rule that fits and finds something leads to."""
        for rule in rules:
            match = rule.match.fullmatch(name)
            if match:
                # Debian's names have no other letters.
                parts = [part.lower().replace("_", "-") for part in (match[0], *match.groups(""))]
                found = self._try_names(name, rule, parts) or self._try_alike(rule, parts)
                found = found or self._try_sources(rule, parts)
                if found and self._has_version(found[0], rule.version.format(*parts)):
                    return found
        return ()

    def _try_names(self, name: str, rule: Rule, parts: Sequence[str]) -> tuple[str, ...]:
        candidates = (template.format(*parts) for template in rule.names)
        found = next((item for item in candidates if item != name and self._make_known(item)), None)
        if found:
            return (found,)
        again = rule.again.format(*parts)
        if not again or len(again) >= len(name):
            return ()
        return (again,) if self._make_known(again) else self._look_up(again)

    def _has_version(self, name: str, version: str) -> bool:
        node = self._make_known(name)
        while node and node.deb is None and node.model:
            node = self._make_known(node.model)
        return not version or (node is not None and node.deb is not None and _begins(node.deb.version, version))

    def _try_alike(self, rule: Rule, parts: Sequence[str]) -> tuple[str, ...]:
        """Return the package of a name with a version in it, or else what provides one of the rule's names."""
        found = self._suite.find_alike(rule.alike.format(*parts), rule.ending) if rule.alike else ()
        if found:
            return (self._apk_name(found[0]),)
        provider = next(filter(None, (self._choose_provider(item.format(*parts)) for item in rule.names)), None)
        return (provider,) if provider else ()

    def _try_sources(self, rule: Rule, parts: Sequence[str]) -> tuple[str, ...]:
        """Return what a rule takes of a source package; of packages that exclude one another, the first."""
        keep = re.compile(rule.keep.format(*map(re.escape, parts)))
        for template in rule.sources:
            chosen: dict[str, Deb] = {}
            for name in self._suite.find_made_from(template.format(*parts)):
                deb = self._suite.load(name)
                if keep.fullmatch(name) and not any(_exclude(deb, other) for other in chosen.values()):
                    chosen[name] = deb
            if chosen:
                return tuple(self._apk_name(name) for name in chosen)
        return ()

    def _made(self, name: str, made: Name) -> Node:
        depends = tuple(sorted(parse_atom(item).name for item in made.depends))
        return Node(name, depends, made=made, model=parse_atom(made.depends[0]).name if made.depends else "")

    def _debian(self, name: str, deb: Deb) -> Node:
        change = self._table.packages.get(deb.name, Change())
        without = self._table.ignore | set(change.without)
        chosen = {self._choose(group) for group in deb.depends if without.isdisjoint(group)}
        depends = {self._apk_name(item) for item in chosen if item} | set(change.depends)
        rivals = {self._apk_name(other) for virtual in deb.provides for other in self._suite.find_providers(virtual)}
        return Node(
            name,
            tuple(sorted(depends - {name})),
            deb=deb,
            change=change,
            rivals=tuple(sorted(rivals - {name})),
        )

    def _choose(self, group: tuple[str, ...]) -> str | None:
        """Return the Debian package for a group of alternatives: the first that is there or is provided."""
        for name in group:
            preferred = self._table.prefer.get(name, name)
            if preferred in self._suite:
                return preferred
            provider = self._choose_provider(name)
            if provider:
                return provider.removeprefix(RENAMED)
        return None

    def _choose_provider(self, virtual: str) -> str | None:
        preferred = self._table.prefer.get(virtual)
        if preferred and preferred in self._suite:
            return self._apk_name(preferred)
        providers = self._suite.find_providers(virtual)
        return self._apk_name(providers[0]) if providers else None

    def _apk_name(self, debian: str) -> str:
        return f"{RENAMED}{debian}" if debian in self._table.names else debian

    def close(self, names: Iterable[str]) -> dict[str, Node]:
        """Return the nodes of these APK names and of everything that they depend on, by name."""
        closed: dict[str, Node] = {}
        left = sorted(names, reverse=True)
        while left:
            name = left.pop()
            if name in closed:
                continue
            node = self.find(name)
            if node is None:
                continue  # a table names what this architecture does not have, such as a sanitizer's library
            closed[name] = node
            left += reversed(node.depends)
        return dict(sorted(closed.items()))

    def find_near(self, name: str) -> tuple[str, ...]:
        """Return names that the seed has and that were perhaps meant."""
        bare = name.partition(":")[2] or name
        return find_nearest(bare, self._all_names, _NEAR)

    @functools.cached_property
    def _all_names(self) -> tuple[str, ...]:
        return (*self._table.names, *self._suite)


def _exclude(first: Deb, second: Deb) -> bool:
    return first.name in second.conflicts or second.name in first.conflicts


def _begins(version: str, start: str) -> bool:
    upstream = version.partition(":")[2] or version
    return re.match(rf"{re.escape(start)}(?![0-9])", upstream) is not None
