"""Files become recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from melpy.cli.report import render_error
from melpy.errors import FaultsError, RecipeError, RecipeNotFoundError
from melpy.plan.library import BUILT_IN
from melpy.recipe.load import find_recipes, load_recipe, parse_pipeline
from tests.factories.recipe import HEADER, recipe


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of recipes, the working directory, so that messages name nothing above it."""
    monkeypatch.chdir(tmp_path)
    packages = Path("packages")
    packages.mkdir()
    for name in ("zlib.yaml", "hello.yaml", ".hidden.yaml", "notes.txt"):
        (packages / name).write_text(HEADER)
    (packages / "folder.yaml").mkdir()
    return packages


def test_a_directory_is_its_recipes_by_name(directory: Path) -> None:
    assert find_recipes([directory]) == (directory / "hello.yaml", directory / "zlib.yaml")


def test_files_stay_in_order_and_are_taken_once(directory: Path) -> None:
    assert find_recipes([directory / "zlib.yaml", directory]) == (directory / "zlib.yaml", directory / "hello.yaml")


def test_a_directory_without_recipes(directory: Path) -> None:
    (directory / "empty").mkdir()
    with pytest.raises(RecipeNotFoundError) as caught:
        find_recipes([directory / "empty"])
    assert render_error(caught.value) == [
        "error: packages/empty: this directory holds no recipe",
        "hint: recipes end in .yaml",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("helo.yaml", "packages/hello.yaml"), ("zlib", "packages/zlib.yaml"), ("zlib.yml", "packages/zlib.yaml")],
)
def test_a_missing_recipe_with_a_near_name(directory: Path, name: str, meant: str) -> None:
    with pytest.raises(RecipeNotFoundError) as caught:
        find_recipes([directory / name])
    assert render_error(caught.value) == [
        f"error: packages/{name}: no such recipe",
        f"hint: did you mean {meant}?",
    ]


def test_a_missing_recipe_in_a_missing_directory() -> None:
    with pytest.raises(RecipeNotFoundError) as caught:
        load_recipe(Path("nowhere/hello.yaml"))
    assert render_error(caught.value) == ["error: nowhere/hello.yaml: no such recipe"]


def test_a_recipe_that_is_not_utf_8(directory: Path) -> None:
    (directory / "latin.yaml").write_bytes(b"package:\n  name: caf\xe9\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(directory / "latin.yaml")
    assert render_error(caught.value) == [
        "error: packages/latin.yaml:2:1: is not UTF-8 at byte 20",
        "hint: save it as UTF-8",
    ]


def test_a_recipe_that_is_a_directory(directory: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(directory / "folder.yaml")
    assert render_error(caught.value) == ["error: packages/folder.yaml: is a directory, not a file"]


def test_a_key_without_a_value_is_as_good_as_absent() -> None:
    found = recipe("environment:\npipeline: ~\nsubpackages: null\nvars:\n  a:\n  b: x\n").model
    assert (found.pipeline, found.subpackages, found.vars) == ([], [], {"a": "", "b": "x"})


def test_texts_numbers_and_booleans_of_the_schema() -> None:
    found = recipe(
        """\
        package:
          name: hello
          version: 1.10
          epoch: 3
          timeout: 1h30m
          options:
            no-provides: True
          setcap:
            - path: /usr/bin/hello
              add:
                cap_net_raw: +ep
              reason: it pings
        pipeline:
          - runs: true
            with:
        data:
          - name: versions
            items:
              3.10: no
        """
    ).model
    assert (found.package.version, found.package.epoch, found.package.timeout) == ("1.10", 3, "1h30m")
    assert found.package.options.no_provides is True
    assert found.package.setcap[0].add == {"cap_net_raw": "+ep"}
    assert found.pipeline[0].runs == "true"
    assert found.data[0].items == {"3.10": "no"}


def test_keys_keep_melanges_spelling() -> None:
    text = """\
    environment:
      contents:
        build_repositories: [a]
        runtime_repositories: [b]
    update:
      version-transform: [{match: x}]
      github: {use-tag: true}
    """
    found = recipe(text).model
    assert found.environment.contents.build_repositories == ["a"]
    assert found.update.github.use_tag is True
    with pytest.raises(FaultsError, match="unknown key 'build-repositories'"):
        recipe("environment:\n  contents:\n    build-repositories: [a]\n")


@pytest.mark.parametrize("duration", ["30m", "1h30m", "90s", "1.5h", "0", "500ms"])
def test_durations_are_gos(duration: str) -> None:
    text = f"package:\n  name: a\n  version: 1\n  timeout: {duration}\n"
    assert recipe(text).model.package.timeout == duration


@pytest.mark.parametrize("name", ["a", "3proxy", "libstdc++", "gtk+3.0", "py3.12-foo_bar", "A-B"])
def test_package_names(name: str) -> None:
    assert recipe(f"package:\n  name: {name}\n  version: 1\n").name == name


@pytest.mark.parametrize("name", ["-a", ".a", "a b", "a/b", "a=1", "ä", "a@b", "+"])
def test_not_package_names(name: str) -> None:
    with pytest.raises(FaultsError, match="is not a package name"):
        recipe(f"package:\n  name: {name!r}\n  version: 1\n")


def test_faults_of_nested_steps_are_found_everywhere() -> None:
    with pytest.raises(FaultsError) as caught:
        recipe(
            """\
            pipeline:
              - pipeline:
                  - uses: strip
                    runs: make
            test:
              pipeline:
                - with: {a: b}
            subpackages:
              - name: hello-doc
                test:
                  pipeline:
                    - uses: strip
                      runs: make
            """
        )
    assert [str(fault.where) for fault in caught.value.faults] == [
        "hello.yaml:8:9",
        "hello.yaml:11:7",
        "hello.yaml:17:11",
    ]


def test_a_pipeline_definition_may_have_unknown_keys() -> None:
    model, _, _ = parse_pipeline("name: x\nanything: else\nruns: make\n", "x.yaml")
    assert model.runs == "make"


def test_every_built_in_pipeline_is_named_and_does_something() -> None:
    for file in BUILT_IN.rglob("*.yaml"):
        model, _, _ = parse_pipeline(file.read_text(), file.name)
        assert model.name, file
        assert model.pipeline or model.runs or model.native, file
