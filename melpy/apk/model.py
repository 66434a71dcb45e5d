"""The nouns of the APK format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.codec import Noun

if TYPE_CHECKING:
    from collections.abc import Sequence

INDEX_NAME = "APKINDEX.tar.gz"
"""File name of an index."""

STANZA_FORM = 3
"""Another number whenever `melpy.apk.stanza` writes the same package otherwise: what was remembered is wrong then."""

LARGEST_INDEX = 64 << 20
"""Bytes of an index's file; those of the largest distributions have a quarter of that."""

ADB_INDEX_NAME = "Packages.adb"
"""File name of an index of apk-tools 3's own form."""


class PackageInfo(Noun, frozen=True):
    """What `.PKGINFO` says about a package. Empty values are not written unless the format demands the key.

    Attributes:
        name: package name.
        version: full version with release, `2.10-r0`.
        arch: APK architecture name.
        installed_size: bytes of its files.
        origin: name of the recipe's main package.
        description: one line.
        url: homepage.
        commit: commit of the recipe.
        maintainer: who is responsible, here the namespace.
        build_date: SOURCE_DATE_EPOCH, seconds since 1970; 0 is not written.
        licenses: one per copyright entry.
        depends: runtime dependencies.
        provides: further names.
        replaces: packages whose files it may overwrite.
        vendored: what it carries for itself only; written as comments.
        install_if: install it when all of these are installed.
        provider_priority: decides between packages that provide the same name; empty is none.
        replaces_priority: decides between packages that replace each other's files; empty is none.
        triggers: directories that its trigger script watches.
        datahash: SHA-256 of the data member as compressed.
    """

    name: str
    version: str
    arch: str
    installed_size: int = 0
    origin: str = ""
    description: str = ""
    url: str = ""
    commit: str = ""
    maintainer: str = ""
    build_date: int = 0
    licenses: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    vendored: tuple[str, ...] = ()
    install_if: tuple[str, ...] = ()
    provider_priority: str = ""
    replaces_priority: str = ""
    triggers: tuple[str, ...] = ()
    datahash: str = ""

    @property
    def full_name(self) -> str:
        """Name and version as in file names: `hello-2.10-r0`."""
        return f"{self.name}-{self.version}"

    @property
    def file_name(self) -> str:
        """The file it is kept in: `hello-2.10-r0.apk`."""
        return f"{self.full_name}.apk"


class IndexEntry(Noun, frozen=True):
    """One package of an index.

    Attributes:
        info: what is known of it; what an index does not carry (replaces, triggers, datahash) is empty when read
            from one.
        checksum: identity of the package, `Q1` and the base64 of the SHA-1 of its control member as compressed.
        size: bytes of the .apk file.
    """

    info: PackageInfo
    checksum: str
    size: int


class Index(Noun, frozen=True):
    """An APKINDEX.

    Attributes:
        stanzas: its packages as they are written there, without the empty lines between them.
        description: the free text beside them.
        where: what it is called in messages.
        signed_by: name of the trusted key that signed it; empty where nobody checked.
    """

    stanzas: tuple[str, ...]
    description: str = ""
    where: str = ""
    signed_by: str = ""


def join_licences(licences: Sequence[str]) -> str:
    """Return the expression that says that all of these expressions hold."""
    several = len(licences) > 1
    return " AND ".join(f"({text})" if several and _has_choice(text) else text for text in licences)


def _has_choice(licence: str) -> bool:
    """Tell whether an expression has an OR outside of parentheses, which binds less than AND."""
    depth = 0
    for token in re.findall(r"[()]|[^()\s]+", licence):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token.upper() == "OR" and depth == 0:
            return True
    return False
