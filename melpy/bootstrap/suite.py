"""What a Debian suite offers for one architecture: its Packages list, found fast and read late.

The list of a suite is some 57 MB of text with 69,000 stanzas. Only the place of each stanza is looked up at first
(0.2 s); a stanza is parsed when somebody asks for it. Source of the format: deb-control(5).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from melpy.bootstrap.likeness import Likeness
from melpy.bootstrap.model import Deb
from melpy.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FIELD = re.compile(rb"^([A-Za-z0-9-]+):[ \t]*(.*)$", re.MULTILINE)
_PROVIDES = re.compile(rb"\nProvides: (.+)\n")
_SOURCE = re.compile(rb"\nSource: ([a-z0-9][a-z0-9+.-]*)( \()?")
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


class Suite:
    """The packages of one suite and architecture, by name."""

    def __init__(self, lists: Iterable[bytes]) -> None:
        self._stanzas: dict[str, tuple[bytes, int, int]] = {}
        self._provided: list[tuple[str, str]] | None = None
        self._lists = tuple(lists)
        for data in self._lists:
            for name, start, end in _find_stanzas(data):
                self._stanzas.setdefault(name, (data, start, end))
        self._parsed: dict[str, Deb] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._stanzas

    def __iter__(self) -> Iterator[str]:
        return iter(self._stanzas)

    def load(self, name: str) -> Deb:
        """Return a package that is in the suite."""
        deb = self._parsed.get(name)
        if deb is None:
            data, start, end = self._stanzas[name]
            deb = self._parsed[name] = parse_stanza(data[start:end])
        return deb

    def find_providers(self, virtual: str) -> tuple[str, ...]:
        """Return the packages that provide a virtual name, by name."""
        return self._providers.get(virtual, ())

    def find_alike(self, stem: str, ending: str) -> tuple[str, ...]:
        """Return the packages whose name is this one with a version in it; see `melpy.bootstrap.likeness`."""
        return self._alike.find(stem, ending)

    def find_made_from(self, stem: str) -> tuple[str, ...]:
        """Return the packages that are made from the source package of this name, which may have a version in it.

        Those that have the source package's version come first.
        """
        if stem in self._sources:
            return self._sources[stem]
        return next((self._sources[source] for source in self._alike_sources.find(stem, strict=True)), ())

    @functools.cached_property
    def _alike(self) -> Likeness:
        return Likeness(self._stanzas)

    @functools.cached_property
    def _alike_sources(self) -> Likeness:
        return Likeness(self._sources)

    @functools.cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[tuple[bool, str]]] = {}
        for name, (data, start, end) in self._stanzas.items():
            match = _SOURCE.search(data, start, end)
            found.setdefault(match[1].decode() if match else name, []).append((bool(match and match[2]), name))
        return {source: tuple(name for _, name in sorted(names)) for source, names in found.items()}

    @functools.cached_property
    def _providers(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {}
        for data in self._lists:
            for match in _PROVIDES.finditer(data):
                before = data.rfind(b"\n\n", 0, match.start())
                start = before + 2 if before >= 0 else 0
                name = data[start + len(b"Package: ") : data.find(b"\n", start)].decode()
                for (virtual,) in parse_relation(match[1].decode()):
                    found.setdefault(virtual, set()).add(name)
        return {virtual: tuple(sorted(names)) for virtual, names in found.items()}


def _find_stanzas(data: bytes) -> Iterator[tuple[str, int, int]]:
    # bytes.find: a regular expression anchored at lines takes 11 s for this list, this takes 0.2 s.
    start = 0
    while start < len(data):
        end = data.find(b"\n\n", start)
        end = len(data) if end < 0 else end
        if data.startswith(b"Package: ", start):
            yield data[start + 9 : data.find(b"\n", start, end)].decode(), start, end
        start = end + 2


def parse_stanza(stanza: bytes) -> Deb:
    """Read one stanza of a Packages list.

    Raises:
        SeedError: a field that every package has is missing.
    """
    fields = {key.decode().lower(): value.decode(errors="replace") for key, value in _FIELD.findall(stanza)}
    try:
        depends = [fields[key] for key in ("pre-depends", "depends") if fields.get(key)]
        return Deb(
            name=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            source=fields.get("source", fields["package"]).partition(" ")[0],
            depends=parse_relation(", ".join(depends)),
            file_name=fields["filename"],
            size=int(fields["size"]),
            sha256=fields["sha256"],
            description=fields.get("description", ""),
            homepage=fields.get("homepage", ""),
            provides=tuple(name for group in parse_relation(fields.get("provides", "")) for name in group),
            conflicts=_parse_conflicts(fields.get("conflicts", "")),
        )
    except (KeyError, ValueError) as error:
        raise SeedError(
            f"a package of the suite's list lacks or garbles {error}", where=fields.get("package", "Packages")
        ) from None


def parse_relation(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the names in a relation field, groups of alternatives; versions and `:any` are left out."""
    groups = (tuple(_names(group)) for group in text.split(","))
    return tuple(group for group in groups if group)


def _parse_conflicts(text: str) -> tuple[str, ...]:
    """Return the packages in a Conflicts field that are meant whatever their version."""
    return tuple(item.strip() for item in text.split(",") if item.strip() and "(" not in item)


def _names(group: str) -> Iterator[str]:
    for alternative in group.split("|"):
        match = _NAME.match(alternative)
        if match:
            yield match[1]
