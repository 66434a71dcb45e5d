"""The line of a log that states the cause: real logs in tests/golden/causes, and the line a person looks for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from melpy.build.cause import find_cause
from melpy.text import quote_line

LOGS = Path(__file__).parents[2] / "golden" / "causes"
CAUSES = {
    "autoconf-library": "configure: error: zzlib is required",
    "autoconf-macro": "configure: error: Package requirements (b) were not met: Package 'b', required b",
    "cargo-dependency": "error: no matching package named `serde_zz` found",
    "cargo-type": "error[E0308]: mismatched types",
    "cmake-make": "/home/build/cm/x.c:1:23: error: 'y' undeclared (first use in this function)",
    "cmake-package": 'CMake Error at CMakeLists.txt:3 (find_package): By not providing "FindZZLIB.cmak',
    "cxx-syntax": "cc.cc:1:17: error: expected ';' before '}' token",
    "gcc-werror": "w.c:1:26: error: initialization of 'char' from 'int *' makes integer from pointe",
    "git-apply": "error: patch failed: f:1",
    "go-module": "main.go:2:8: no required module provides package example.org/zz/lib; to add it: ",
    "go-test": "--- FAIL: TestA (0.00s)",
    "go-undefined": "./main.go:3:26: undefined: undefinedName",
    "javac-type": "A.java:1: error: incompatible types: String cannot be converted to int",
    "killed": "Killed",
    "linker-multiple": "m2.c:(.text+0x0): multiple definition of `f'; /tmp/cc61WkV9.o:m1.c:(.text+0x0): ",
    "make-deep": "a.c:1:10: fatal error: nozlib.h: No such file or directory",
    "make-header": "a.c:1:10: fatal error: nozlib.h: No such file or directory",
    "make-keep-going": "a.c:1:10: fatal error: nozlib.h: No such file or directory",
    "make-library": "/usr/bin/ld: cannot find -lnotthere: No such file or directory",
    "make-no-rule": "make: *** No rule to make target 'missing.c', needed by 'norule'.  Stop.",
    "make-status": "make: *** [Makefile:19: ignored] Error 3",
    "make-undefined": "b.c:(.text+0x5): undefined reference to `f'",
    "meson-dependency": 'me/meson.build:2:0: ERROR: Dependency "zzlib" not found, tried pkgconfig and cma',
    "ninja-compile": "/home/build/cm/x.c:1:23: error: 'y' undeclared (first use in this function)",
    "npm-file": "npm error The `npm ci` command can only install with an existing package-lock.js",
    "npm-script": "sh: 1: tsc: not found",
    "patch-hunk": "Hunk #1 FAILED at 1.",
    "perl-module": "Can't locate Zz/Missing.pm in @INC (you may need to install the Zz::Missing modu",
    "python-import": "ModuleNotFoundError: No module named 'definitely_missing'",
    "python-syntax": "SyntaxError: invalid syntax",
    "python-two": "ValueError: bad configuration: errors=strict",
    "python-unittest": "AssertionError: 1 != 2",
    "shell-cd": "sh: 1: cd: can't cd to src/missing",
    "shell-no-file": "install: cannot stat 'target/release/tool': No such file or directory",
    "shell-not-found": "sh: 1: cargo-zigbuild: not found",
    "shell-unset": "bash: line 1: destdir: unbound variable",
    "tar-missing": "tar (child): nothing.tar.gz: Cannot open: No such file or directory",
}
"""The beginning of each line."""


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_found(name: str) -> None:
    lines = (LOGS / f"{name}.txt").read_text().splitlines()
    assert find_cause(lines)[:80] == CAUSES[name]
    # As a monitor and the details of an error have them.
    assert find_cause([f"  {quote_line(line)}" for line in lines])[:80] == CAUSES[name]


def test_every_log_has_its_cause() -> None:
    assert sorted(path.stem for path in LOGS.glob("*.txt")) == sorted(CAUSES)


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ([], ""),
        (["", "  "], ""),
        (["all went well", ""], "all went well"),
        (["checking for error.h... no", "configure: error: no C++ compiler"], "configure: error: no C++ compiler"),
        (["checking whether ld fails: not found", "done"], "done"),
        (["a.c:1:2: warning: error-prone", "make: *** [a] Error 1"], "make: *** [a] Error 1"),
        (["make: [Makefile:2: x] Error 1 (ignored)", "sh: foo: not found"], "sh: foo: not found"),
        (["\x1b[31merror\x1b[0m: expected `;`"], "error: expected `;`"),
        (["FAILED: src/a.o ", "cc -c a.c", "a.c:9:1: error: expected"], "a.c:9:1: error: expected"),
        (["FAILED: src/a.o ", "ninja: build stopped"], "FAILED: src/a.o"),
        (["0 errors", "no errors found", "exit 3"], "exit 3"),
        (
            ["  Traceback (most recent call last):", '    File "a"', "  KeyError: 'x'", "ERROR: pip failed"],
            "KeyError: 'x'",
        ),
        (["Traceback (most recent call last):", '  File "a", line 1'], '  File "a", line 1'.strip()),
    ],
)
def test_small_logs(lines: list[str], cause: str) -> None:
    assert find_cause(lines) == cause


def test_lines_without_end_take_no_time() -> None:
    lines = ["a: " * 100_000, ":1" * 200_000, "error " * 50_000, "make[1" * 50_000] * 50
    start = time.process_time()
    find_cause(lines)
    assert time.process_time() - start < 1
