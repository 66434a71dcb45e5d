"""What a package is to those who install it and to builds: its content digest, kept in its `.melpy.json`.

A package that is built again from a later commit, or in an environment whose packages were built again, is another file
with another checksum, though nothing that anybody could see of it has changed. Its content digest stays: recipes that
need one another come to rest, and a change that changes nothing ends where it is made.

Counted are the files with their types, modes, owners, attributes, hard links and contents, the fields of .PKGINFO that
clients act on, and the scriptlets. Not counted are times, which are those of the recipe's commit, the SBOM, which names
that commit, commit and build date in .PKGINFO, `.melange.yaml`, `.melpy.json` and the signature.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from melpy.bound import parse_json
from melpy.build.model import Kind
from melpy.digest import identity, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from melpy.apk.model import PackageInfo
    from melpy.apk.segment import Segments
    from melpy.build.model import Entry, OutputTree
    from melpy.pack.model import ControlFile

CONTENT_FORM = "melpy-content-1"
"""Name of the digested form: another one whenever the same package gets another digest."""

INPUTS_FILE = ".melpy.json"
INPUTS_FORM = "melpy-inputs-1"
_HEX = frozenset("0123456789abcdef")
_DIGEST = 64  # digits


def content_digest(
    tree: OutputTree, info: PackageInfo, control: Iterable[ControlFile], digests: Mapping[str, str]
) -> str:
    """Return the content digest of a package: SHA-256 in hex.

    Args:
        tree: its files.
        info: its .PKGINFO.
        control: the other files of its control member.
        digests: SHA-256 of each regular file, by path; of hard links that of the first.
    """
    return identity(
        {
            "form": CONTENT_FORM,
            "package": {
                "name": info.name,
                "version": info.version,
                "arch": info.arch,
                "depends": sorted(info.depends),
                "provides": sorted(info.provides),
                "replaces": sorted(info.replaces),
                "install-if": sorted(info.install_if),
                "provider-priority": info.provider_priority,
                "replaces-priority": info.replaces_priority,
                "triggers": list(info.triggers),
            },
            "scripts": {file.name: sha256_hex(file.content) for file in control if file.mode & 0o111},
            "files": list(_files(tree, digests, f"var/lib/db/sbom/{info.full_name}.spdx.json")),
        }
    )


def _files(tree: OutputTree, digests: Mapping[str, str], sbom: str) -> Iterator[list[object]]:
    first: dict[tuple[int, int], str] = {}
    for entry in tree:
        if entry.path == sbom:
            continue
        yield [
            entry.path,
            entry.kind.value,
            entry.mode,
            [entry.uid, entry.gid, entry.user, entry.group],
            [[name, value.decode("latin-1")] for name, value in entry.xattrs],
            _what(entry, first, digests),
        ]


def _what(entry: Entry, first: dict[tuple[int, int], str], digests: Mapping[str, str]) -> object:
    if entry.kind is Kind.FILE:
        name = first.setdefault(entry.inode, entry.path)
        return digests[name] if name == entry.path else {"link": name}
    return list(entry.device) if entry.kind in {Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE} else entry.target


def render_inputs(inputs: Mapping[str, object], content: str) -> bytes:
    """Return the text of `.melpy.json`: the inputs of a build, and the content digest of the package that has them."""
    value = {"form": INPUTS_FORM, "content": content, **inputs}
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def find_made(segments: Segments) -> tuple[str, str]:
    """Return key and content digest that a package says it has, SHA-256 in hex.

    Each is empty where the package does not have it: melpy did not make the package, an older melpy did, or its steps
    were not all run (which leaves the key out).
    """
    value = read_inputs(segments)
    key, content = (_read_digest(value.get(name)) for name in ("key", "content"))
    return key, content


def read_inputs(segments: Segments) -> Mapping[str, Any]:
    """Return what `.melpy.json` of a package says; nothing without one of this form."""
    try:
        value = parse_json(segments.files.get(INPUTS_FILE, b"{}").decode())
    except ValueError:
        return {}
    return value if isinstance(value, dict) and value.get("form") == INPUTS_FORM else {}


def find_content(segments: Segments) -> str:
    """Return the content digest that a package says it has; see `find_made`."""
    return find_made(segments)[1]


def _read_digest(value: object) -> str:
    return value if isinstance(value, str) and len(value) == _DIGEST and _HEX.issuperset(value) else ""
