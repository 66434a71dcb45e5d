"""The SBOM of a package."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from melpy.attest.licence import licence_expression, licence_id
from melpy.attest.sbom import Origin, render_sbom, sbom_path
from melpy.plan.model import Licence
from tests.factories.recipe import plan

ORIGIN = Origin("wolfi", "f" * 40, 1700000000)
SHA256, SHA512 = "a" * 64, "b" * 128
TEXT = f"""\
package:
  name: hello
  version: 2.10
  epoch: 1
  copyright:
    - {{license: GPL-3.0-or-later OR MIT, attestation: Copyright the authors}}
    - {{license: Own licence (v1)}}
  cpe: {{vendor: gnu, product: hello}}
pipeline:
  - uses: fetch
    with: {{uri: "https://example.org/hello-2.10.tar.gz?x=1&y=2", expected-sha256: {SHA256}}}
  - uses: fetch
    with:
      uri: https://example.org/a b.zip
      expected-sha256: {SHA256}
      expected-sha512: {SHA512}
      purl-name: data/words
      purl-version: "1:2"
subpackages:
  - name: libhello++
"""


def sbom(package: int = 0, origin: Origin = ORIGIN, text: str = TEXT) -> dict[str, Any]:
    found = plan(text)
    data: dict[str, Any] = json.loads(render_sbom(found.packages[package], found, origin))
    return data


def element(document: dict[str, Any], purpose: str, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = [item for item in document["packages"] if item["primaryPackagePurpose"] == purpose][index]
    return found


def purl(item: dict[str, Any]) -> str:
    (text,) = [ref["referenceLocator"] for ref in item["externalRefs"] if ref["referenceType"] == "purl"]
    assert isinstance(text, str)
    return text


def test_the_document() -> None:
    document = sbom()
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["dataLicense"] == "CC0-1.0"
    assert document["SPDXID"] == "SPDXRef-DOCUMENT"
    assert document["name"] == "apk-hello-2.10-r1"
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert re.fullmatch(r"https://[^ #]+", document["documentNamespace"])


@pytest.mark.parametrize("package", [0, 1])
def test_relationships_name_elements_that_are_there(package: int) -> None:
    document = sbom(package)
    ids = [item["SPDXID"] for item in document["packages"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", name) for name in ids)
    known = {*ids, "SPDXRef-DOCUMENT"}
    for relationship in document["relationships"]:
        assert {relationship["spdxElementId"], relationship["relatedSpdxElement"]} <= known
    assert set(document["documentDescribes"]) <= known
    kinds = [relationship["relationshipType"] for relationship in document["relationships"]]
    assert kinds == ["DESCRIBES", "DESCRIBED_BY", "GENERATED_FROM", "GENERATED_FROM"]


def test_purls_of_packages() -> None:
    assert purl(element(sbom(), "APPLICATION")) == "pkg:apk/wolfi/hello@2.10-r1?arch=x86_64&distro=wolfi"
    assert purl(element(sbom(1), "APPLICATION")) == "pkg:apk/wolfi/libhello%2B%2B@2.10-r1?arch=x86_64&distro=wolfi"
    assert (
        purl(element(sbom(origin=Origin("unknown", "", 0)), "APPLICATION"))
        == "pkg:apk/unknown/hello@2.10-r1?arch=x86_64"
    )


def test_sources_by_digest() -> None:
    first, second = (element(sbom(), "SOURCE", index) for index in (0, 1))
    assert first["downloadLocation"] == "https://example.org/hello-2.10.tar.gz?x=1&y=2"
    assert first["checksums"] == [{"algorithm": "SHA256", "checksumValue": SHA256}]
    assert purl(first) == (
        f"pkg:generic/hello@2.10?checksum=sha256:{SHA256}"
        "&download_url=https:%2F%2Fexample.org%2Fhello-2.10.tar.gz%3Fx%3D1%26y%3D2"
    )
    assert [entry["algorithm"] for entry in second["checksums"]] == ["SHA256", "SHA512"]
    assert purl(second).startswith(f"pkg:generic/data%2Fwords@1%3A2?checksum=sha512:{SHA512}&")


GIT = """\
pipeline:
  - uses: git-checkout
    with:
      repository: https://github.com/GNU/Hello.git
      tag: v1
      expected-commit: cccccccccccccccccccccccccccccccccccccccc
  - uses: git-checkout
    with: {repository: "https://git.example.org/a/hello", expected-commit: cccccccccccccccccccccccccccccccccccccccc}
  - uses: git-checkout
    with: {repository: "https://github.com/gnu/hello/more", branch: a/b}
"""


def test_sources_from_git() -> None:
    found = [element(sbom(text=GIT), "SOURCE", index) for index in range(3)]
    assert [item["downloadLocation"] for item in found] == [
        f"git+https://github.com/GNU/Hello.git@{'c' * 40}",
        f"git+https://git.example.org/a/hello@{'c' * 40}",
        "git+https://github.com/gnu/hello/more@a/b",
    ]
    assert [(item["name"], item["versionInfo"]) for item in found[:2]] == [("Hello", "v1"), ("hello", "c" * 40)]
    assert [purl(item) for item in found] == [
        "pkg:github/gnu/hello@v1",
        f"pkg:generic/hello@{'c' * 40}?vcs_url=git%2Bhttps:%2F%2Fgit.example.org%2Fa%2Fhello%40{'c' * 40}",
        "pkg:generic/more@a%2Fb?vcs_url=git%2Bhttps:%2F%2Fgithub.com%2Fgnu%2Fhello%2Fmore%40a%2Fb",
    ]


def test_licences_and_copyright() -> None:
    package = element(sbom(), "APPLICATION")
    assert package["licenseDeclared"] == "(GPL-3.0-or-later OR MIT) AND LicenseRef-Own-licence-v1"
    assert package["copyrightText"] == "Copyright the authors\n"
    assert sbom()["hasExtractedLicensingInfos"] == [
        {
            "licenseId": "LicenseRef-Own-licence-v1",
            "extractedText": "Non-SPDX License: Own licence (v1)",
            "name": "Own licence (v1)",
        }
    ]


def test_without_licences_nothing_is_asserted() -> None:
    document = sbom(text="")
    assert element(document, "APPLICATION")["licenseDeclared"] == "NOASSERTION"
    assert "hasExtractedLicensingInfos" not in document


def test_the_cpe_is_a_reference() -> None:
    references = element(sbom(), "APPLICATION")["externalRefs"]
    assert references[1]["referenceLocator"] == "cpe:2.3:a:gnu:hello:2.10:*:*:*:*:*:*:*"


def test_the_recipe() -> None:
    assert element(sbom(), "INSTALL")["versionInfo"] == "f" * 40
    assert element(sbom(origin=Origin("wolfi", "", 0)), "INSTALL")["versionInfo"] == "unknown"


def test_the_same_input_gives_the_same_text() -> None:
    one, two = plan(TEXT), plan(TEXT)
    assert render_sbom(one.packages[0], one, ORIGIN) == render_sbom(two.packages[0], two, ORIGIN)


@pytest.mark.parametrize(
    "origin",
    [Origin("other", "f" * 40, 1700000000), Origin("wolfi", "e" * 40, 1700000000), Origin("wolfi", "f" * 40, 1)],
)
def test_documents_of_different_origin_have_different_names(origin: Origin) -> None:
    assert sbom(origin=origin)["documentNamespace"] != sbom()["documentNamespace"]
    assert sbom(1)["documentNamespace"] != sbom()["documentNamespace"]


def test_where_it_lies() -> None:
    found = plan(TEXT)
    assert sbom_path(found.packages[1], found) == "var/lib/db/sbom/libhello++-2.10-r1.spdx.json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("MIT AND (Apache-2.0 OR ISC)", "MIT AND (Apache-2.0 OR ISC)"),
        ("LicenseRef-mine", "LicenseRef-LicenseRef-mine"),
        ("PROPRIETARY", "LicenseRef-PROPRIETARY"),
        ("Custom_licence 2", "LicenseRef-Custom-licence-2"),
        ("MIT AND", "LicenseRef-MIT-AND"),
        ("(((", "LicenseRef-"),
        ("", ""),
    ],
)
def test_licence_ids(text: str, expected: str) -> None:
    found = licence_id(text)
    assert found.startswith(expected)
    assert re.fullmatch(r"[A-Za-z0-9.() +-]*", found)
    assert expected in {found, "LicenseRef-"}


def test_expressions_of_several_licences() -> None:
    assert licence_expression([Licence("MIT OR ISC")]) == "MIT OR ISC"
    assert licence_expression([Licence("MIT OR ISC"), Licence(""), Licence("Zlib")]) == "(MIT OR ISC) AND Zlib"
    assert licence_expression([]) == ""
