"""YAML with positions."""

from __future__ import annotations

from textwrap import dedent

import pytest

from melpy.errors import FaultsError, RecipeSyntaxError
from melpy.recipe import document as document_module
from melpy.recipe.document import Document, Mark, parse_document


def document(text: str) -> Document:
    return parse_document(dedent(text), "x.yaml")


@pytest.mark.parametrize("text", ["1.10", "no", "0755", "1_000", "2024-01-01", "true", "1:30", "1e3", "0x10", "00303"])
def test_scalars_keep_their_text(text: str) -> None:
    assert document(f"a: {text}").data == {"a": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_plain_nulls_are_none(text: str) -> None:
    assert document(f"a: {text}").data == {"a": None}


@pytest.mark.parametrize("text", ["''", '"~"', "'null'", "|-\n  null"])
def test_quoted_nulls_are_text(text: str) -> None:
    assert document(f"a: {text}").data == {"a": text.strip("'\"|-\n ")}


def test_mapping_keys_keep_their_text() -> None:
    assert document("3.10: a\ntrue: b\n~: c\n").data == {"3.10": "a", "true": "b", "~": "c"}


def test_only_the_first_document_is_read() -> None:
    assert document("a: b\n---\nc: d\n").data == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b\n---\nc: d\n", 2),
        ("# x\n---\na: b\n--- \n", 4),
        ("---\na: b\n", 0),
        ("%YAML 1.1\n---\na: b\n", 0),
        ("a: |\n  ---\n  x\n", 0),
        ("a: b\n", 0),
    ],
)
def test_where_a_second_document_begins(text: str, line: int) -> None:
    found = document(text).second
    assert (found.line if found else 0) == line


@pytest.mark.parametrize(
    "text", ['{"a":&x [1], "b": *x}', "\ufeff&x {a: &y b, c: *y}", "{?&x a : b, c: *x}", "a: &x b\nc: *x"]
)
def test_aliases_are_found_wherever_their_anchors_stand(text: str) -> None:
    # The quick builder counts nothing, so it must never see one.
    assert document_module._ANCHOR.search(text)


def test_the_shell_has_no_anchors() -> None:
    assert not document_module._ANCHOR.search("run: a && b 2>&1 & c\n")


def test_an_excerpt_of_a_long_line_is_a_window_of_it() -> None:
    found = document("a: '" + "x" * 500 + "Y" + "z" * 500 + "'\n")
    line, caret = found.excerpt(found.place(("a",), offset=500, text="x" * 501))
    assert len(line) < 200
    assert line[len(caret) - 1] == "Y"


def test_a_caret_stands_under_its_place_after_wide_characters() -> None:
    found = document("\u65e5\u672c: [x, y]\n")
    assert found.excerpt(found.place(("\u65e5\u672c", 0)))[1] == "      |        ^"


def test_a_file_without_values_has_no_data() -> None:
    assert document("# only a comment\n").data is None


def test_tags_are_ignored() -> None:
    assert document("a: !!int 5\nb: !!python/object:os.system c\n").data == {"a": "5", "b": "c"}


def test_a_byte_order_mark_is_ignored() -> None:
    assert document("\ufeffa: b\n").data == {"a": "b"}


def test_block_scalars_keep_their_last_newline() -> None:
    assert document("a: |\n  x\n\n  y\nb: |-\n  z\n").data == {"a": "x\n\ny\n", "b": "z"}


def test_marks_of_values_and_keys() -> None:
    found = document(
        """\
        package:
          name: hello
        pipeline:
          - runs: |
              make
          - { name: "x" }
        """
    )
    assert found.marks[0][("package", "name")] == Mark(2, 9)
    assert found.marks[1][("package", "name")] == Mark(2, 3)
    assert found.marks[0][("pipeline", 0, "runs")] == Mark(4, 11, block=True)
    assert found.marks[0][("pipeline", 1, "name")] == Mark(6, 13)


@pytest.mark.parametrize(
    ("yaml", "needle", "line", "column"),
    [
        ("a: one two", "two", 1, 8),
        ("a: 'one two'", "two", 1, 9),
        ('a: "one two"', "two", 1, 9),
        ("a: |\n    one\n\n    and two\n", "two", 4, 9),
        ("a: |\n  one\n    two\n", "two", 3, 5),
        ("a: |-\n  one two\n", "two", 2, 7),
        ("a:\n  - b\nc: one two", "two", 3, 8),
    ],
)
def test_place_of_a_character_of_a_text(yaml: str, needle: str, line: int, column: int) -> None:
    found = parse_document(yaml, "x.yaml")
    key = "c" if "c:" in yaml else "a"
    assert isinstance(found.data, dict)
    text = found.data[key]
    place = found.place((key,), offset=text.index(needle), text=text)
    assert (place.line, place.column) == (line, column)
    assert yaml.splitlines()[line - 1][column - 1 :].startswith(needle)


def test_a_place_in_a_folded_text_is_that_of_the_text() -> None:
    found = parse_document("a: >\n  one\n  two\n", "x.yaml")
    assert str(found.place(("a",), offset=4, text="one two\n")) == "x.yaml:1:4"


@pytest.mark.parametrize("text", ["a: " + "[" * 200_000, "a: " + "{b: " * 100_000, "- " * 50_000])
def test_absurd_nesting_is_refused_however_deep(text: str) -> None:
    with pytest.raises(RecipeSyntaxError):
        parse_document(text, "x.yaml")


def test_place_of_what_is_not_there_is_its_parent() -> None:
    assert str(document("a:\n  b: c\n").place(("a", "d", 3, "e"))) == "x.yaml:2:3"
    assert str(document("a: b\n").place(("c",))) == "x.yaml:1:1"


def test_excerpt_has_a_caret_below_the_column() -> None:
    found = parse_document("a:\n  name: hello\n", "x.yaml")
    assert found.excerpt(found.place(("a", "name"))) == ("    2 |   name: hello", "      |         ^")


def test_excerpt_keeps_tabs_so_that_the_caret_stays_in_line() -> None:
    found = parse_document("a: |\n  x\ty\n", "x.yaml")
    place = found.place(("a",), offset=2, text="x\ty\n")
    assert found.excerpt(place) == ("    2 |   x\ty", "      |    \t^")


def test_merge_keys_take_what_is_not_there() -> None:
    found = document("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: 4}\n")
    assert isinstance(found.data, dict)
    assert found.data["b"] == {"x": "1", "y": "3", "z": "4"}


def test_of_several_merged_mappings_the_first_wins() -> None:
    found = document("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n")
    assert isinstance(found.data, dict)
    assert found.data["c"] == {"x": "1", "y": "2"}


def test_merges_go_through_merged_mappings() -> None:
    found = document("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}\n")
    assert isinstance(found.data, dict)
    assert found.data["c"] == {"x": "1", "y": "2"}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert document("a: {'<<': b}\n").data == {"a": {"<<": "b"}}


def test_every_duplicate_key_is_reported() -> None:
    with pytest.raises(FaultsError) as caught:
        document("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert [str(fault) for fault in caught.value.faults] == [
        "x.yaml:2:11: key 'c' is there twice",
        "x.yaml:3:1: key 'a' is there twice",
    ]


def test_aliases_that_multiply_are_refused_at_once() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(RecipeSyntaxError, match="expands to too many values"):
        document("\n".join(levels))


@pytest.mark.parametrize("depth", [101, 5000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(RecipeSyntaxError, match="nests too deep"):
        document(f"a: {'[' * depth}{']' * depth}")


def test_an_alias_of_itself_is_refused() -> None:
    with pytest.raises(RecipeSyntaxError, match="nests too deep"):
        document("a: &a [*a]\n")
