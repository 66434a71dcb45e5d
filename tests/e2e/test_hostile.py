"""Recipes, steps, sources and packages that mean ill: none reaches beyond its sandbox and its own packages."""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import pty
import shutil
import stat
import subprocess
import sys
import tarfile
import textwrap
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy import events
from melpy.apk.archive import control_checksum
from melpy.apk.index import read_entries, read_index
from melpy.apk.segment import read_entry, read_segments
from melpy.errors import ExtractError, PackageFormatError
from melpy.inside import create_file, is_real_directory, make_directory, open_below, open_root, read_regular
from melpy.rootfs.store import StoredPackage, ensure_layers
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import Repository, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUT = "${{targets.destdir}}"
SECRET = "secret of the host"
SUBPACKAGE = """\
subpackages:
  - name: z-data
    pipeline:
      - runs: |
          mkdir -p ${{targets.subpkgdir}}
          echo shared > ${{targets.subpkgdir}}/data
"""


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return modes and contents of all that is below a directory, and its own mode."""
    found = {".": (directory.lstat().st_mode, b"")}
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
        found[str(path.relative_to(directory))] = (mode, content)
    return found


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that no build may look into or change."""
    directory = tmp_path / "host"
    for below in (".", "one", "z-data", "melange-out"):
        (directory / below).mkdir(parents=True, exist_ok=True)
        for name in ("secret", "passwd", "group"):
            (directory / below / name).write_text(SECRET)
            (directory / below / name).chmod(0o400)
    (directory / "one").chmod(0o511)
    before = snapshot(directory)
    yield directory
    assert snapshot(directory) == before
    (directory / "one").chmod(0o755)


def runs(script: str) -> str:
    """Return a further step."""
    return "  - runs: |\n" + textwrap.indent(script, " " * 6) + "\n"


def fetch(upstream: Path, *, directory: str = ".", working: str = "", extract: bool = False) -> str:
    """Return a step that fetches a file of this machine."""
    digest = hashlib.sha256(upstream.read_bytes()).hexdigest()
    return (
        f"  - uses: fetch\n{f'    working-directory: {working}{chr(10)}' if working else ''}"
        f"    with:\n      uri: {upstream.as_uri()}\n      expected-sha256: {digest}\n"
        f'      extract: "{str(extract).lower()}"\n      directory: {directory}\n'
    )


def build(project: Project, recipe: str, *arguments: str, name: str = "one") -> subprocess.CompletedProcess[str]:
    """Build a recipe; however it ends, it is no crash."""
    project.write(f"{name}.yaml", recipe)
    result = project.melpy("build", f"{name}.yaml", *arguments)
    assert "Traceback" not in result.stderr
    return result


def check(result: subprocess.CompletedProcess[str], *statuses: int) -> None:
    assert result.returncode in (statuses or (0,)), result.stderr


def content(project: Project, name: str = "one") -> dict[str, str]:
    """Return the text of each regular file in a package."""
    with tarfile.open(project.out / f"x86_64/{name}-1.0-r0.apk", ignore_zeros=True) as tar:
        return {item.name: tar.extractfile(item).read().decode(errors="replace") for item in tar if item.isreg()}  # type: ignore[union-attr]


def log(project: Project, name: str = "one") -> str:
    return (project.out / f"logs/x86_64/{name}-1.0-r0.log").read_text(errors="replace")


def indexed(project: Project) -> list[str]:
    data = (project.out / "x86_64/APKINDEX.tar.gz").read_bytes()
    return [entry.info.full_name for entry in read_entries(read_index(data, keyring=None, where="index"))]


def work(project: Project) -> list[Path]:
    """Return the work directories that are left."""
    return list((project.directory / "cache/work").glob("*"))


# What steps leave in the workspace.


@pytest.mark.parametrize("replacement", ["ln -s {host}/one", "ln -s {host}", "mkfifo", "touch"])
def test_an_output_directory_that_was_replaced_is_refused(project: Project, host: Path, replacement: str) -> None:
    script = f"rmdir melange-out/one\nbusybox {replacement.format(host=host)} melange-out/one"
    check(build(project, shell_recipe(runs=script)), 42)
    assert project.packages() == {}


@pytest.mark.parametrize("tail", ["", SUBPACKAGE])
def test_the_place_of_all_outputs_that_was_replaced_is_refused(project: Project, host: Path, tail: str) -> None:
    check(build(project, shell_recipe(runs=f"mv melange-out gone\nln -s {host} melange-out", tail=tail)), 42)
    assert project.packages() == {}


@pytest.mark.parametrize("planted", ["ln -s {host}/new file", "echo bad > file", "busybox mkfifo file"])
def test_a_fetched_file_replaces_what_was_planted_under_its_name(project: Project, host: Path, planted: str) -> None:
    upstream = project.write("upstream/file", "what upstream has")
    tail = fetch(upstream) + runs(f"test ! -L file\ntest -f file\nmkdir -p {OUT}\ncp file {OUT}/copy")
    project.write("one.yaml", shell_recipe(runs=planted.format(host=host), tail=tail))
    result = subprocess.run(
        [sys.executable, "-m", "melpy", "build", "one.yaml"],
        cwd=project.directory,
        env=project.full_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,  # a pipe that nobody reads would block for ever
    )
    check(result)
    assert content(project)["copy"] == "what upstream has"


@pytest.mark.parametrize(
    ("working", "directory", "extract"),
    [
        ("link", ".", False),
        ("link", ".", True),
        ("link/deep/er", ".", False),
        ("link/one", ".", True),
        (".", "link", True),
    ],
)
def test_fetch_follows_no_planted_directory(
    project: Project, host: Path, working: str, directory: str, extract: bool
) -> None:
    upstream = _archive(project)
    tail = fetch(upstream, working=working, directory=directory, extract=extract)
    check(build(project, shell_recipe(runs=f"ln -s {host} link", tail=tail)), 42)
    assert project.packages() == {}


@pytest.mark.parametrize(
    ("working", "directory"), [("/etc", "."), ("..", "."), ("/home/builder", "."), (".", "../../etc"), (".", "..")]
)
def test_fetch_stays_in_the_root_of_the_build(project: Project, working: str, directory: str) -> None:
    tail = fetch(_archive(project), working=working, directory=directory, extract=True)
    place = posixpath.normpath(posixpath.join("/home/build", working, directory))
    tail += f"  - runs: grep bad {place}/planted\n"
    before = sorted(Path("/etc").iterdir())
    check(build(project, shell_recipe(tail=tail)))
    assert sorted(Path("/etc").iterdir()) == before
    assert not Path(place, "planted").exists()
    assert [path for path in project.directory.rglob("planted") if "store" not in path.parts] == []


def _archive(project: Project) -> Path:
    path = project.directory / "upstream" / "a.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        item = tarfile.TarInfo("top/planted")
        item.size = 4
        tar.addfile(item, io.BytesIO(b"bad\n"))
    return path


def test_a_file_of_the_machine_is_fetched_by_digest_only(project: Project, host: Path) -> None:
    step = f"  - uses: fetch\n    with:\n      uri: {(host / 'secret').as_uri()}\n      expected-none: please\n"
    check(build(project, shell_recipe(tail=step + '      extract: "false"\n')), 40)
    assert not list((project.directory / "cache").rglob("*unverified*"))
    assert project.packages() == {}


# What packages bring into a build root.


def _header(name: str, size: int, *, prefix: str = "", pax: dict[str, str] | None = None) -> bytes:
    item = tarfile.TarInfo(name)
    item.size, item.mode = size, 0o755
    item.pax_headers = pax or {}
    raw = bytearray(item.tobuf(tarfile.PAX_FORMAT))
    block = raw[-512:]
    if prefix:
        block[345 : 345 + len(prefix)] = prefix.encode()
        block[148:156] = b" " * 8
        block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(raw[:-512] + block)


def _member(*headers: bytes) -> bytes:
    """Return a gzip member with files of 4 bytes each."""
    compressor = zlib.compressobj(wbits=31)
    plain = b"".join(header + b"bad\n".ljust(512, b"\0") for header in headers)
    return compressor.compress(plain) + compressor.flush()


SIGN = ".SIGN.RSA256.test.rsa.pub"
POISON = {
    "beside": _member(_header(SIGN, 4), _header("usr/bin/injected", 4)),
    "alone": _member(_header("usr/bin/injected", 4)),
    "prefix": _member(_header(SIGN, 4), _header(".SIGN.injected", 4, prefix="usr/bin")),
    "prefix-only": _member(_header(".SIGN.injected", 4, prefix="usr/bin")),
    "pax": _member(_header(SIGN, 4, pax={"path": "usr/bin/injected"})),
    "pax-back": _member(_header("usr/bin/injected", 4, pax={"path": SIGN})),
    "flat": _member(_header(".SIGN.injected", 4)),
}


def _split(package: Path) -> tuple[bytes, bytes, str]:
    """Return the signature member, the rest of a package, and its checksum."""
    data = package.read_bytes()
    with package.open("rb") as stream:
        segments = read_segments(stream, where="package")
    start = segments.data_offset - len(segments.control)
    return data[:start], data[start:], control_checksum(segments.control)


def _layer(store: Path, package: Path, checksum: str) -> Path:
    return ensure_layers(store, [StoredPackage(package, checksum)], events.Null())[0]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", POISON)
def test_nothing_before_the_signed_part_of_a_package_is_extracted(tmp_path: Path, name: str, keep: bool) -> None:
    signature, rest, checksum = _split(_good_package(tmp_path))
    poisoned = tmp_path / "poisoned.apk"
    poisoned.write_bytes((signature if keep else b"") + POISON[name] + rest)
    try:
        layer = _layer(tmp_path / "store", poisoned, checksum)
    except PackageFormatError:
        assert list((tmp_path / "store").glob("*")) == []
    else:
        assert {str(path.relative_to(layer)) for path in layer.rglob("*")} == {"usr", "usr/good"}


def test_zero_blocks_before_the_control_part_hide_nothing(tmp_path: Path) -> None:
    signature, rest, checksum = _split(_good_package(tmp_path))
    plain = zlib.decompress(signature, wbits=31)
    for number, padded in enumerate((plain + bytes(1024), bytes(1024), plain + bytes(10240))):
        compressor = zlib.compressobj(wbits=31)
        package = tmp_path / "padded.apk"
        package.write_bytes(compressor.compress(padded) + compressor.flush() + rest)
        store = tmp_path / f"store-{number}"
        try:
            layer = _layer(store, package, checksum)
        except PackageFormatError:
            assert list(store.glob("*")) == []
        else:
            assert (layer / "usr/good").read_text() == "good"


def _good_package(directory: Path) -> Path:
    repository = make_repository(directory / "good")
    (directory / "files/usr").mkdir(parents=True)
    (directory / "files/usr/good").write_text("good")
    repository.add("good", directory / "files")
    return repository.root / "x86_64/good-1-r0.apk"


def test_a_build_uses_nothing_of_a_poisoned_signature(project: Project, tmp_path: Path) -> None:
    root = tmp_path / "mirror"
    shutil.copytree(project.repository.root, root)
    package = root / "x86_64/busybox-1-r0.apk"
    signature, rest, _ = _split(package)
    package.write_bytes(signature + POISON["prefix"] + rest)
    other = Project(tmp_path / "other", Repository(root, project.repository.signer, project.repository.public_key))
    check(build(other, shell_recipe(runs=f"mkdir -p {OUT}\ntest ! -e /usr/bin/.SIGN.injected")), 0, 34)
    assert not list((other.directory / "cache").rglob("*injected"))


@pytest.mark.parametrize(
    "planted",
    [
        "mkdir -p {out}/etc\nln -s {host}/passwd {out}/etc/passwd\nln -s {host}/group {out}/etc/group",
        "ln -s {host} {out}/etc",
    ],
)
def test_the_accounts_of_a_package_are_not_those_of_the_host(project: Project, host: Path, planted: str) -> None:
    check(
        build(project, shell_recipe("bad", runs=f"mkdir -p {OUT}\n" + planted.format(host=host, out=OUT)), name="bad")
    )
    script = f"mkdir -p {OUT}\ncat /etc/passwd /etc/group > {OUT}/accounts"
    check(build(project, shell_recipe(runs=script).replace("- busybox", "- busybox\n      - bad")))
    accounts = content(project)["accounts"]
    assert SECRET not in accounts
    assert "build:x:1000" in accounts


@pytest.mark.parametrize("planted", ["/run/melpy", "/run/melpy/step", "/run/melpy/native/x"])
def test_a_package_with_files_where_melpy_mounts_its_own_is_refused(
    project: Project, tmp_path: Path, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("melpy.pack.package.check_acceptance", lambda *_: None)  # another tool made the package
    files = tmp_path / "files"
    place = files / planted.lstrip("/")
    place.parent.mkdir(parents=True)
    place.symlink_to("/oldroot/etc/passwd")
    project.repository.add("reserved", files, version=f"{planted.count('/')}-r0")
    result = build(project, shell_recipe().replace("- busybox", "- busybox\n      - reserved"))
    check(result, 42)
    assert f"reserved-{planted.count('/')}-r0.apk: has 'run/melpy" in result.stderr
    assert "/run/melpy is melpy's own in a build root" in result.stderr


# What steps do to their root.


@pytest.mark.parametrize("moved", ["/run/melpy", "/run", "/home"])
def test_a_mount_point_that_was_replaced_is_made_anew(project: Project, host: Path, moved: str) -> None:
    script = f"mv {moved} /gone\nln -s /oldroot{host} {moved}\nreadlink {moved}\nmkdir -p melange-out/one"
    result = build(project, shell_recipe(runs=script, tail=runs("echo second step\n")))
    assert f"\n/oldroot{host}\n" in log(project)
    check(result)
    assert "second step" in log(project)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's sandbox could change the machine")
def test_the_settings_of_the_machine_cannot_be_written(project: Project) -> None:
    # The value that it has: if this could be written, nothing would be changed.
    setting = Path("/proc/sys/vm/swappiness")
    value = setting.read_text().strip()
    script = (
        f"mkdir -p {OUT}\nif echo {value} > {setting}; then echo written; exit 1; fi\ntest ! -w /proc/sysrq-trigger"
    )
    result = build(project, shell_recipe(runs=script))
    check(result)
    assert "read-only" in log(project).lower()
    assert setting.read_text().strip() == value


PROBE = r"""
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
    long key = syscall(SYS_keyctl, 10, -3L, "user", "melpy-test", 0L);
    printf("key %s\n", key > 0 ? "found" : "absent");
    return 0;
}
"""
WITH_KEY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(250, 1, None) < 0 or libc.syscall(248, b"user", b"melpy-test", b"secret", 6, -3) < 0:
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls")
def test_steps_have_no_keys_of_the_session(project: Project, require: Callable[..., None]) -> None:
    require("cc")
    source = project.write("probe.c", PROBE)
    probe = project.directory / "one/probe"
    probe.parent.mkdir()
    if subprocess.run(["cc", "-static", "-o", probe, source], check=False, capture_output=True).returncode:
        pytest.skip("cc makes no static programs")
    with_key = (sys.executable, "-c", WITH_KEY)
    control = subprocess.run([*with_key, str(probe)], check=False, capture_output=True, text=True)
    if control.returncode == 77:
        pytest.skip("this machine keeps no keys")
    assert control.stdout == "key found\n"
    project.write("one.yaml", shell_recipe(runs=f"mkdir -p {OUT}\n./probe"))
    check(project.melpy("build", "one.yaml", prefix=with_key))
    assert "\nkey absent\n" in log(project)


def test_steps_ignore_no_signals(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs=f"mkdir -p {OUT}\ngrep SigIgn /proc/self/status"))
    check(project.melpy("build", "one.yaml", prefix=("sh", "-c", 'trap "" HUP PIPE USR1; exec "$0" "$@"')))
    line = next(line for line in log(project).splitlines() if line.startswith("SigIgn:"))
    # Signals 32 and 33 are the C library's own, which no program can set.
    assert int(line.split()[1], 16) & ~(0b11 << 31) == 0
    result = build(project, shell_recipe(runs="sh -c 'kill -PIPE $$'\necho survived"))
    check(result, 60)
    assert "survived" not in log(project)


# What recipes say.


@pytest.mark.parametrize("name", ["../../x", "..", ".", "", "/x", "a b", "-x", "a\\nb", "a\\u0000b"])
@pytest.mark.parametrize("where", ["package", "subpackage"])
def test_a_name_that_is_none_is_refused(project: Project, name: str, where: str) -> None:
    before = {path.name for path in project.directory.parent.iterdir()}
    variables = f'vars:\n  n: "{name}"\n'
    recipe = shell_recipe("${{vars.n}}", tail=variables)
    if where == "subpackage":
        recipe = shell_recipe(tail=SUBPACKAGE.replace("z-data", "${{vars.n}}", 1) + variables)
    check(build(project, recipe), 14, *((11, 12) if "\\u" in name else ()))
    assert project.leftovers() == []
    assert {path.name for path in project.directory.parent.iterdir()} == before


FORGED = r"\n\nC:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:forged\nV:1-r0\n\nC:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:other\nV:1-r0"


@pytest.mark.parametrize("newline", [r"\n", r"\r\n", r"\r", r"\u2028"])
def test_no_text_of_a_recipe_forges_an_index(project: Project, newline: str) -> None:
    forged = FORGED.replace(r"\n", newline)
    recipe = shell_recipe(head=f'  url: "https://example.org{forged}{newline}depend = evil"\n').replace(
        "description: a package of a test", f'description: "text{forged}{newline}depend = evil"'
    )
    check(build(project, recipe))
    assert indexed(project) == ["one-1.0-r0"]
    assert read_entry(project.out / "x86_64/one-1.0-r0.apk").info.depends == ()
    check(project.melpy("index"))
    assert indexed(project) == ["one-1.0-r0"]


# What steps print.

NOISE = (
    r"""printf 'a\033]52;c;c2VjcmV0\007b\033[31mc\007d\302\233e\033Pq\033\\f \033]0;title\033\\[/nope] [bold]g\r\b\n'"""
)


@pytest.mark.parametrize("ends", ["true", "false"])
def test_what_a_step_prints_does_not_drive_pipes(project: Project, ends: str) -> None:
    project.write("one.yaml", shell_recipe(runs=f"mkdir -p {OUT}\n{NOISE}\n{ends}"))
    result = subprocess.run(
        [sys.executable, "-m", "melpy", "build", "-v", "one.yaml"],
        cwd=project.directory,
        env=project.full_environment() | {"FORCE_COLOR": "1"},
        capture_output=True,
        check=False,
    )
    _check_noise(result.returncode, result.stderr, ends)
    assert b"\x1b[31mc" not in result.stderr


@pytest.mark.parametrize("ends", ["true", "false"])
def test_what_a_step_prints_does_not_drive_terminals(project: Project, ends: str) -> None:
    project.write("one.yaml", shell_recipe(runs=f"mkdir -p {OUT}\n{NOISE}\n{ends}"))
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "melpy", "build", "-v", "one.yaml"],
            cwd=project.directory,
            env=project.full_environment() | {"TERM": "xterm", "COLUMNS": "200"},
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        seen = bytearray()
        while piece := _read(ours):
            seen += piece
        status = process.wait(timeout=60)
    finally:
        os.close(ours)
    _check_noise(status, bytes(seen), ends)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""  # nobody writes any more


def _check_noise(status: int, seen: bytes, ends: str) -> None:
    assert b"Traceback" not in seen
    assert status == (0 if ends == "true" else 60), seen
    assert b"[/nope] [bold]g" in seen
    for bad in (b"\x1b]", b"\x1bP", b"\x07", b"\x08", b"\xc2\x9b"):
        assert bad not in seen


COMMANDS = (
    r"printf '::add-mask::a\n  ::error::b\n##[group]c\nd ##vso[task.setvariable variable=e]f\n'"
    "\n"
    r"printf '\342\200\256g\n+++ h\n'"
)


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_what_a_step_prints_does_not_drive_ci_services(project: Project, verbose: list[str]) -> None:
    result = build(project, shell_recipe(runs=f"{COMMANDS}\nexit 3"), *verbose)
    assert result.returncode == 60
    lines = result.stderr.splitlines()
    assert not [line for line in lines if line.strip().startswith(("::", "+++")) or "##[" in line or "##vso[" in line]
    shown = ["::add-mask::a", "  ::error::b", r"##\[group]c", r"d ##vso\[task.setvariable variable=e]f"]
    shown += [r"\u202eg", "+++ h"]
    assert [line for line in lines if line.startswith("  | ")] == [f"  | {text}" for text in shown]
    told = [f"[one-1.0-r0/x86_64] | {text}" for text in shown]
    assert [line for line in lines if line in told] == (told if verbose else [])
    assert "\n::add-mask::a\n" in log(project)


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_a_line_beyond_measure_is_one_line(project: Project, verbose: list[str]) -> None:
    script = "echo first\ndd if=/dev/zero bs=1M count=20 2> /dev/null | tr '\\0' x\necho\necho last\nexit 3"
    result = build(project, shell_recipe(runs=script), *verbose)
    assert result.returncode == 60
    lines = [line for line in result.stderr.splitlines() if line.startswith("  | ")]
    assert lines == ["  | first", f"  | {'x' * 300}…", "  | last"]
    assert len(result.stderr) < (5000 if verbose else 2500)
    assert log(project).count("x") >= 20 << 20


# What steps leave in the output.

DEEP = "/".join(["d"] * 1500)
LEFT = {
    "locked": f"mkdir -p {OUT}/a/b/c\necho x > {OUT}/a/b/c/d\nchmod 000 {OUT}/a/b/c/d {OUT}/a/b/c {OUT}/a/b {OUT}/a",
    "locked-root": f"mkdir -p {OUT}/a\nchmod 000 {OUT} melange-out",
    "deep": f"mkdir -p {OUT}\ncd {OUT}\nmkdir -p {DEEP}",
    "deeper": f"mkdir -p {OUT}\ncd {OUT}\nmkdir -p {DEEP}\ncd {DEEP}\nmkdir -p {DEEP}",
    "deeper-elsewhere": f"mkdir -p {OUT} {DEEP}\ncd {DEEP}\nmkdir -p {DEEP}\nchmod 000 .",
    "locked-upper": f"mkdir -p {OUT} /usr/x/y\necho > /usr/x/y/z\nchmod 000 /usr/x/y /usr/x",
}


@pytest.mark.parametrize("left", LEFT)
def test_whatever_is_left_can_be_removed(project: Project, left: str) -> None:
    result = build(project, shell_recipe(runs=LEFT[left]))
    if result.returncode:
        assert "error: " in result.stderr
        # What nobody but root may open only root can pack.
        assert left.startswith("deep") or (left == "locked-root" and os.geteuid() != 0)
        assert project.packages() == {}
        # It was kept to look into.
        assert len(work(project)) == 1
        assert project.melpy("clean").returncode == 0
    assert work(project) == []


def test_locked_directories_are_packed_as_they_are(project: Project) -> None:
    check(build(project, shell_recipe(runs=LEFT["locked"])))
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        modes = {item.name: item.mode for item in tar if item.name.startswith("a")}
    assert modes == dict.fromkeys(["a", "a/b", "a/b/c", "a/b/c/d"], 0)


@pytest.mark.parametrize("target", ["./a//b/.", "a/", "//x", ".", "..//."])
def test_a_symlink_keeps_the_text_of_its_target(project: Project, target: str) -> None:
    check(build(project, shell_recipe(runs=f"mkdir -p {OUT}\nln -s {target} {OUT}/link")))
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        assert tar.getmember("link").linkname == target


# What goes on at the same time, or ended too early.


def test_builds_at_the_same_time_all_come_into_the_index(project: Project) -> None:
    names = [f"p{number}" for number in range(8)]
    for name in names:
        project.write(f"{name}.yaml", shell_recipe(name, runs=f"mkdir -p {OUT}\necho {name} > {OUT}/{name}"))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "melpy", "build", f"{name}.yaml"],
            cwd=project.directory,
            env=project.full_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in running:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert indexed(project) == [f"{name}-1.0-r0" for name in names]


@pytest.mark.parametrize("way", ["written", "moved"])
def test_an_index_that_was_not_written_is_mended(project: Project, tmp_path: Path, way: str) -> None:
    other = Project(tmp_path / "other", project.repository)
    check(build(other, shell_recipe(runs=f"mkdir -p {OUT}\necho a much longer text than before > {OUT}/x")))
    check(build(project, shell_recipe(runs=f"mkdir -p {OUT}\necho x > {OUT}/x")))
    package, theirs = project.out / "x86_64/one-1.0-r0.apk", other.out / "x86_64/one-1.0-r0.apk"
    checksum = read_entry(theirs).checksum
    assert checksum != read_entry(package).checksum
    if way == "written":
        shutil.copyfile(theirs, package)
    else:
        theirs.replace(package)
    check(build(project, shell_recipe("two"), name="two"))
    index = read_index((project.out / "x86_64/APKINDEX.tar.gz").read_bytes(), keyring=None, where="index")
    found = {entry.info.name: (entry.checksum, entry.size) for entry in read_entries(index)}
    assert set(found) == {"one", "two"}
    assert found["one"] == (checksum, package.stat().st_size)


# The functions that reach into what others filled.


def test_reaching_inside_follows_no_symlink(tmp_path: Path, host: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(host)
    (root / "file").symlink_to(host / "secret")
    (root / "real").mkdir()
    (root / "real/file").write_text("mine")
    os.mkfifo(root / "pipe")
    for path in ("link", "link/new", "link/one", "real/file"):
        with pytest.raises(ExtractError):
            make_directory(root, path)
        assert not is_real_directory(root, path)
    assert is_real_directory(root, "real")
    assert read_regular(root, "real/file", 10) == b"mine"
    for path in ("link/secret", "file", "pipe", "real", "none"):
        assert read_regular(root, path, 100) is None
    with open_root(root) as descriptor:
        with pytest.raises(ExtractError), open_below(descriptor, ["link"], make=True):
            pass
        for name in ("file", "pipe"):
            with create_file(descriptor, name) as stream:
                stream.write(b"new")
            assert (root / name).read_bytes() == b"new"
            assert stat.S_ISREG((root / name).lstat().st_mode)


@pytest.mark.parametrize("planted", ["ln -s /bin/busybox", "busybox mkfifo", "mkdir -p {out}; ln -s {host}/secret"])
def test_nothing_under_the_name_of_the_sbom_is_looked_at(project: Project, host: Path, planted: str) -> None:
    place = f"{OUT}/var/lib/db/sbom"
    script = f"mkdir -p {place}\n{planted.format(out=OUT, host=host)} {place}/one-1.0-r0.spdx.json"
    result = build(project, shell_recipe(runs=script))
    assert result.returncode == 0, result.stderr
    assert "cannot be read" not in result.stderr
    assert content(project)["var/lib/db/sbom/one-1.0-r0.spdx.json"].startswith("{")
    info = read_entry(project.out / "x86_64/one-1.0-r0.apk").info
    assert (info.depends, info.provides) == ((), ())


def test_the_name_of_a_step_does_not_drive_the_terminal(project: Project) -> None:
    recipe = shell_recipe(runs="true").replace("  - runs: |", '  - name: "a\\e]52;c;aaaa\\a b"\n    runs: |')
    result = build(project, recipe)
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
    assert "a b" in result.stderr


def test_a_package_whose_index_was_never_written_is_found(project: Project) -> None:
    for name in ("one", "two"):
        assert build(project, shell_recipe(name), name=name).returncode == 0
    index = project.out / "x86_64/APKINDEX.tar.gz"
    before = index.read_bytes()
    assert build(project, shell_recipe("three"), name="three").returncode == 0
    # As if that process had ended between its packages and the index: staged long ago, renamed just now.
    package = project.out / "x86_64/three-1.0-r0.apk"
    os.utime(package, (1, 1))
    index.write_bytes(before)
    package.rename(package.with_suffix(".moved"))
    package.with_suffix(".moved").rename(package)
    assert build(project, shell_recipe("four"), name="four").returncode == 0
    assert indexed(project) == ["four-1.0-r0", "one-1.0-r0", "three-1.0-r0", "two-1.0-r0"]
