"""The Python pipelines, with the Python of this machine where it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.bench import look
from tests.factories.tree import Link, program

if TYPE_CHECKING:
    from tests.factories.bench import Bench

OUT = "/home/build/melange-out/hello"


@pytest.mark.parametrize(
    ("pipeline", "arguments"),
    [("python/build", ("build",)), ("python/install", ("install", "--prefix=/usr", f"--root={OUT}"))],
)
@pytest.mark.parametrize("names", [("python",), ("python3",), ("python", "python3")])
def test_setup(bare: Bench, pipeline: str, arguments: tuple[str, ...], names: tuple[str, ...]) -> None:
    bare.tool("python3.99")
    bare.tool("python3.98")
    for name, target in zip(names, ("python3.99", "python3.98"), strict=False):
        (bare.directory / "tools" / name).symlink_to(target)
    assert bare.use(pipeline).status == 0
    assert bare.argvs == [("python3.99", "setup.py", *arguments)]


@pytest.mark.parametrize("pipeline", ["python/build", "python/install", "python/build-wheel"])
def test_python_must_be_there(bare: Bench, pipeline: str) -> None:
    result = bare.use(pipeline)
    assert (result.status, result.lines) == (1, [f"{pipeline}: Python is not installed"])


def test_a_wheel(bench: Bench) -> None:
    made = "usr/lib/python3.99/site-packages/a b"
    bench.tool(
        "python3.99",
        'case "$2" in',
        "  build) mkdir dist; touch dist/x-1-py3-none-any.whl ;;",
        f"  installer) mkdir -p '{OUT}/{made}/__pycache__'; cd '{OUT}/{made}'",
        "    touch x.py x.pyc __pycache__/x.pyc; echo kept > x.pycs ;;",
        "esac",
    )
    (bench.directory / "tools/python3").symlink_to("python3.99")
    bench.add({"usr/other.pyc": "kept"}, "other")
    assert bench.use("python/build-wheel").status == 0
    assert bench.argvs == [
        ("python3.99", "-m", "build"),
        ("python3.99", "-m", "installer", "-d", OUT, "dist/x-1-py3-none-any.whl"),
    ]
    assert look(bench.out()) == {f"{made}/x.py": "", f"{made}/x.pycs": "kept\n", f"{made}/__pycache__": "empty"}
    assert look(bench.out("other")) == {"usr/other.pyc": "kept"}


def test_a_wheel_that_is_not_built(bench: Bench) -> None:
    bench.tool("python3", "exit 4")
    assert bench.use("python/build-wheel").status == 4
    assert len(bench.calls) == 1


def test_a_command(bench: Bench) -> None:
    result = bench.use("python/test", {"command": "echo one; pwd\necho '$HOME'"})
    assert (result.status, result.lines) == (0, ["one", "/home/build", "$HOME"])
    assert bench.use("python/test", {"command": "false\necho not reached"}).status == 1


def imported(bench: Bench) -> list[str]:
    """Return the statements that the Python of the test was given."""
    assert all(argv[:2] == ("snake", "-c") for argv in bench.argvs)
    return [argv[2] for argv in bench.argvs]


@pytest.mark.parametrize(
    ("inputs", "statements"),
    [
        ({"import": "json"}, ["import json"]),
        ({"import": "a, b", "from": "json.x"}, ["from json.x import a, b"]),
        ({"imports": "import json"}, ["import json"]),
        (
            {"imports": "  import a   # why\n\n# import b\nfrom c import *\n\timport\td as e#why\n"},
            ["import a", "from c import *", "import d as e"],
        ),
        ({"imports": "# import a\n"}, []),
    ],
)
def test_imports(bench: Bench, inputs: dict[str, str], statements: list[str]) -> None:
    bench.tool("snake")
    bench.add({"a file": ""})  # which no pattern may find
    result = bench.use("python/import", {"python": "snake", **inputs})
    assert (result.status, imported(bench)) == (0, statements)
    assert result.lines == [f"{statement}: works" for statement in statements]


def test_all_imports_are_tried(bench: Bench) -> None:
    bench.tool("snake", 'case "$*" in *broken*) exit 1 ;; esac')
    result = bench.use("python/import", {"python": "snake", "imports": "import broken.a\nimport b\nimport broken.c"})
    assert result.status == 1
    assert imported(bench) == ["import broken.a", "import b", "import broken.c"]
    assert result.lines == [
        "python/import: 'import broken.a' fails with snake",
        "import b: works",
        "python/import: 'import broken.c' fails with snake",
    ]


def test_a_python_may_have_options(bench: Bench) -> None:
    bench.tool("snake")
    assert bench.use("python/import", {"python": "snake -I", "import": "a"}).status == 0
    assert bench.argvs == [("snake", "-I", "-c", "import a")]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "nothing to import is given"),
        ({"from": "a"}, "from needs import"),
        ({"imports": "import a", "import": "a"}, "import and from cannot be given together with imports"),
        ({"imports": "import a", "from": "a"}, "import and from cannot be given together with imports"),
        ({"import": "a", "venv": "v", "python": "snake"}, "python cannot be given together with venv"),
        ({"import": "a", "venv": "v"}, "v is no virtual environment"),
    ],
)
def test_what_cannot_be_imported(bench: Bench, inputs: dict[str, str], message: str) -> None:
    result = bench.use("python/import", inputs)
    assert (result.status, result.lines) == (1, [f"python/import: {message}"])


def test_a_virtual_environment(bench: Bench) -> None:
    bench.tool("snake")
    bench.add({"a b/bin/activate": "export ACTIVE=yes\n", "a b/bin/python3": Link("/opt/tools/snake")})
    result = bench.use("python/import", {"import": "a", "venv": "/home/build/a b"})
    assert (result.status, result.lines) == (0, ["import a: works"])
    (call,) = bench.calls
    assert call.argv == ("python3", "-c", "import a")
    assert call.environment["ACTIVE"] == "yes"


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        (["python3.7", "python3.12"], " /usr/bin/python3.12 /usr/bin/python3.7"),
        (["python3", "python3.6", "python3.12-config", "python3.100"], " none"),
    ],
)
def test_there_must_be_one_python(bare: Bench, installed: list[str], message: str) -> None:
    bare.usr = {f"bin/{name}": program() for name in installed}
    result = bare.use("python/import", {"import": "a"})
    assert (result.status, result.lines) == (
        1,
        [f"python/import: one Python is needed, found{message}; name one with python"],
    )


@pytest.mark.parametrize("name", ["python3.9", "python3.12"])
def test_the_one_python_is_found(bare: Bench, name: str) -> None:
    bare.usr = {f"bin/{name}": program('#!/opt/shell/sh\necho "$0 $*"\n'), "bin/python3": program()}
    result = bare.use("python/import", {"import": "a"})
    assert (result.status, result.lines) == (0, [f"/usr/bin/{name} -c import a", "import a: works"])
