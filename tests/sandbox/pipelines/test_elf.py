"""strip and split/debug work on real programs."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from melpy.arch import ARCHES
from tests.factories.bench import look

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factories.bench import Bench

SOURCE = "int answer(void) { return 42; }\nint main(void) { return answer() != 42; }\n"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    """Programs of each kind, with debugging symbols."""
    require("cc", "ar", "scanelf", "strip", "readelf")
    directory = tmp_path_factory.mktemp("elf")
    (directory / "a.c").write_text(SOURCE)
    commands = [
        "cc -g -fPIE -pie a.c -o program",
        "cc -g -fPIC -shared a.c -o library",
        "cc -g -static -no-pie a.c -o static",
        "cc -g -c a.c -o object",
        "ar rcs archive object",
    ]
    for command in commands:
        subprocess.run(command.split(), cwd=directory, check=True)
    return directory


def foreign(path: Path, *, machine: int | None = None, system: int | None = None) -> bytes:
    """Return a program that says that it is for another machine, or another system."""
    data = bytearray(path.read_bytes())
    if machine is not None:
        data[18:20] = machine.to_bytes(2, "little")
    if system is not None:
        data[7] = system
    return bytes(data)


def sections(path: Path) -> set[str]:
    found = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    return {word for word in found.split() if word.startswith(".")}


def has_debug(path: Path) -> bool:
    return ".debug_info" in sections(path)


def place(bench: Bench, made: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = bench.out() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / source, path)
    return bench.out()


def test_programs_and_libraries_are_stripped(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/a program ": "program", "usr/bin/static": "static", "usr/lib/a.so": "library"})
    (out / "usr/bin/static").chmod(0o4511)
    assert bench.use("strip").status == 0
    for name in ("usr/bin/a program ", "usr/bin/static", "usr/lib/a.so"):
        assert not has_debug(out / name)
        assert ".symtab" in sections(out / name)
    assert (out / "usr/bin/static").stat().st_mode & 0o7777 == 0o4511


def test_options_of_strip(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/program": "program"})
    assert bench.use("strip", {"opts": "--strip-all --remove-section=.comment"}).status == 0
    assert not {".symtab", ".comment", ".debug_info"} & sections(out / "usr/bin/program")


def test_what_is_no_program_of_this_machine_is_not_stripped(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/lib/a.a": "archive", "usr/lib/a.o": "object", "usr/bin/script": "a.c"})
    (out / "usr/lib/firmware").write_bytes(foreign(made / "library", machine=0xB7))
    (out / "usr/lib/embedded").write_bytes(foreign(made / "static", system=255))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert len(before) == 5
    assert bench.use("strip").status == 0
    assert {path: path.read_bytes() for path in before} == before


def test_links_are_not_followed_and_hard_links_stay(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/program": "program"})
    (out / "usr/bin/twin").hardlink_to(out / "usr/bin/program")
    shutil.copy(made / "program", bench.workspace / "outside")
    (out / "usr/bin/link").symlink_to("/home/build/outside")
    assert bench.use("strip").status == 0
    assert not has_debug(out / "usr/bin/program")
    assert (out / "usr/bin/twin").samefile(out / "usr/bin/program")
    assert has_debug(bench.workspace / "outside")


@pytest.mark.parametrize("arch", ["x86", "aarch64", "armv7", "loongarch64", "ppc64le", "riscv64"])
def test_the_files_of_the_architecture_are_stripped_and_no_others(bench: Bench, made: Path, arch: str) -> None:
    """Whatever the shell of the environment is made for: it may be this machine's."""
    out = place(bench, made, {"usr/bin/program": "program", "usr/bin/other": "program"})
    data = bytearray((made / "program").read_bytes())
    data[18:20] = ARCHES[arch].machine.to_bytes(2, "little")
    (out / "usr/bin/program").write_bytes(data)
    bench.tool("strip", "true")
    assert bench.run("pipeline: [{uses: strip}]\n", arch=arch).status == 0
    assert [argv[-1] for argv in bench.argvs] == ["./usr/bin/program"]


def test_a_subpackage_is_stripped_alone(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/program": "program"})
    shutil.copy(made / "program", bench.workspace / "program")
    text = """
        subpackages:
        - name: hello-two
          pipeline:
          - runs: install -D program ${{targets.contextdir}}/usr/bin/own
          - uses: strip
    """
    assert bench.run(text).status == 0
    assert has_debug(out / "usr/bin/program")
    assert not has_debug(bench.out("hello-two") / "usr/bin/own")


def test_a_strip_that_fails_fails_the_step(bench: Bench, made: Path) -> None:
    place(bench, made, {"usr/bin/a": "program", "usr/bin/b": "program"})
    bench.tool("strip", "exit 3")
    assert bench.use("strip").status == 3
    assert len(bench.calls) == 1


def debug_link(path: Path) -> str:
    shown = subprocess.run(["readelf", "--string-dump=.gnu_debuglink", path], capture_output=True, check=True)
    first = next(line for line in shown.stdout.splitlines() if b"[     0]" in line)
    return first.split(b"]")[1].strip().decode()


def test_symbols_go_to_files_of_their_own(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/a program": "program", "usr/lib/sub/lib.so": "library"})
    (out / "usr/lib/sub/lib.so").chmod(0o444)
    (out / "usr/lib/lib.so").symlink_to("sub/lib.so")
    inodes = {name: (out / name).stat().st_ino for name in ("usr/bin/a program", "usr/lib/sub/lib.so")}
    assert bench.use("split/debug", within="hello-dbg").status == 0

    assert sorted(look(bench.out("hello-dbg"))) == [
        "usr/lib/debug/usr/bin/a program.debug",
        "usr/lib/debug/usr/lib/sub/lib.so.debug",
    ]
    for name, inode in inodes.items():
        symbols = bench.out("hello-dbg") / f"usr/lib/debug/{name}.debug"
        assert has_debug(symbols)
        assert not {".symtab", ".comment", ".debug_info"} & sections(out / name)
        assert debug_link(out / name) == symbols.name
        assert (out / name).stat().st_ino == inode
    assert (out / "usr/bin/a program").stat().st_mode & 0o777 == 0o755
    assert (out / "usr/lib/sub/lib.so").stat().st_mode & 0o777 == 0o444
    assert subprocess.run([out / "usr/bin/a program"], check=False).returncode == 0


def test_hard_links_have_one_file_of_symbols(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/one": "program"})
    (out / "usr/bin/two").hardlink_to(out / "usr/bin/one")
    (out / "usr/sbin").mkdir()
    (out / "usr/sbin/three").hardlink_to(out / "usr/bin/one")
    assert bench.use("split/debug", within="hello-dbg").status == 0
    (symbols,) = (path for path in bench.out("hello-dbg").rglob("*") if path.is_file())
    assert has_debug(symbols)
    assert (symbols.name, debug_link(out / "usr/bin/one")) == ("one.debug", "one.debug")
    assert (out / "usr/bin/one").stat().st_nlink == 3
    assert not has_debug(out / "usr/sbin/three")


def test_what_has_no_symbols_to_split_stays(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/static": "static", "usr/lib/a.a": "archive", "usr/lib/a.o": "object"})
    place(bench, made, {"usr/lib/debug/old.debug": "library"})
    (out / "usr/lib/firmware").write_bytes(foreign(made / "library", machine=0xB7))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert bench.use("split/debug", within="hello-dbg").status == 0
    assert {path: path.read_bytes() for path in before} == before
    assert look(bench.out("hello-dbg")) == {}


def test_symbols_of_another_package_and_twice(bench: Bench, made: Path) -> None:
    place(bench, made, {"../libhello/usr/lib/a.so": "library"})
    text = """
        subpackages:
        - name: libhello-dbg
          pipeline: [{uses: split/debug, with: {package: libhello}}]
        - name: libhello-again
          pipeline: [{uses: split/debug, with: {package: libhello}}]
    """
    assert bench.run(text).status == 0
    assert has_debug(bench.out("libhello-dbg") / "usr/lib/debug/usr/lib/a.so.debug")
    assert not has_debug(bench.out("libhello-again") / "usr/lib/debug/usr/lib/a.so.debug")


def test_an_objcopy_that_fails_fails_the_step(bench: Bench, made: Path) -> None:
    out = place(bench, made, {"usr/bin/a": "program", "usr/bin/b": "program"})
    bench.tool("objcopy", "exit 3")
    assert bench.use("split/debug", within="hello-dbg").status == 3
    assert len(bench.calls) == 1
    assert (out / "usr/bin/a").read_bytes() == (made / "program").read_bytes()
