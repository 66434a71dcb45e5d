"""Settings from flags, environment, file and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.cli.report import render_error
from melpy.config.load import find_file, load_settings
from melpy.config.model import BY_KEY, SETTINGS
from melpy.errors import SettingsError

if TYPE_CHECKING:
    from melpy.config.model import Settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a melpy.toml, and a working directory two levels below it."""
    (tmp_path / "below" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "below" / "deeper")
    (tmp_path / "melpy.toml").write_text('namespace = "file"\narch = ["aarch64"]\nout-dir = "out"\n')
    return tmp_path


def load(environment: dict[str, str] | None = None, **flags: str | list[str] | None) -> Settings:
    return load_settings({key.replace("_", "-"): value for key, value in flags.items()}, environment or {}, Path())


def test_defaults(tmp_path: Path) -> None:
    found = load_settings({}, {}, tmp_path)
    assert found.file is None
    assert found.items("arch") == ("host",)
    assert found.text("namespace") == "unknown"
    assert found.path("out-dir") == Path.cwd() / "packages"
    assert found.path("signing-key") is None
    assert {value.origin for value in found.values.values()} == {"default"}


def test_flags_over_environment_over_file_over_defaults(project: Path) -> None:
    variable = {"MELPY_NAMESPACE": "environment"}
    assert load_settings({}, {}, project.parent, file=None).values["namespace"].setting is BY_KEY["namespace"]
    assert load().text("namespace") == "file"
    assert load().values["namespace"].origin == f"file {project / 'melpy.toml'}"
    assert load(variable).text("namespace") == "environment"
    assert load(variable).values["namespace"].origin == "environment MELPY_NAMESPACE"
    assert load(variable, namespace="flag").text("namespace") == "flag"
    assert load(variable, namespace="flag").values["namespace"].origin == "flag"


@pytest.mark.parametrize("flag", [None, "", []])
def test_a_flag_that_says_nothing(project: Path, flag: str | list[str] | None) -> None:
    assert load(arch=flag).items("arch") == ("aarch64",)


def test_lists(project: Path) -> None:
    assert load({"MELPY_ARCH": "x86_64  aarch64"}).items("arch") == ("x86_64", "aarch64")
    assert load(arch=["x86_64", "armv7"]).items("arch") == ("x86_64", "armv7")


def test_the_file_is_looked_for_upwards(project: Path) -> None:
    assert find_file(project / "below" / "deeper") == project / "melpy.toml"
    (project / "below" / "melpy.toml").write_text("")
    assert find_file(project / "below" / "deeper") == project / "below" / "melpy.toml"


def test_a_named_file_takes_the_place_of_the_found_one(project: Path) -> None:
    other = project / "below" / "other.toml"
    other.write_text('namespace = "other"\n')
    found = load_settings({}, {}, Path(), file=other)
    assert (found.text("namespace"), found.items("arch"), found.file) == ("other", ("host",), other)


def test_paths_of_the_file_count_from_the_file_others_from_here(project: Path) -> None:
    here = Path.cwd()
    assert load().path("out-dir") == project / "out"
    assert load({"MELPY_OUT_DIR": "out"}).path("out-dir") == here / "out"
    assert load(out_dir="../out").path("out-dir") == here.parent / "out"
    assert load(out_dir="/abs/../olute").path("out-dir") == Path("/olute")


def test_secrets_are_kept_in_files_variables_or_descriptors(project: Path) -> None:
    assert load(signing_key="key.rsa").text("signing-key") == str(Path.cwd() / "key.rsa")
    assert load(signing_key="env:KEY").text("signing-key") == "env:KEY"
    assert load({"MELPY_SIGNING_PASSPHRASE": "fd:3"}).text("signing-passphrase") == "fd:3"
    assert load(signing_key="./env:KEY").text("signing-key") == str(Path.cwd() / "env:KEY")
    with pytest.raises(SettingsError) as caught:
        load({"MELPY_SIGNING_KEY": "-----BEGIN RSA PRIVATE KEY-----\nAAAA"})
    assert str(caught.value) == "signing-key: this is a key itself, not where it is kept"


def test_urls_and_tags_of_lists(project: Path) -> None:
    (project / "melpy.toml").write_text(
        'repositories = ["repo", "@edge https://example.org/edge", "@local ../other", "https://example.org/os"]\n'
        'keyring = ["key.rsa.pub", "https://example.org/key.rsa.pub"]\n'
        'pipeline-dirs = ["pipelines"]\n'
    )
    found = load()
    assert found.items("repositories") == (
        str(project / "repo"),
        "@edge https://example.org/edge",
        f"@local {project.parent / 'other'}",
        "https://example.org/os",
    )
    assert found.items("keyring") == (str(project / "key.rsa.pub"), "https://example.org/key.rsa.pub")
    assert found.items("pipeline-dirs") == (str(project / "pipelines"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'namespce = "x"\n',
            ["error: melpy.toml: unknown setting 'namespce'", "hint: did you mean 'namespace'?"],
        ),
        (
            'arch = "x86_64"\n',
            [
                "error: melpy.toml: arch: expected a list of texts, found 'x86_64'",
                "hint: architectures to build for; host is this machine's",
            ],
        ),
        (
            "arch = [1]\n",
            [
                "error: melpy.toml: arch: expected a list of texts, found [1]",
                "hint: architectures to build for; host is this machine's",
            ],
        ),
        (
            "namespace = true\n",
            [
                "error: melpy.toml: namespace: expected a text, found True",
                "hint: distribution that the packages belong to, for SBOMs and purls",
            ],
        ),
    ],
)
def test_faults_of_the_file(project: Path, text: str, message: list[str]) -> None:
    (project / "melpy.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load()
    assert [line.replace(f"{project}/", "") for line in render_error(caught.value)] == message


@pytest.mark.parametrize("content", [b"namespace = \n", b"\xff", b"= 1"])
def test_a_file_that_is_not_toml(project: Path, content: bytes) -> None:
    (project / "melpy.toml").write_bytes(content)
    with pytest.raises(SettingsError, match="is not TOML"):
        load()


def test_a_named_file_that_is_not_there(project: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: no such file or directory"):
        load_settings({}, {}, Path(), file=project / "none.toml")


def test_every_setting_has_its_own_variable_and_help() -> None:
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)
    assert all(setting.help and setting.kind in {"text", "path", "secret", "list", "paths"} for setting in SETTINGS)


@pytest.mark.parametrize(
    "text", [f"# {'.' * 100}", f'namespace = "{"a." * 100}"', f"mirrors = [\n  '{'a.' * 100}',\n]"]
)
def test_dots_outside_of_keys(tmp_path: Path, text: str) -> None:
    (tmp_path / "melpy.toml").write_text(text + "\n")
    load_settings({}, {}, tmp_path)


@pytest.mark.parametrize("text", [f"{'a.' * 100}b = 1", f"[{'a.' * 100}b]", f"  [[ {'a . ' * 100}b ]]"])
def test_a_key_of_very_many_parts(tmp_path: Path, text: str) -> None:
    (tmp_path / "melpy.toml").write_text(text + "\n")
    with pytest.raises(SettingsError, match="a key has too many parts"):
        load_settings({}, {}, tmp_path)
