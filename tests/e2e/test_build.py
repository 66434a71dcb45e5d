"""Builds from recipe to repository, in a real sandbox."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from melpy.apk.index import read_entries, read_index
from melpy.apk.segment import read_entry
from melpy.apk.signature import load_keyring
from tests.factories.project import ROOT, Project, shell_recipe
from tests.factories.repository import Repository

SEEN = """\
out=${{targets.destdir}}
mkdir -p $out
env | sort > $out/env
id > $out/id
cat /proc/net/dev > $out/net
ls /proc | grep -c '^[0-9]' > $out/processes
ls / > $out/root
umask > $out/umask
cat /proc/sys/kernel/hostname > $out/hostname
if echo x > /usr/bin/new; then echo writable > $out/usr; fi
"""


SUBPACKAGE = """\
subpackages:
  - name: z-data
    pipeline:
      - runs: |
          mkdir -p ${{targets.subpkgdir}}/usr/share/z
          echo shared > ${{targets.subpkgdir}}/usr/share/z/data
"""


def build(project: Project, *arguments: str) -> None:
    result = project.melpy("build", *arguments)
    assert result.returncode == 0, result.stderr


def test_a_package_has_its_files_and_says_what_it_is(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    path = project.out / "x86_64/one-1.0-r0.apk"
    with tarfile.open(path, ignore_zeros=True) as tar:
        members = {item.name: item for item in tar}
    assert members["usr/share/one/greeting"].mode == 0o644
    assert members["usr/share/one/link"].linkname == "greeting"
    assert {item.uid for item in members.values()} == {0}
    info = read_entry(path, keyring=load_keyring([project.repository.public_key])).info
    assert (info.name, info.version, info.arch, info.origin) == ("one", "1.0-r0", "x86_64", "one")
    assert info.licenses == ("MIT",)


def test_the_index_is_signed_and_names_the_package(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    data = (project.out / "x86_64/APKINDEX.tar.gz").read_bytes()
    index = read_index(data, keyring=load_keyring([project.repository.public_key]), where="index")
    (entry,) = read_entries(index)
    assert entry.info.full_name == "one-1.0-r0"
    assert entry.checksum == read_entry(project.out / "x86_64/one-1.0-r0.apk").checksum


def test_the_index_made_anew_is_the_same(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    index = project.out / "x86_64/APKINDEX.tar.gz"
    before = index.read_bytes()
    index.unlink()
    assert project.melpy("index").returncode == 0
    assert index.read_bytes() == before


def test_packages_where_no_client_looks_leave_the_index_as_it_was(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    directory = project.out / "x86_64"
    before = (directory / "APKINDEX.tar.gz").read_bytes()
    (directory / "broken-1-r0.apk").write_bytes(b"no package")
    run = project.melpy("index")
    assert (run.returncode, "broken-1-r0.apk: is not a gzip file" in run.stderr) == (34, True)
    shutil.copy(directory / "one-1.0-r0.apk", directory / "other.apk")
    run = project.melpy("index")
    assert "2 files cannot be indexed" in run.stderr
    assert "broken-1-r0.apk: is not a gzip file" in run.stderr
    assert "other.apk: holds one-1.0-r0 (rename it to one-1.0-r0.apk)\n" in run.stderr
    assert (directory / "APKINDEX.tar.gz").read_bytes() == before
    (project.out / "aarch64").mkdir()
    shutil.copy(directory / "one-1.0-r0.apk", project.out / "aarch64")
    run = project.melpy("index", "--arch", "aarch64")
    assert "is for x86_64\nhint: move it from aarch64 to x86_64\n" in run.stderr


def test_the_index_waits_for_whoever_is_publishing(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    directory, late = project.out / "x86_64", project.directory / "late.apk"
    (directory / "one-1.0-r0.apk").replace(late)
    shutil.copy(project.repository.root / "x86_64/busybox-1-r0.apk", directory)
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    command = [sys.executable, "-m", "melpy", "index"]
    with subprocess.Popen(command, cwd=project.directory, env=project.full_environment()) as run:
        while not re.search(rf"-> FLOCK .* {run.pid} ", Path("/proc/locks").read_text()):
            assert run.poll() is None, "it did not wait"
            time.sleep(0.01)
        late.replace(directory / "one-1.0-r0.apk")
        os.close(descriptor)
        assert run.wait() == 0
    index = read_index((directory / "APKINDEX.tar.gz").read_bytes(), keyring=None, where="")
    assert [entry.info.name for entry in read_entries(index)] == ["busybox", "one"]


def test_the_sbom_and_the_inputs_are_inside(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        files = {item.name: tar.extractfile(item) for item in tar if item.isreg()}
        sbom = json.load(files["var/lib/db/sbom/one-1.0-r0.spdx.json"])  # type: ignore[arg-type]
        inputs = json.load(files[".melpy.json"])  # type: ignore[arg-type]
        compiled = files[".melange.yaml"].read().decode()  # type: ignore[union-attr]
    assert sbom["spdxVersion"] == "SPDX-2.3"
    assert [item["name"] for item in inputs["environment"]] == ["busybox"]
    assert "- busybox=1-r0" in compiled
    assert "${{" not in compiled


def test_the_same_recipe_gives_the_same_bytes(project: Project, tmp_path: Path) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    first = project.packages()
    # Another directory, cache, umask, working directory and number of processors.
    other = Project(tmp_path / "some" / "other place", project.repository)
    recipe = other.write("deep/one.yaml", shell_recipe())
    cpu = str(min(os.sched_getaffinity(0)))
    result = other.melpy("build", str(recipe), prefix=("sh", "-c", 'umask 077; cd /; exec taskset -c "$0" "$@"', cpu))
    assert result.returncode == 0, result.stderr
    assert other.packages() == first


def test_nothing_of_this_machine_is_in_a_package(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    build(project, "one.yaml")
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        content = b"".join(tar.extractfile(item).read() for item in tar if item.isreg())  # type: ignore[union-attr]
    for word in (os.uname().nodename, os.uname().release, str(project.directory), str(project.repository.root)):
        assert word.encode() not in content


def commit_files(project: Project, date: int, *names: str, below: str = ".") -> str:
    """Commit files of a repository in a directory of the project, made when there is none; return the commit."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    dates = {"GIT_AUTHOR_DATE": f"@{date} +0000", "GIT_COMMITTER_DATE": f"@{date} +0000"}
    found = ""
    for arguments in (["init", "-q"], ["add", *names], ["commit", "-q", "-m", "files"], ["rev-parse", "HEAD"]):
        command = ["git", *identity, *arguments]
        place, environment = project.directory / below, {**os.environ, **dates}
        found = subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True).stdout
    return found.strip()


def test_a_pipeline_of_another_repository_counts_for_the_epoch(project: Project) -> None:
    project.write("recipes/one.yaml", shell_recipe(tail="  - uses: own\n"))
    project.write("pipelines/own.yaml", "name: own\npipeline:\n  - runs: 'true'\n")
    commit = commit_files(project, 1111111111, "one.yaml", below="recipes")
    commit_files(project, 1222222222, "own.yaml", below="pipelines")
    run = project.melpy("build", "recipes/one.yaml", "--pipeline-dir", "pipelines")
    assert run.returncode == 0, run.stderr
    assert "SOURCE_DATE_EPOCH" not in run.stderr
    info = read_entry(project.out / "x86_64/one-1.0-r0.apk").info
    assert (info.build_date, info.commit) == (1222222222, commit)


def test_a_pipeline_that_only_tests_use_does_not_count_for_the_epoch(project: Project) -> None:
    project.write("one.yaml", shell_recipe(tail="test:\n  pipeline:\n    - uses: own\n"))
    project.write("pipelines/own.yaml", "name: own\npipeline:\n  - runs: 'true'\n")
    commit = commit_files(project, 1111111111, "one.yaml", "pipelines/own.yaml")
    project.write("pipelines/own.yaml", "name: own\npipeline:\n  - runs: 'echo other'\n")
    commit_files(project, 1222222222, "pipelines/own.yaml")
    build(project, "one.yaml")
    info = read_entry(project.out / "x86_64/one-1.0-r0.apk").info
    assert (info.build_date, info.commit) == (1111111111, commit)


def test_the_epoch_comes_from_the_environment_or_the_last_commit(project: Project) -> None:
    project.write(
        "one.yaml",
        shell_recipe(runs="mkdir -p ${{targets.destdir}}\necho $SOURCE_DATE_EPOCH > ${{targets.destdir}}/epoch"),
    )
    project.write("one/patch", "part of the recipe")
    commit = commit_files(project, 1111111111, "one.yaml", "one")
    project.write("unrelated", "")
    commit_files(project, 1222222222, "unrelated")
    build(project, "one.yaml")
    info = read_entry(project.out / "x86_64/one-1.0-r0.apk").info
    assert (info.build_date, info.commit) == (1111111111, commit)
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        assert {item.mtime for item in tar} == {1111111111}
    project.environment["SOURCE_DATE_EPOCH"] = "1333333333"
    build(project, "one.yaml")
    assert read_entry(project.out / "x86_64/one-1.0-r0.apk").info.build_date == 1333333333


def test_steps_see_nothing_but_their_sandbox(project: Project) -> None:
    script = SEEN
    project.environment |= {"SECRET_TOKEN": "do not leak", "CFLAGS": "-O0"}
    project.write("one.yaml", shell_recipe(runs=script))
    build(project, "one.yaml")
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        seen = {item.name: tar.extractfile(item).read().decode(errors="replace") for item in tar if item.isreg()}  # type: ignore[union-attr]
    assert "SECRET_TOKEN" not in seen["env"]
    assert "CFLAGS" not in seen["env"]
    assert "HOME=/home/build" in seen["env"].splitlines()
    assert seen["id"].startswith("uid=1000(build) gid=1000(build)")
    interfaces = [line.split(":")[0].strip() for line in seen["net"].splitlines()[2:]]
    assert interfaces == ["lo"]
    assert int(seen["processes"]) < 10
    assert "work" not in seen["root"].split()
    assert (seen["umask"], seen["hostname"], seen["usr"]) == ("0022\n", "melpy\n", "writable\n")
    # What a step changes in its root is gone with it: the stored package is as it was.
    store = list((project.directory / "cache").glob("store-*/*/root/usr/bin"))
    assert store
    assert not (store[0] / "new").exists()


def test_a_later_recipe_uses_what_was_built_before(project: Project) -> None:
    project.write(
        "recipes/a-user.yaml",
        shell_recipe("a-user", runs="grep -q shared /usr/share/z/data\nmkdir ${{targets.destdir}}/x").replace(
            "- busybox", "- busybox\n      - z-data"
        ),
    )
    tail = SUBPACKAGE
    project.write("recipes/z.yaml", shell_recipe("z", tail=tail))
    project.write("recipes/notes.txt", "no recipe")
    result = project.melpy("build", "--json", "recipes")
    assert result.returncode == 0, result.stderr
    assert [item["job"] for item in json.loads(result.stdout)] == ["z-1.0-r0/x86_64", "a-user-1.0-r0/x86_64"]


def test_the_source_directory_is_the_workspace(project: Project) -> None:
    project.write(
        "one.yaml",
        shell_recipe(runs="mkdir -p ${{targets.destdir}}/usr/bin\ncp tool ${{targets.destdir}}/usr/bin/tool"),
    )
    project.write("one/tool", "#!/bin/bash\ntrue\n").chmod(0o775)
    build(project, "one.yaml")
    info = read_entry(project.out / "x86_64/one-1.0-r0.apk").info
    assert info.provides == ("cmd:tool=1.0-r0",)
    assert info.depends == ("cmd:bash",)


def _upstream(directory: Path) -> tuple[Path, str]:
    """Return an archive of upstream's in a mirror, and its SHA-256."""
    (directory / "src/hello-1").mkdir(parents=True)
    (directory / "src/hello-1/file").write_text("from upstream")
    archive = directory / "mirror/hello-1.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory / "src/hello-1", "hello-1")
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_source_comes_from_cache_or_mirror_and_is_extracted(project: Project, tmp_path: Path) -> None:
    archive, digest = _upstream(tmp_path)
    recipe = (
        shell_recipe(runs="mkdir ${{targets.destdir}}/x\ncp file ${{targets.destdir}}/x/")
        .replace(
            "pipeline:\n",
            "pipeline:\n  - uses: fetch\n    with:\n      uri: https://upstream.invalid/hello-1.tar.gz\n"
            f"      expected-sha256: {digest}\n",
            1,
        )
        .replace("- busybox", "- busybox\n      - wget")
    )
    project.write("one.yaml", recipe)
    build(project, "one.yaml", "--mirror", str(archive.parent))
    # Now the cache has it, and the mirror is not asked.
    archive.unlink()
    build(project, "one.yaml")
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        sbom = json.load(tar.extractfile("var/lib/db/sbom/one-1.0-r0.spdx.json"))  # type: ignore[arg-type]
    source = next(item for item in sbom["packages"] if item["primaryPackagePurpose"] == "SOURCE")
    assert source["checksums"] == [{"algorithm": "SHA256", "checksumValue": digest}]


@pytest.mark.parametrize(
    ("workdir", "directory", "place"),
    [
        ("fresh/place", ".", "fresh/place"),
        ("fresh", "/home/build/there", "there"),
        ("/opt/elsewhere", ".", "/opt/elsewhere"),
        (".", "/opt/elsewhere", "/opt/elsewhere"),
    ],
)
def test_where_a_source_is_extracted(
    project: Project, tmp_path: Path, workdir: str, directory: str, place: str
) -> None:
    archive, digest = _upstream(tmp_path)
    project.write("one/there/mine", "")
    project.write(
        "one.yaml",
        f"""
        package: {{name: one, version: "1.0"}}
        environment: {{contents: {{packages: [busybox, wget]}}}}
        pipeline:
          - uses: fetch
            working-directory: {workdir}
            with:
              uri: https://upstream.invalid/hello-1.tar.gz
              expected-sha256: {digest}
              directory: {directory}
          - runs: |
              mkdir -p ${{{{targets.destdir}}}}/x
              cp {place}/file ${{{{targets.destdir}}}}/x/
              test -e {workdir}/hello-1.tar.gz
              test ! -e .melpy-outside
        """,
    )
    build(project, "one.yaml", "--mirror", str(archive.parent))
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        assert "x/file" in tar.getnames()


def test_directories_that_are_there_keep_their_modes(project: Project, tmp_path: Path) -> None:
    archive = tmp_path / "mirror/file.txt"
    archive.parent.mkdir()
    archive.write_text("text")
    project.write(
        "one.yaml",
        f"""
        package: {{name: one, version: "1.0"}}
        environment: {{contents: {{packages: [busybox, wget]}}}}
        pipeline:
          - runs: mkdir -p -m 1777 /tmp && mkdir -m 700 /opt
          - uses: fetch
            working-directory: /tmp
            with: &inputs
              uri: https://upstream.invalid/file.txt
              expected-sha256: {hashlib.sha256(archive.read_bytes()).hexdigest()}
              extract: "false"
          - uses: fetch
            working-directory: /opt
            with: *inputs
          - runs: |
              test "$(cat /tmp/file.txt /opt/file.txt)" = texttext
              test "$(stat -c %a /tmp /opt | tr '\\n' ' ')" = "1777 700 "
        """,
    )
    build(project, "one.yaml", "--mirror", str(archive.parent))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_builds_the_same_bytes(project: Project, tmp_path: Path) -> None:
    # Two steps: the build root is mounted twice.
    text = shell_recipe(tail="  - runs: echo more >> ${{targets.destdir}}/usr/share/one/greeting\n")
    project.write("one.yaml", text)
    build(project, "one.yaml")
    python = _python_for()
    if python is None:
        pytest.skip("no Python of this version that another user may run")
    # pytest's directories are root's alone, and so may this checkout be.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        theirs = Path(name)
        code = _code_for(python, theirs / "code")
        shutil.copytree(project.repository.root.parent, theirs / "toy")
        repository = Repository(
            theirs / "toy/repository",
            project.repository.signer,
            theirs / "toy/keys" / project.repository.public_key.name,
        )
        other = Project(theirs / "project", repository)
        recipe = other.write("one.yaml", text)
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        result = subprocess.run(
            [python, "-m", "melpy", "build", str(recipe)],
            cwd=other.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(other.directory), "PYTHONPATH": code},
            check=False,
            **AS_NOBODY,
        )
        assert result.returncode == 0, result.stderr
        assert other.packages() == project.packages()


NOBODY = 54321
AS_NOBODY: dict[str, Any] = {
    "user": NOBODY,
    "group": NOBODY,
    "extra_groups": [],
    "capture_output": True,
    "text": True,
}


def _python_for() -> str | None:
    """Return a Python of this version that another user may run."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [python, "-c", "import sys; print(sys.version_info[:2])"], cwd="/", check=False, **AS_NOBODY
            )
        except OSError:
            continue
        if done.stdout.strip() == str(sys.version_info[:2]):
            return python
    return None


def _code_for(python: str, place: Path) -> str:
    """Return a PYTHONPATH with melpy that another user may read: this checkout, or a copy in `place`."""
    site = next(path for path in sys.path if path.endswith("site-packages"))
    here = f"{ROOT}:{site}"
    command = [python, "-c", "import melpy, click"]
    if subprocess.run(command, cwd="/", env={"PYTHONPATH": here}, check=False, **AS_NOBODY).returncode == 0:
        return here
    shutil.copytree(ROOT / "melpy", place / "melpy", ignore=shutil.ignore_patterns("__pycache__"))
    heavy = shutil.ignore_patterns("__pycache__", "mypy*", "ruff*", "pip", "hypothesis", "networkx", "pygments", "uv*")
    shutil.copytree(site, place, ignore=heavy, dirs_exist_ok=True)
    return str(place)


def test_what_flags_append_comes_after_the_settings(project: Project, tmp_path: Path) -> None:
    more = Repository(tmp_path / "more", project.repository.signer, project.repository.public_key)
    (tmp_path / "files/usr/share").mkdir(parents=True)
    (tmp_path / "files/usr/share/more").write_text("appended\n")
    more.add("more", tmp_path / "files")
    project.write("one.yaml", shell_recipe(runs="mkdir -p ${{targets.destdir}}\ncat /usr/share/more\n"))
    flags = ["--package-append", "more", "-r", str(more.root), "-k", str(more.public_key)]
    result = project.melpy("build", "-v", "one.yaml", *flags)
    assert result.returncode == 0, result.stderr
    assert "| appended\n" in result.stderr


def test_a_settings_file_may_be_empty_or_a_pipe(project: Project) -> None:
    result = project.melpy("config", "--config", "/dev/null", "--json")
    assert result.returncode == 0, result.stderr
    assert "melpy.toml" not in result.stdout
    result = project.melpy("config", "--config", "/dev/stdin", "--json", stdin='namespace = "piped"\n')
    assert result.returncode == 0, result.stderr
    assert '"piped"' in result.stdout
