"""The SBOM of a package: an SPDX 2.3 document, made at build time, kept inside the package.

It names the package, the recipe it was built from, and every upstream source by digest. It holds no time and no
name of this machine: `created` is SOURCE_DATE_EPOCH. Source: the SPDX 2.3 specification, the purl specification and its
types apk, github and generic, and the layout that apko reads from `/var/lib/db/sbom`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from melpy import __version__
from melpy.codec import Noun
from melpy.digest import identity
from melpy.plan.form import plan_digest
from melpy.plan.git import GitSource, repository_url
from melpy.plan.licence import combine_licences, parse_licence, resolve_licences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.plan.model import PackagePlan, Plan, Source

_NOASSERTION = "NOASSERTION"
_LICENCE_LIST = "3.27"  # that of the library license-expression 30.4.4


class RecipeOrigin(Noun, frozen=True):
    """Where a recipe comes from, as far as somebody says so.

    Attributes:
        repository: URL of its repository, or empty.
        path: its path in the repository, or empty.
        licence: licence of the recipe itself, or empty.
    """

    repository: str = ""
    path: str = ""
    licence: str = ""


class Origin(Noun, frozen=True):
    """Where a build comes from.

    Attributes:
        namespace: distribution that the package belongs to.
        commit: commit of the recipe, or empty.
        epoch: SOURCE_DATE_EPOCH.
        recipe: where the recipe comes from.
    """

    namespace: str
    commit: str
    epoch: int
    recipe: RecipeOrigin = RecipeOrigin()


def sbom_path(package: PackagePlan, plan: Plan) -> str:
    """Return where the SBOM lies inside the package."""
    return f"var/lib/db/sbom/{package.name}-{plan.full_version}.spdx.json"


def render_sbom(package: PackagePlan, plan: Plan, origin: Origin, texts: Mapping[str, str] | None = None) -> str:
    """Return the SBOM of a package as JSON text.

    Args:
        package: the package.
        plan: the plan that it is built by.
        origin: where the build comes from.
        texts: texts of licences by their path in the workspace.
    """
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
        "hasExtractedLicensingInfos": list(_extracted(plan, origin.recipe, texts or {})),
    }
    if not document["hasExtractedLicensingInfos"]:
        del document["hasExtractedLicensingInfos"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _namespace(package: PackagePlan, plan: Plan, origin: Origin) -> str:
    # Unique for what the document describes; nothing random, or two builds would differ.
    described = [origin.namespace, package.name, plan.full_version, plan.package_arch, origin.commit, origin.epoch]
    key = [*described, plan_digest(plan)]
    recipe = origin.recipe
    key += [recipe.repository, recipe.path, recipe.licence] if recipe.repository or recipe.licence else []
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
    # Scanners look advisories up by distribution and by the name of the main package.
    distro = "" if origin.namespace == "unknown" else origin.namespace
    qualifiers = {"arch": plan.package_arch, "distro": distro, "upstream": plan.name}
    # The type apk has names and namespaces in lower case.
    purl = _purl("apk", origin.namespace.lower(), package.name.lower(), plan.full_version, qualifiers)
    references = [_reference("PACKAGE-MANAGER", "purl", purl)]
    if plan.cpe:
        references.append(_reference("SECURITY", "cpe23Type", plan.cpe))
    return element | {
        "licenseDeclared": combine_licences(plan.licences) or _NOASSERTION,
        "copyrightText": attestations or _NOASSERTION,
        "externalRefs": references,
    }


def _recipe(plan: Plan, origin: Origin) -> dict[str, object]:
    version, recipe = origin.commit or "unknown", origin.recipe
    element = _element(
        _spdx_id("Package", f"recipe-{plan.recipe}-{version}"), plan.recipe, version, "INSTALL", origin.namespace
    )
    element["licenseDeclared"] = parse_licence(recipe.licence).text or _NOASSERTION
    if recipe.repository and origin.commit:
        purl = _git_purl(recipe.repository, origin.commit, f"git+{repository_url(recipe.repository)}@{origin.commit}")
        path = "/".join(_encode(part) for part in recipe.path.split("/") if part)
        element["externalRefs"] = [_reference("PACKAGE-MANAGER", "purl", f"{purl}#{path}" if path else purl)]
    return element


def _source(source: Source | GitSource, index: int, origin: Origin) -> dict[str, object]:
    element = _element(
        _spdx_id("Package", f"Source-{source.name}-{source.version}-{index}"),
        source.name,
        source.version,
        "SOURCE",
        origin.namespace,
    )
    if isinstance(source, GitSource):
        reference = _reference("PACKAGE-MANAGER", "purl", _git_purl(source.repository, source.version, source.location))
        return element | {"downloadLocation": source.location, "externalRefs": [reference]}
    checksums = [
        {"algorithm": algorithm, "checksumValue": value}
        for algorithm, value in (("SHA256", source.sha256), ("SHA512", source.sha512))
        if value
    ]
    digest = f"sha512:{source.sha512}" if source.sha512 else f"sha256:{source.sha256}" if source.sha256 else ""
    purl = _purl("generic", "", source.name, source.version, {"checksum": digest, "download_url": source.uri})
    return element | {
        "downloadLocation": source.uri,
        "checksums": checksums,
        "externalRefs": [_reference("PACKAGE-MANAGER", "purl", purl)],
    }


def _git_purl(repository: str, version: str, location: str) -> str:
    """Return the purl of a repository: that of GitHub where it is there."""
    parts = urlsplit(repository_url(repository))
    place = parts.path.strip("/").removesuffix(".git").split("/")
    if parts.hostname in {"github.com", "www.github.com"} and len(place) == 2:
        return _purl("github", place[0].lower(), place[1].lower(), version)  # as the type has them
    return _purl("generic", "", place[-1], version, {"vcs_url": location})


def _purl(kind: str, namespace: str, name: str, version: str, qualifiers: Mapping[str, str] | None = None) -> str:
    """Return a purl in its canonical form; qualifiers are sorted, and left out when they are empty."""
    path = "/".join(_encode(part) for part in (namespace, name) if part)
    stated = "&".join(f"{key}={_encode(value)}" for key, value in sorted((qualifiers or {}).items()) if value)
    return f"pkg:{kind}/{path}" + (f"@{_encode(version)}" if version else "") + (f"?{stated}" if stated else "")


def _encode(text: str) -> str:
    # Letters, digits and `.-_~:` stay; a slash that parts nothing is encoded, and so are `+` and `@`.
    return quote(text, safe=":")


def _reference(category: str, kind: str, locator: str) -> dict[str, str]:
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def _relationship(subject: str, kind: str, element: dict[str, object]) -> dict[str, object]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": element["SPDXID"]}


def _extracted(plan: Plan, recipe: RecipeOrigin, texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield what SPDX does not know, with the text that the recipe names a file for, where it does."""
    found: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    read = [(licence, entry.license_path) for entry, licence in resolve_licences(plan.licences)]
    for licence, path in (*read, (parse_licence(recipe.licence), "")):
        for name, original in licence.references:
            names.setdefault(name, original)
            found.setdefault(name, {})[path] = texts.get(path, "") if path else ""
    for name, files in found.items():
        text = "\n".join(dict.fromkeys(filter(None, files.values())))
        yield {"licenseId": name, "extractedText": text or f"Non-SPDX License: {names[name]}", "name": names[name]}


def _spdx_id(kind: str, text: str) -> str:
    """Return an SPDX id: colons and slashes become hyphens, other characters `C` and their number."""
    hyphenated = text.replace(":", "-").replace("/", "-")
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: f"C{ord(match[0])}", hyphenated)


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
