"""Packages for another architecture are the same with native tools as with everything emulated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.apk.signature import write_key_pair
from melpy.arch import host_arch

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent

RECIPE = r"""
package: {name: same, version: 1, epoch: 0, copyright: [{license: MIT}]}
environment: {contents: {packages: [build-base, busybox, m4]}}
pipeline:
  - runs: |
      out=${{targets.destdir}}/usr/lib/same
      mkdir -p $out
      cat > c.c <<'END'
      #include <math.h>
      #include <stdio.h>
      #ifdef _OPENMP
      #include <omp.h>
      #endif
      long double x = 1.1L;
      int main(int argc, char **argv) {
        #pragma omp parallel
        { puts("thread"); }
        return printf("%Lf %g\n", x, exp(argc)) < 0;
      }
      END
      cat > cxx.cc <<'END'
      #include <string>
      int main(int argc, char **argv) { try { throw std::string(argv[0]); } catch (std::string &) { return 0; } }
      END
      gcc -g -O2 c.c -o $out/c -lm
      gcc -g -fopenmp c.c -o $out/openmp -lm
      gcc -g -O2 -flto c.c -o $out/lto -lm
      g++ -g -O2 cxx.cc -o $out/cxx
      cc -g3 -c c.c -o c.o
      ar rc $out/libc.a c.o
      gcc -print-file-name=include > $out/places
      echo $HOSTTYPE $MACHTYPE $(uname -m) > $out/machine
      printf 'define(x, 1)x y\n' | m4 | sed 's/y/z/' | tr 1 2 > $out/text
      test "$($out/cxx; echo $?)" = 0
      $out/c
"""


def build(directory: Path, cache: Path, *options: str) -> tuple[bytes, dict[str, object]]:
    """Build the recipe for aarch64; return the package and the record."""
    out = directory / ("emulated" if options else "native")
    command = [
        sys.executable,
        "-m",
        "melpy",
        "build",
        "--force",
        "--arch",
        "aarch64",
        "--config",
        str(ROOT / "melpy.toml"),
    ]
    command += ["--cache-dir", str(cache), "--out-dir", str(out), "--signing-key", str(directory / "local.rsa")]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        [*command, *options, str(directory / "same.yaml")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "logs/aarch64/same-1-r0.json").read_text())
    return (out / "aarch64/same-1-r0.apk").read_bytes(), record


def test_the_same_bytes(tmp_path: Path, shared_cache: Path, require: Callable[..., None]) -> None:
    if host_arch().apk != "x86_64":
        pytest.skip("Debian has the cross compiler for x86_64")
    require("bwrap", "apt-get", "qemu-aarch64-static")
    write_key_pair(tmp_path / "local.rsa", 2048)
    (tmp_path / "same.yaml").write_text(RECIPE)
    package, record = build(tmp_path, shared_cache)
    emulated, other = build(tmp_path, shared_cache, "--emulate-all")
    assert package == emulated
    names = {str(text).partition("=")[0] for text in record["native-tools"]}  # type: ignore[attr-defined]  # a list
    assert {"bash", "coreutils", "sed", "gcc-14-aarch64-linux-gnu", "binutils-aarch64-linux-gnu"} <= names
    assert other["native-tools"] == []
    # In Debian trixie qemu-aarch64-static is a link to qemu-aarch64.
    assert record["emulator"] == os.path.realpath(shutil.which("qemu-aarch64-static") or "")
