"""Steps trust the certificates of their recipe, and those that melpy itself trusts where they see the network."""

from __future__ import annotations

import base64

from tests.factories.project import Project, shell_recipe

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def pem(content: str) -> str:
    body = base64.b64encode(content.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def recipe(script: str) -> str:
    content = pem("own").replace("\n", "\\n")
    packages = "      - busybox\n"
    own = f'  certificates:\n    additional: [{{name: own, content: "{content}"}}]\n'
    return shell_recipe(runs=f"mkdir -p ${{{{targets.destdir}}}}\n{script}\n").replace(packages, packages + own)


def bundle_of(project: Project, *flags: str) -> str:
    script = f"cat {BUNDLE}; ls /usr/local/share/ca-certificates"
    project.write("one.yaml", recipe(script))
    run = project.melpy("build", "one.yaml", *flags)
    assert run.returncode == 0, run.stderr
    assert "changed the build root" not in run.stderr
    return (project.out / "logs/x86_64/one-1.0-r0.log").read_text()


def test_a_recipe_brings_its_own_certificates(project: Project) -> None:
    log = bundle_of(project)
    assert pem("own") in log
    assert "own-" in log


def test_the_network_is_trusted_as_melpy_trusts_it(project: Project) -> None:
    project.write("proxy.pem", pem("proxy"))
    project.environment["SSL_CERT_FILE"] = str(project.directory / "proxy.pem")
    assert pem("proxy") in bundle_of(project, "--network")
    assert pem("proxy") not in bundle_of(project)
