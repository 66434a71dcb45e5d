"""Settings from flags, environment, file and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.apk.secret import SecretPlace
from melpy.arch import ARCHES, host_arch
from melpy.cli.report import render_error
from melpy.config.load import find_file, load_settings
from melpy.config.model import BY_KEY, SETTINGS
from melpy.errors import SettingsError
from melpy.repo.model import Location
from melpy.source.place import Rewrite

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
    assert found.arch == (host_arch(),)
    assert found.namespace == "unknown"
    assert found.out_dir == Path.cwd() / "packages"
    assert found.signing_key is None
    assert {value.origin for value in found.values.values()} == {"default"}


def test_flags_over_environment_over_file_over_defaults(project: Path) -> None:
    variable = {"MELPY_NAMESPACE": "environment"}
    assert load_settings({}, {}, project.parent, file=None).values["namespace"].setting is BY_KEY["namespace"]
    assert load().namespace == "file"
    assert load().values["namespace"].origin == f"file {project / 'melpy.toml'}"
    assert load(variable).namespace == "environment"
    assert load(variable).values["namespace"].origin == "environment MELPY_NAMESPACE"
    assert load(variable, namespace="flag").namespace == "flag"
    assert load(variable, namespace="flag").values["namespace"].origin == "flag"


@pytest.mark.parametrize("flag", [None, "", []])
def test_a_flag_that_says_nothing(project: Path, flag: str | list[str] | None) -> None:
    assert load(arch=flag).arch == (ARCHES["aarch64"],)


def test_lists(project: Path) -> None:
    assert load({"MELPY_ARCH": "x86_64  aarch64"}).arch == (ARCHES["x86_64"], ARCHES["aarch64"])
    assert load(arch=["x86_64", "armv7"]).arch == (ARCHES["x86_64"], ARCHES["armv7"])


def test_the_file_is_looked_for_upwards(project: Path) -> None:
    assert find_file(project / "below" / "deeper") == project / "melpy.toml"
    (project / "below" / "melpy.toml").write_text("")
    assert find_file(project / "below" / "deeper") == project / "below" / "melpy.toml"


def test_a_named_file_takes_the_place_of_the_found_one(project: Path) -> None:
    other = project / "below" / "other.toml"
    other.write_text('namespace = "other"\n')
    found = load_settings({}, {}, Path(), file=other)
    assert (found.namespace, found.arch, found.file) == ("other", (host_arch(),), other)


def test_paths_of_the_file_count_from_the_file_others_from_here(project: Path) -> None:
    here = Path.cwd()
    assert load().out_dir == project / "out"
    assert load({"MELPY_OUT_DIR": "out"}).out_dir == here / "out"
    assert load(out_dir="../out").out_dir == here.parent / "out"
    assert load(out_dir="/abs/../olute").out_dir == Path("/olute")


def test_secrets_are_kept_in_files_variables_or_descriptors(project: Path) -> None:
    assert load(signing_key="key.rsa").signing_key == SecretPlace(path=Path.cwd() / "key.rsa")
    assert load(signing_key="env:KEY").signing_key == SecretPlace(variable="KEY")
    assert load({"MELPY_SIGNING_PASSPHRASE": "fd:3"}).signing_passphrase == SecretPlace(descriptor=3)
    assert load(signing_key="./env:KEY").signing_key == SecretPlace(path=Path.cwd() / "env:KEY")
    with pytest.raises(SettingsError) as caught:
        load({"MELPY_SIGNING_KEY": "-----BEGIN RSA PRIVATE KEY-----\nAAAA"})
    assert str(caught.value) == "signing-key, of MELPY_SIGNING_KEY: this is a key itself, not where it is kept"


def test_urls_and_tags_of_lists(project: Path) -> None:
    (project / "melpy.toml").write_text(
        'repositories = ["repo", "@edge https://example.org/edge", "@local ../other", "https://example.org/os"]\n'
        'keyring = ["key.rsa.pub", "https://example.org/key.rsa.pub"]\n'
        'pipeline-dirs = ["pipelines"]\n'
    )
    found = load()
    assert found.repositories == (
        Location(str(project / "repo")),
        Location("https://example.org/edge", "edge"),
        Location(str(project.parent / "other"), "local"),
        Location("https://example.org/os"),
    )
    assert found.values["repositories"].text == (
        str(project / "repo"),
        "@edge https://example.org/edge",
        f"@local {project.parent / 'other'}",
        "https://example.org/os",
    )
    assert found.keyring == (str(project / "key.rsa.pub"), "https://example.org/key.rsa.pub")
    assert found.pipeline_dirs == (project / "pipelines",)


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
    assert all(setting.help and setting.short and setting.metavar for setting in SETTINGS)
    assert len({flag for setting in SETTINGS for flag in setting.flags}) == sum(len(one.flags) for one in SETTINGS)


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


def test_every_kind_has_its_type(project: Path) -> None:
    (project / "melpy.toml").write_text(
        'ranges = ["py-versions=3.12", "py-versions=3.13, 3.14", "x=1"]\n'
        'rewrites = ["https://a.org/=mirror", "https://a.org/long/=https://b.org/"]\n'
        'mirrors = ["mirror", "https://b.org"]\nlocal-sources = ["."]\nvars-file = "vars.yaml"\n'
        'source-limit = "500MB"\nunpack-limit = "1.5Gi"\ntimeout = "1d12h"\ncpu = 0.5\nmemory = "8Gi"\n'
        'disk = 50000000\nprocesses = 200\nbuild-cache = "recipe"\nrecipe-license = "Apache-2.0"\n'
    )
    found = load()
    assert found.ranges == {"py-versions": frozenset({"3.12", "3.13", "3.14"}), "x": frozenset("1")}
    assert found.rewrites == (
        Rewrite("https://a.org/long/", "https://b.org/"),
        Rewrite("https://a.org/", str(project / "mirror")),
    )
    assert found.mirrors == (str(project / "mirror"), "https://b.org")
    assert (found.local_sources, found.vars_file) == ((project,), project / "vars.yaml")
    assert (found.source_limit, found.unpack_limit) == (500 * 10**6, 3 * 2**29)
    assert (found.timeout, found.cpu, found.memory, found.disk, found.processes) == (129600, 1, 2**33, 5 * 10**7, 200)
    assert (found.build_cache, found.recipe_license) == ("recipe", "Apache-2.0")
    assert load(timeout="0").timeout == 0
    assert load_settings({}, {}, Path("/")).timeout is None


def test_flags_add_to_some_lists(project: Path) -> None:
    (project / "melpy.toml").write_text('packages = ["a"]\nrepositories = ["one"]\n')
    found = load(packages=["b"], repositories=["two", "../../one"])
    assert found.packages == ("a", "b")
    assert found.values["packages"].origin == f"file {project / 'melpy.toml'}, flag"
    assert found.repositories == (Location(str(project / "one")), Location(str(Path.cwd() / "two")))
    assert load({"MELPY_PACKAGES": "c d"}, packages=["b"]).packages == ("c", "d", "b")
    assert load(keyring=["k"]).values["keyring"].origin == "flag"


WRONG = [
    ("arch", "z80", "unknown architecture 'z80'"),
    ("arch", "noarch", "'noarch' is no architecture to build for"),
    ("arch", ",", "no architecture is named"),
    ("out-dir", "~nobody-of-this-name/x", "there is no user 'nobody-of-this-name'"),
    ("signing-key", "fd:x", "not the number of a file descriptor"),
    ("signing-key-name", "a/b.pub", "is a path, not a file name"),
    ("signing-passphrase", "env:", "not the name of a variable"),
    ("repositories", "@edge", "a tag without a repository: '@edge'"),
    ("ranges", "3.13", "'3.13' is not NAME=KEY"),
    ("rewrites", "x=y", "does not begin with the beginning of a URL: 'x=y'"),
    ("rewrites", "https://a.org/=", "names no place: 'https://a.org/='"),
    ("source-limit", "much", "not a size: 'much'"),
    ("unpack-limit", "64XB", "not a size: '64XB'"),
    ("disk", "9" * 30, f"is too large: '{'9' * 30}'"),
    ("build-cache", "recipes", "not a kind of cache: 'recipes'"),
    ("timeout", "soon", "not a duration: 'soon'"),
    ("cpu", "two", "not a number: 'two'"),
    ("memory", "8", "less memory than any program needs: '8'"),
    ("processes", "-1", "not a number: '-1'"),
    ("recipe-license", "Apache 2", "expected AND, OR or WITH, found '2' in 'Apache 2'"),
]


@pytest.mark.parametrize(("key", "text", "message"), WRONG)
def test_wrong_values_in_each_source(project: Path, key: str, text: str, message: str) -> None:
    setting = BY_KEY[key]
    file = project / "below" / "wrong.toml"
    file.write_text(f"{key} = {[text] if setting.is_list else text!r}\n")
    stated: str | list[str] = [text] if setting.is_list else text
    for where, flags, environment, named in (
        (setting.flag, {key: stated}, {}, None),
        (f"{key}, of {setting.variable}", {}, {setting.variable: text}, None),
        (f"{file}: {key}", {}, {}, file),
    ):
        with pytest.raises(SettingsError) as caught:
            load_settings(flags, environment, Path(), file=named)
        assert str(caught.value).startswith(f"{where}: {message}")
        assert caught.value.hint


@pytest.mark.parametrize("text", ["memory = true", "memory = [1]", "memory = {}"])
def test_what_is_no_number(project: Path, text: str) -> None:
    (project / "melpy.toml").write_text(text)
    with pytest.raises(SettingsError, match="memory: expected a text or a number, found "):
        load()
