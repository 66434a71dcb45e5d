"""Roots held against what else makes them: the kernel's overlay, glibc's ldconfig, and apk itself where it is there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from melpy.plan.model import PlanUser
from melpy.rootfs.account import make_build_root
from melpy.rootfs.environment import make_root
from melpy.rootfs.merge import merge_layers
from melpy.sandbox.model import Mount, SandboxSpec
from melpy.sandbox.runner import run_sandbox
from tests.factories.loader_cache import read_cache
from tests.factories.repository import BUSYBOX
from tests.factories.rootfs import Parcel, build_environment
from tests.factories.tree import Content, Directory, File, Link, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIST = r"""cd /
find . \( -path ./dev -o -path ./proc -o -path ./out -o -path ./run -o -path ./home \) -prune -o -print |
    sort > /out/names
while IFS= read -r name; do
    printf '%s %s %s ' "$name" "$(stat -c '%a %F' "$name")" "$(readlink "$name")"
    if [ -f "$name" ] && [ ! -L "$name" ] && [ "$name" != ./bin/busybox ]; then cat "$name"; fi
    echo
done < /out/names"""


def seen(directory: Path, layers: Sequence[Path]) -> list[str]:
    """Return what an overlay of layers shows, as find, stat and cat inside see it."""
    directory.mkdir()
    (directory / "out").mkdir()
    spec = SandboxSpec(
        root=make_root(layers, directory),
        command=("/bin/busybox", "sh", "-c", f"busybox --install -s /out; export PATH=/out; {LIST}"),
        workdir=PurePosixPath("/"),
        environment=(("PATH", "/bin"),),
        state=directory / "state",
        mounts=(Mount(directory / "out", PurePosixPath("/out"), writable=True),),
    )
    lines: list[str] = []
    assert run_sandbox(spec, lines.append).status == 0, lines
    return lines


@pytest.fixture
def base(tmp_path: Path, require: Callable[..., None]) -> Path:
    require(str(BUSYBOX), "bwrap")
    (tmp_path / "base/bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, tmp_path / "base/bin/busybox")
    return tmp_path / "base"


def test_merged_layers_are_what_an_overlay_shows(tmp_path: Path, base: Path) -> None:
    low: dict[str, Content] = {
        "a": "low",
        "d/x": "low",
        "d/e/y": "low",
        "gone": "low",
        "opaque/x": "low",
        "w/x": "low",
        "l/x": "low",
    }
    low |= {"su": File("su", 0o4755), "t": Directory(0o1777), "kind/x": "low", "file": "low", "s": Link("a")}
    high: dict[str, Content] = {
        "a": "high",
        "d/x": File("high", 0o600),
        "opaque/y": "high",
        "l": Link("d"),
        "kind": "high",
        "file/x": "",
    }
    tree(tmp_path / "low", low)
    tree(tmp_path / "high", {**high, "d": Directory(0o700), "s": Link("b")})
    for name in ("gone", "w", "d/e/y"):
        (tmp_path / "high" / name).parent.mkdir(exist_ok=True)
        os.mknod(tmp_path / "high" / name, stat.S_IFCHR, 0)  # a whiteout
    os.setxattr(tmp_path / "high/opaque", "user.overlay.opaque", b"y")
    tree(tmp_path / "top", {"w/new": "top", "kind/y": "top"})
    layers = [base, tmp_path / "low", tmp_path / "high", tmp_path / "top"]
    (tmp_path / "merged").mkdir()
    merge_layers(layers, tmp_path / "merged")
    shown = seen(tmp_path / "overlay", layers)
    assert shown == seen(tmp_path / "plain", [tmp_path / "merged"])
    text = "\n".join(shown)
    assert "./gone" not in text
    assert "./opaque/x" not in text
    assert "./w/new" in text
    assert "./w/x" not in text
    assert "./su 4755" in text


def test_an_assembled_environment_is_what_its_merged_layers_are(tmp_path: Path, base: Path) -> None:
    shutil.copytree(base, tmp_path / "trees/busybox")
    first = Parcel("first", {"lib": Link("usr/lib"), "etc/x": "1"}, {"replaces": ("second",)})
    second = Parcel("second", {"lib/a": "a", "lib/b/c": File("c", 0o4711), "etc/x": "2", "srv": Directory(0o2750)})
    spec = make_build_root("x86_64", users=(PlanUser("nonroot", 65532, 65532),))
    built = build_environment(tmp_path, Parcel("busybox", {}), first, second, spec=spec)
    merged = built.merge()
    shown = seen(tmp_path / "overlay", built.layers)
    assert shown == seen(tmp_path / "plain", [merged])
    text = "\n".join(shown)
    assert "./lib 777 symbolic link usr/lib" in text
    assert "./usr/lib/b/c 4711 regular file  c" in text
    assert "./usr/bin/wc 777 symbolic link /bin/busybox" in text


SOURCE = "int answer(void) { return 42; }\n"


@pytest.fixture
def compiler(tmp_path: Path, require: Callable[..., None]) -> Callable[[str, str], bytes]:
    require("gcc", "/sbin/ldconfig")
    (tmp_path / "answer.c").write_text(SOURCE)

    def compile_library(soname: str, flag: str = "-m64") -> bytes:
        output = tmp_path / "library.so"
        name = [f"-Wl,-soname,{soname}"] if soname else []
        command = ["gcc", "-shared", "-nostdlib", flag, *name, "-o", str(output), str(tmp_path / "answer.c")]
        subprocess.run(command, check=True)
        return output.read_bytes()

    return compile_library


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="for the libraries of x86-64")
def test_the_loader_s_cache_is_ldconfig_s(tmp_path: Path, compiler: Callable[..., bytes]) -> None:
    one, three = compiler("libone.so.1"), compiler("libthree.so.10")
    base: dict[str, Content] = {
        "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
        "etc/ld.so.conf.d/1.conf": "# here\n/usr/lib/a\n",
        "etc/ld.so.conf.d/2.conf": "/usr/lib/b\n/usr/lib/none\n",
        "lib": Link("usr/lib"),
        "usr/lib/a/libone.so.1.2": one,
        "usr/lib/a/libone.so.1.10": one,
        "usr/lib/a/libone.so.1": Link("libone.so.1.2"),
        "usr/lib/a/libone.so": Link("libone.so.1"),
        "usr/lib/a/glibc-hwcaps/x86-64-v3/libone.so.1": one,
        "usr/lib/a/glibc-hwcaps/x86-64-v2/libone.so.1": one,
        "usr/lib/b/libone.so.1": one,
    }
    more: dict[str, Content] = {
        "usr/lib/libtwo.so": compiler(""),
        "lib/libthree.so.10": three,
        "lib/libthree.so.9": compiler("libthree.so.9"),
        "lib/libweird.so": Link("libthree.so.10"),
        "lib/libdangling.so.1": Link("gone"),
        "lib/libtext.so": "INPUT(libthree.so.10)\n",
        "lib/libx32.so.1": compiler("libx32.so.1", "-mx32"),
        "lib/not-a-library.so": three,
    }
    built = build_environment(tmp_path, Parcel("base", base), Parcel("more", more))
    root = built.merge()
    own = read_cache((root / "etc/ld.so.cache").read_bytes())
    subprocess.run(["/sbin/ldconfig", "-X", "-r", str(root)], check=True, capture_output=True)
    assert own == read_cache((root / "etc/ld.so.cache").read_bytes())
    assert len(own) > 8


def test_ldconfig_can_read_the_cache(tmp_path: Path, compiler: Callable[..., bytes]) -> None:
    files: dict[str, Content] = {"etc/ld.so.conf": "/opt\n", "opt/libone.so.1": compiler("libone.so.1")}
    root = build_environment(tmp_path, Parcel("one", files)).merge()
    printed = subprocess.run(["/sbin/ldconfig", "-p", "-r", str(root)], check=True, capture_output=True, text=True)
    assert "libone.so.1 (libc6,x86-64) => /opt/libone.so.1" in printed.stdout
    assert "Cache generated by: melpy" in printed.stdout


def apk(root: Path, *arguments: str) -> str:
    command = [shutil.which("apk") or "apk", "--root", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


NO_APK = pytest.mark.skipif(shutil.which("apk") is None, reason="apk is not installed; melpy does without")


def database(root: Path) -> list[list[str]]:
    """Return packages and directories of a database; apk has directories in the order of the archive."""
    stanzas = (root / "lib/apk/db/installed").read_text().strip().split("\n\n")
    return sorted(sorted(stanza.split("\nF:")) for stanza in stanzas)


@NO_APK
def test_apk_makes_the_same_root(tmp_path: Path) -> None:
    base = Parcel("base", {"lib": Link("usr/lib"), "usr/lib/a": "a", "tmp": Directory(0o1777), "etc/x": "base"})
    first = Parcel(
        "first", {"lib/b": File("b", 0o4755), "etc/y": "1", "lib/l": Link("b")}, {"origin": "o", "depends": ("base",)}
    )
    info = {"origin": "o", "replaces": ("base<2",), "depends": ("first",)}
    second = Parcel("second", {"etc/x": "2", "etc/y": "2", "lib/c/d": "d"}, info)
    third = Parcel("third", {"etc/x": "3", "srv": Directory(0o700)}, {"replaces": ("second",), "depends": ("second",)})
    parcels = [base, first, second, third]
    built = build_environment(tmp_path, *parcels)
    packages = [str(tmp_path / f"x86_64/{parcel.name}-1-r0.apk") for parcel in parcels]
    flags = ["--initdb", "--allow-untrusted", "--no-network", "--arch", "x86_64"]
    flags += [] if os.geteuid() == 0 else ["--usermode"]
    other = tmp_path / "apk"
    apk(other, "add", *flags, *packages)
    merged = built.merge()
    names = [path for parcel in parcels for path in parcel.files]
    for name in names:
        one, two = merged / name, other / name
        assert one.lstat().st_mode == two.lstat().st_mode, name
        assert one.is_dir() or one.read_bytes() == two.read_bytes(), name
    assert database(merged) == database(other)


@NO_APK
@pytest.mark.skipif(os.geteuid() != 0, reason="apk audits for root only")
def test_apk_sees_what_is_installed(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "usr/bin/a": File("a", 0o755),
        "usr/bin/l": Link("a"),
        "etc/conf": "1",
        "lib": Link("usr/lib"),
    }
    info = {"depends": ("two",), "provides": ("cmd:a=1",), "description": "first", "replaces": ("two",)}
    one = Parcel("one", {**files, "srv": Directory(0o750)}, {**info, "licenses": ("MIT",), "origin": "o"})
    two = Parcel("two", {"etc/conf": "2", "lib/two": "two", "var/x/y": "y"}, {"triggers": ("/usr/lib",)})
    spec = make_build_root("x86_64", ("one", "two>0"))
    root = build_environment(tmp_path, two, one, spec=spec).merge()
    assert sorted(apk(root, "info", "-v").split()) == ["one-1-r0", "two-1-r0"]
    assert "/etc/conf is owned by one-1-r0" in apk(root, "info", "--who-owns", "/etc/conf")
    assert apk(root, "info", "-qL", "two").split() == ["lib/two", "var/x/y"]
    assert "OK: " in apk(root, "add", "--simulate", "--no-network", "two")
    assert apk(root, "audit", "--system").split() == []
    (root / "usr/bin/a").write_text("changed")
    (root / "var/x/y").unlink()
    assert apk(root, "audit", "--system").splitlines() == ["U usr/bin/a", "X var/x/y"]
