"""`melpy sign` and `melpy sign-index` on what melpy built."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from melpy.apk.index import split_signatures
from melpy.apk.segment import read_segments
from melpy.apk.signature import write_key_pair
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_busybox, make_repository

GUIDE = Path(__file__).parents[2] / "docs/how-to/signing-keys.md"
PACKAGE = "out/x86_64/one-1.0-r0.apk"
INDEX = "out/x86_64/APKINDEX.tar.gz"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    found = Project(tmp_path / "project", repository)
    found.write("one.yaml", shell_recipe())
    built = found.melpy("build", "one.yaml")
    assert built.returncode == 0, built.stderr
    write_key_pair(found.directory / "new.rsa", 2048)
    found.write("none/melpy.toml", "")
    return found


def trusted(project: Project, path: str) -> list[str]:
    """Return the keys, old and new, by which a file is verified."""
    keys = {"old": str(project.repository.public_key), "new": "new.rsa.pub"}
    bare = ("--config", "none/melpy.toml")
    return [name for name, key in keys.items() if project.melpy("verify", path, "-k", key, *bare).returncode == 0]


def test_another_key_in_the_place_of_the_first(project: Project) -> None:
    path = project.directory / PACKAGE
    with path.open("rb") as stream:
        before = read_segments(stream, where="")
        stream.seek(before.data_offset)
        data = stream.read()
    run = project.melpy("sign", PACKAGE, "--signing-key", "new.rsa")
    assert (run.returncode, run.stderr) == (0, "1 package signed with new.rsa.pub\n")
    assert trusted(project, PACKAGE) == ["new"]
    with path.open("rb") as stream:
        after = read_segments(stream, where="")
        stream.seek(after.data_offset)
        assert (after.control, stream.read()) == (before.control, data)


def test_one_key_more(project: Project) -> None:
    for _ in range(2):
        assert project.melpy("sign", PACKAGE, "--add", "--signing-key", "new.rsa").returncode == 0
        assert project.melpy("sign-index", INDEX, "--add", "--signing-key", "new.rsa").returncode == 0
    assert trusted(project, PACKAGE) == trusted(project, INDEX) == ["old", "new"]
    with (project.directory / PACKAGE).open("rb") as stream:
        assert len(read_segments(stream, where="").signatures) == 2
    assert len(split_signatures((project.directory / INDEX).read_bytes(), "")[0]) == 2


def test_the_same_key_gives_the_same_bytes(project: Project) -> None:
    files = [project.directory / PACKAGE, project.directory / INDEX]
    before = [file.read_bytes() for file in files]
    assert project.melpy("sign", PACKAGE).returncode == 0
    assert project.melpy("sign-index", INDEX, "--force").returncode == 0
    assert [file.read_bytes() for file in files] == before


def test_an_index_that_is_signed_stays_as_it_is(project: Project) -> None:
    run = project.melpy("sign-index", INDEX, "--signing-key", "new.rsa")
    assert (run.returncode, run.stderr) == (0, f"{INDEX}: is signed already\n")
    assert trusted(project, INDEX) == ["old"]
    assert project.melpy("sign-index", INDEX, "--signing-key", "new.rsa", "-f").returncode == 0
    assert trusted(project, INDEX) == ["new"]


def test_what_cannot_be_signed(project: Project) -> None:
    project.write("text.apk", "no package")
    assert "is not a gzip file" in project.melpy("sign", "text.apk").stderr
    assert "cannot be read" in project.melpy("sign", "nowhere.apk").stderr
    assert "is not an index" in project.melpy("sign-index", "text.apk", "--force").stderr
    run = project.melpy("sign", PACKAGE, "--config", "none/melpy.toml")
    assert (run.returncode, "no key is named" in run.stderr) == (20, True)


def test_a_key_in_a_descriptor_with_its_passphrase_in_a_variable(project: Project) -> None:
    project.environment["WORD"] = "quiet"
    passphrase = ("--signing-passphrase", "env:WORD")
    made = project.melpy("keygen", "locked.rsa", "--bits", "2048", *passphrase)
    assert made.returncode == 0, made.stderr
    key = ("--signing-key", "fd:3", "--signing-key-name", "new.rsa.pub")
    opened = ("sh", "-c", 'exec "$@" 3<locked.rsa', "sh")
    run = project.melpy("sign", PACKAGE, *key, *passphrase, prefix=opened)
    assert (run.returncode, run.stderr) == (0, "1 package signed with new.rsa.pub\n")
    assert trusted(project, PACKAGE) == []
    (project.directory / "locked.rsa.pub").replace(project.directory / "new.rsa.pub")
    assert trusted(project, PACKAGE) == ["new"]


def test_a_key_in_a_variable_does_not_reach_builds(project: Project) -> None:
    looks = "tr '\\0' '\\n' < /proc/self/environ > seen\ngrep PATH= seen\n! grep PRIVATE seen\n"
    project.write("look.yaml", shell_recipe("look", runs=looks))
    project.environment["KEY"] = (project.directory / "new.rsa").read_text()
    options = ("--signing-key", "env:KEY", "--signing-key-name", "new.rsa.pub", "-v")
    run = project.melpy("build", "look.yaml", *options)
    assert run.returncode == 0, run.stderr
    assert "PATH=" in run.stderr
    assert "PRIVATE" not in run.stdout + run.stderr
    assert trusted(project, "out/x86_64/look-1.0-r0.apk") == ["new"]


def test_keys_that_cannot_be_had(project: Project) -> None:
    run = project.melpy("sign", PACKAGE, "--signing-key", "env:NOWHERE", "--signing-key-name", "x.rsa.pub")
    assert (run.returncode, "env:NOWHERE: no signing key: the variable is not set" in run.stderr) == (21, True)
    run = project.melpy("sign", PACKAGE, "--signing-key", "new.rsa", "--signing-key-name", "keys/x.rsa.pub")
    assert (run.returncode, "signing-key-name: is a path, not a file name" in run.stderr) == (20, True)
    project.environment["MELPY_SIGNING_KEY"] = "env:KEY"
    run = project.melpy("keygen")
    assert (run.returncode, "the signing-key of the settings is not a file" in run.stderr) == (2, True)


def test_a_second_signature_stays_while_the_index_says_the_same(project: Project) -> None:
    assert project.melpy("sign", PACKAGE, "--add", "--signing-key", "new.rsa").returncode == 0
    assert project.melpy("index").returncode == 0  # a larger package
    assert project.melpy("sign-index", INDEX, "--add", "--signing-key", "new.rsa").returncode == 0
    both = (project.directory / INDEX).read_bytes()
    for _ in range(2):
        run = project.melpy("index")
        assert (run.returncode, run.stderr) == (0, f"{INDEX}: 1 package, as it was\n")
    assert (project.directory / INDEX).read_bytes() == both
    assert project.melpy("verify", "out", "--keyring-append", "new.rsa.pub").returncode == 0
    assert trusted(project, INDEX) == ["old", "new"]


def test_a_signature_that_an_index_loses_is_told(project: Project) -> None:
    assert project.melpy("sign-index", INDEX, "--add", "--signing-key", "new.rsa").returncode == 0
    project.write("two.yaml", shell_recipe("two"))
    run = project.melpy("build", "two.yaml")
    assert f"{INDEX} was signed with new.rsa.pub, and is not any more (where clients know no other key" in run.stderr
    assert "not any more" not in project.melpy("build", "two.yaml").stderr
    run = project.melpy("index", "--signing-key", "new.rsa")
    old = project.repository.public_key.name
    assert f"{INDEX}: was signed with {old}, and is not any more" in run.stderr
    assert trusted(project, INDEX) == ["new"]


def test_the_commands_of_the_guide_keep_the_old_key(project: Project) -> None:
    keys = project.directory / "keys"
    keys.mkdir()
    write_key_pair(keys / "local.rsa", 2048)
    for name in ("new.rsa", "new.rsa.pub"):
        (project.directory / name).unlink()
    (project.directory / "melpy.toml").write_text("")  # a directory whose settings name no key
    assert project.melpy("sign", PACKAGE, "--signing-key", "keys/local.rsa").returncode == 0
    for line in GUIDE.read_text().partition("## Another key")[2].split("```")[1].splitlines()[1:]:
        words = shlex.split(line, comments=True)
        assert words[0] == "melpy"
        files = {"out/*/*.apk": PACKAGE, "out/*/APKINDEX.tar.gz": INDEX}  # as a shell finds them
        run = project.melpy(*(files.get(word, word) for word in words[1:]))
        assert run.returncode == 0, (line, run.stderr)
    names = [name for name, _ in split_signatures((project.directory / INDEX).read_bytes(), "")[0]]
    assert names == [".SIGN.RSA256.local.rsa.pub", ".SIGN.RSA256.new.rsa.pub"]
