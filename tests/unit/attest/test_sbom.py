"""The SBOM of a package."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from melpy.attest.sbom import Origin, RecipeOrigin, render_sbom, sbom_path
from tests.factories.recipe import plan

if TYPE_CHECKING:
    from collections.abc import Mapping

ORIGIN = Origin("wolfi", "f" * 40, 1700000000)
SHA256, SHA512 = "a" * 64, "b" * 128
TEXT = f"""\
package:
  name: hello
  version: 2.10
  epoch: 1
  copyright:
    - {{license: GPL-3.0-or-later OR MIT, attestation: Copyright the authors}}
    - {{license: MIT AND LicenseRef-own, license-path: doc/OWN}}
    - {{license: Own_licence}}
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


def sbom(
    package: int = 0, origin: Origin = ORIGIN, text: str = TEXT, texts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    found = plan(text)
    data: dict[str, Any] = json.loads(render_sbom(found.packages[package], found, origin, texts))
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
    """Scanners find subpackages by `upstream`; canonical purls have names in lower case and `+` encoded."""
    tail = "?arch=x86_64&distro=wolfi&upstream=hello"
    assert purl(element(sbom(), "APPLICATION")) == f"pkg:apk/wolfi/hello@2.10-r1{tail}"
    assert purl(element(sbom(1), "APPLICATION")) == f"pkg:apk/wolfi/libhello%2B%2B@2.10-r1{tail}"
    assert (
        purl(element(sbom(origin=Origin("unknown", "", 0)), "APPLICATION"))
        == "pkg:apk/unknown/hello@2.10-r1?arch=x86_64&upstream=hello"
    )
    text = "package: {name: R++, version: 1}"
    assert purl(element(sbom(text=text, origin=Origin("My OS", "", 0)), "APPLICATION")) == (
        "pkg:apk/my%20os/r%2B%2B@1-r0?arch=x86_64&distro=My%20OS&upstream=R%2B%2B"
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
    assert purl(second).startswith(f"pkg:generic/data%2Fwords@1:2?checksum=sha512:{SHA512}&")


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
    assert package["licenseDeclared"] == (
        "(GPL-3.0-or-later OR MIT) AND MIT AND LicenseRef-own AND LicenseRef-Own-licence"
    )
    assert package["copyrightText"] == "Copyright the authors\n"


def test_what_spdx_does_not_know_comes_with_its_text() -> None:
    found = sbom(texts={"doc/OWN": "Do as you like.\n"})["hasExtractedLicensingInfos"]
    assert found == [
        {"licenseId": "LicenseRef-own", "extractedText": "Do as you like.\n", "name": "LicenseRef-own"},
        {
            "licenseId": "LicenseRef-Own-licence",
            "extractedText": "Non-SPDX License: Own_licence",
            "name": "Own_licence",
        },
    ]


def test_nothing_is_extracted_of_licences_that_spdx_knows() -> None:
    text = "package:\n  name: a\n  version: 1\n  copyright: [{license: MIT, license-path: COPYING}, {license: NONE}]\n"
    document = sbom(text=text, texts={"COPYING": "MIT License"})
    assert element(document, "APPLICATION")["licenseDeclared"] == "MIT AND LicenseRef-NONE"
    assert [item["licenseId"] for item in document["hasExtractedLicensingInfos"]] == ["LicenseRef-NONE"]


def test_without_licences_nothing_is_asserted() -> None:
    document = sbom(text="")
    assert element(document, "APPLICATION")["licenseDeclared"] == "NOASSERTION"
    assert "hasExtractedLicensingInfos" not in document


def test_the_cpe_is_a_reference() -> None:
    references = element(sbom(), "APPLICATION")["externalRefs"]
    assert references[1]["referenceLocator"] == "cpe:2.3:a:gnu:hello:2.10:*:*:*:*:*:*:*"
    text = "package: {name: a, version: 1.0_rc1, cpe: {vendor: gnu, product: libstdc++}}"
    references = element(sbom(text=text), "APPLICATION")["externalRefs"]
    assert references[1]["referenceLocator"] == r"cpe:2.3:a:gnu:libstdc\+\+:1.0_rc1:*:*:*:*:*:*:*"


def test_the_recipe() -> None:
    assert element(sbom(), "INSTALL")["versionInfo"] == "f" * 40
    assert element(sbom(), "INSTALL")["licenseDeclared"] == "NOASSERTION"
    assert element(sbom(origin=Origin("wolfi", "", 0)), "INSTALL")["versionInfo"] == "unknown"


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://github.com/Wolfi-dev/os.git", f"pkg:github/wolfi-dev/os@{'f' * 40}#os/a%20b/hello.yaml"),
        ("git@github.com:wolfi-dev/os", f"pkg:github/wolfi-dev/os@{'f' * 40}#os/a%20b/hello.yaml"),
        (
            "https://git.example.org/x/os",
            (
                f"pkg:generic/os@{'f' * 40}?vcs_url=git%2Bhttps:%2F%2Fgit.example.org%2Fx%2Fos%40{'f' * 40}"
                "#os/a%20b/hello.yaml"
            ),
        ),
    ],
)
def test_the_recipe_says_where_it_is_from_and_its_licence(repository: str, expected: str) -> None:
    recipe = RecipeOrigin(repository, "os/a b/hello.yaml", "Apache-2.0 AND LicenseRef-ours")
    document = sbom(origin=Origin("wolfi", "f" * 40, 1, recipe))
    found = element(document, "INSTALL")
    assert purl(found) == expected
    assert found["licenseDeclared"] == "Apache-2.0 AND LicenseRef-ours"
    assert "LicenseRef-ours" in [item["licenseId"] for item in document["hasExtractedLicensingInfos"]]
    assert "externalRefs" not in element(sbom(origin=Origin("wolfi", "", 1, recipe)), "INSTALL")


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
