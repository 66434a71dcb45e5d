"""The SBOM of a package: an SPDX 2.3 document, made at build time, kept inside the package.

It names the package, the recipe it was built from, and every upstream source by digest. It holds no time and no
name of this machine: `created` is SOURCE_DATE_EPOCH. Source: the SPDX 2.3 specification, and the layout that apko
reads from `/var/lib/db/sbom`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from melpy import __version__
from melpy.attest.licence import licence_expression, licence_id
from melpy.digest import identity
from melpy.plan.git import GitSource, repository_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.plan.model import PackagePlan, Plan, Source

_NOASSERTION = "NOASSERTION"
_LICENCE_LIST = "3.22"


@dataclass(frozen=True)
class Origin:
    """Where a build comes from.

    Attributes:
        namespace: distribution that the package belongs to.
        commit: commit of the recipe, or empty.
        epoch: SOURCE_DATE_EPOCH.
    """

    namespace: str
    commit: str
    epoch: int


def sbom_path(package: PackagePlan, plan: Plan) -> str:
    """Return where the SBOM lies inside the package."""
    return f"var/lib/db/sbom/{package.name}-{plan.full_version}.spdx.json"


def render_sbom(package: PackagePlan, plan: Plan, origin: Origin) -> str:
    """Return the SBOM of a package as JSON text."""
    apk = _apk(package, plan, origin)
    recipe = _recipe(plan, origin)
    sources = [_source(source, index, origin) for index, source in enumerate(plan.sources)]
    created = dt.datetime.fromtimestamp(origin.epoch, dt.UTC)
    document = {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": f"apk-{package.name}-{plan.full_version}",
        "documentNamespace": _namespace(package, plan, origin),
        "creationInfo": {
            "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: melpy ({__version__})", f"Organization: {_title(origin.namespace)}"],
            "licenseListVersion": _LICENCE_LIST,
        },
        "documentDescribes": [apk["SPDXID"]],
        "packages": [_system(origin), apk, recipe, *sources],
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", apk),
            _relationship(str(apk["SPDXID"]), "DESCRIBED_BY", recipe),
            *(_relationship(str(apk["SPDXID"]), "GENERATED_FROM", source) for source in sources),
        ],
        "hasExtractedLicensingInfos": list(_extracted(plan)),
    }
    if not document["hasExtractedLicensingInfos"]:
        del document["hasExtractedLicensingInfos"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _namespace(package: PackagePlan, plan: Plan, origin: Origin) -> str:
    # Unique for what the document describes; nothing random, or two builds would differ.
    key = [origin.namespace, package.name, plan.full_version, plan.arch, origin.commit, origin.epoch, plan.digest()]
    return f"https://spdx.org/spdxdocs/melpy/{package.name}-{plan.full_version}-{identity(key)[:32]}"


def _element(spdx_id: str, name: str, version: str, purpose: str, supplier: str) -> dict[str, object]:
    return {
        "SPDXID": spdx_id,
        "name": name,
        "versionInfo": version,
        "filesAnalyzed": False,
        "licenseConcluded": _NOASSERTION,
        "licenseDeclared": _NOASSERTION,
        "copyrightText": _NOASSERTION,
        "downloadLocation": _NOASSERTION,
        "supplier": f"Organization: {_title(supplier)}",
        "originator": f"Organization: {_title(supplier)}",
        "primaryPackagePurpose": purpose,
    }


def _system(origin: Origin) -> dict[str, object]:
    element = _element("SPDXRef-OperatingSystem", origin.namespace, "", "OPERATING-SYSTEM", origin.namespace)
    del element["versionInfo"]
    return element | {"description": "Operating System"}


def _apk(package: PackagePlan, plan: Plan, origin: Origin) -> dict[str, object]:
    element = _element(
        _spdx_id("Package", f"apk-{package.name}-{plan.full_version}"),
        package.name,
        plan.full_version,
        "APPLICATION",
        origin.namespace,
    )
    attestations = "".join(f"{entry.attestation}\n" for entry in plan.licences if entry.attestation)
    namespace = quote(origin.namespace, safe="")
    distro = "" if origin.namespace == "unknown" else f"&distro={namespace}"
    purl = f"pkg:apk/{namespace}/{quote(package.name, safe='')}@{plan.full_version}?arch={plan.arch}{distro}"
    references = [_reference("PACKAGE-MANAGER", "purl", purl)]
    if plan.cpe:
        references.append(_reference("SECURITY", "cpe23Type", plan.cpe))
    return element | {
        "licenseDeclared": licence_expression(plan.licences) or _NOASSERTION,
        "copyrightText": attestations or _NOASSERTION,
        "externalRefs": references,
    }


def _recipe(plan: Plan, origin: Origin) -> dict[str, object]:
    version = origin.commit or "unknown"
    return _element(
        _spdx_id("Package", f"recipe-{plan.recipe}-{version}"), plan.recipe, version, "INSTALL", origin.namespace
    )


def _source(source: Source | GitSource, index: int, origin: Origin) -> dict[str, object]:
    element = _element(
        _spdx_id("Package", f"Source-{source.name}-{source.version}-{index}"),
        source.name,
        source.version,
        "SOURCE",
        origin.namespace,
    )
    if isinstance(source, GitSource):
        reference = _reference("PACKAGE-MANAGER", "purl", _git_purl(source))
        return element | {"downloadLocation": source.location, "externalRefs": [reference]}
    checksums = [
        {"algorithm": algorithm, "checksumValue": value}
        for algorithm, value in (("SHA256", source.sha256), ("SHA512", source.sha512))
        if value
    ]
    digest = f"sha512:{source.sha512}" if source.sha512 else f"sha256:{source.sha256}"
    qualifiers = f"checksum={digest}&download_url={quote(source.uri, safe=':')}"
    purl = f"pkg:generic/{quote(source.name, safe='')}@{quote(source.version, safe='')}?{qualifiers}"
    return element | {
        "downloadLocation": source.uri,
        "checksums": checksums,
        "externalRefs": [_reference("PACKAGE-MANAGER", "purl", purl)],
    }


def _git_purl(source: GitSource) -> str:
    """Return the purl of a repository: that of GitHub where it is there. Source: the purl types `github`, `generic`."""
    parts = urlsplit(repository_url(source.repository))
    place = parts.path.strip("/").removesuffix(".git").lower().split("/")
    version = quote(source.version, safe="")
    if parts.hostname in {"github.com", "www.github.com"} and len(place) == 2:
        return f"pkg:github/{quote(place[0], safe='')}/{quote(place[1], safe='')}@{version}"
    return f"pkg:generic/{quote(source.name, safe='')}@{version}?vcs_url={quote(source.location, safe=':')}"


def _reference(category: str, kind: str, locator: str) -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def _relationship(subject: str, kind: str, element: dict[str, object]) -> dict[str, object]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": element["SPDXID"]}


def _extracted(plan: Plan) -> Iterator[dict[str, str]]:
    for licence in dict.fromkeys(entry.license for entry in plan.licences):
        name = licence_id(licence)
        if name.startswith("LicenseRef-"):
            yield {"licenseId": name, "extractedText": f"Non-SPDX License: {licence}", "name": licence}


def _spdx_id(kind: str, text: str) -> str:
    """Return an SPDX id: colons and slashes become hyphens, other characters `C` and their number."""
    hyphenated = text.replace(":", "-").replace("/", "-")
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: f"C{ord(match[0])}", hyphenated)


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
