"""YAML with positions: every value of a document knows its file, line and column.

Scalars keep their text whatever YAML would make of them (`version: 1.10` is "1.10"); only a plain empty value,
`~` or `null` is None. The schema converts the few numbers and booleans. Positions are found when they are first asked
for: documents without a fault, nearly all, never pay for them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING

import yaml
from msgspec import Struct

from melpy.codec import Noun
from melpy.errors import FaultsError, Place, RecipeError, RecipeSyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Path = tuple[str | int, ...]
"""Where a value is in a document: mapping keys and list indexes from the root."""

_NULLS = {"", "~", "null", "Null", "NULL"}
MOST_FAULTS = 200
"""Faults of a file that are reported; more say nothing new, and each costs a look at the file."""

_MAX_NODES = 50_000  # more than twice the largest real recipe; a bomb of aliases reaches it at once
_MAX_DEPTH = 100
_MAX_MERGES = 10  # mappings that merge mappings that merge
_TRUSTED_SIZE = 16_384  # less text cannot nest deep enough to hurt; few recipes are larger
_DOCUMENT = re.compile(r"---(?:\s|$)")
_WIDE = 160  # characters of an excerpt
_BOMB = "aliases that hold aliases multiply; write the values out"
_ANCHOR = re.compile(r"&(?<![^\s\[{,?:\ufeff]&)[^\s&]")  # perhaps an anchor; without one there are no aliases


class Mark(Noun, frozen=True):
    """Where a value stands in the text: counting from 1, and whether it is a `|` block."""

    line: int
    column: int
    block: bool = False  # a `|` text, whose lines are those of the file; those of `>` are not


class Document(Struct, frozen=True, dict=True):
    """A YAML file as plain values, and where each of them stands.

    Attributes:
        file: name for messages.
        text: the file's text.
        data: dicts, lists, strings and None.
    """

    file: str
    text: str
    data: object = None

    @property
    def second(self) -> Place | None:
        """Where a second document begins in the file, which nobody reads; None when there is none."""
        has_content = False
        for number, line in enumerate(self._lines if "\n---" in self.text else (), 1):
            if has_content and _DOCUMENT.match(line):
                return Place(self.file, number, 1)
            has_content = has_content or bool(line.strip() and not line.startswith(("#", "%", "---")))
        return None

    @cached_property
    def marks(self) -> tuple[Mapping[Path, Mark], Mapping[Path, Mark]]:
        """Where each value stands, and each mapping key."""
        node = _compose(self.text, self.file)
        builder = _Builder(self.file, self.text)
        if node is not None:
            builder.build(node, ())
        return builder.values, builder.keys

    def place(self, path: Path, *, key: bool = False, offset: int = 0, text: str = "") -> Place:
        """Return where a value (or its key) stands; for what is not there, where its nearest parent stands.

        Args:
            path: the value.
            key: ask for the key in front of it.
            offset: position within the value's text that is meant.
            text: the value's text, needed with `offset`.
        """
        values, keys = self.marks
        mark = (keys if key else values).get(path)
        while mark is None and path:
            path = path[:-1]
            mark = values.get(path)
        if mark is None:
            return Place(self.file)
        line, column = mark.line, mark.column
        if mark.block:
            before = text[:offset]
            line += 1 + before.count("\n")
            start = before.rfind("\n") + 1
            # The line in the file begins with the block's indentation, then with its own.
            own = text[start:].partition("\n")[0]
            column = 1 + self._indent(line) - (len(own) - len(own.lstrip(" "))) + offset - start
        elif offset and "\n" not in text:
            column += offset + (self._line(line)[column - 1 : column] in {"'", '"'})
        return Place(self.file, line, column)

    def excerpt(self, place: Place) -> tuple[str, ...]:
        """Return the line of a place and a caret under its column."""
        if not place.line:
            return ()
        number = f"{place.line:>5} | "
        line = self._line(place.line)
        if len(line) > _WIDE:  # a window of it will do
            start = max(0, min(place.column - 1 - _WIDE // 2, len(line) - _WIDE))
            line, place = line[start : start + _WIDE], Place(place.file, place.line, place.column - start)
        pad = "".join(_blank(char) for char in line[: place.column - 1])
        return (number + line, " " * (len(number) - 2) + "| " + pad + "^")

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    def _line(self, number: int) -> str:
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def _indent(self, number: int) -> int:
        line = self._line(number)
        return len(line) - len(line.lstrip(" "))


def _blank(char: str) -> str:
    """Return what is as wide on a terminal."""
    if char == "\t":
        return "\t"
    return "  " if not char.isascii() and unicodedata.east_asian_width(char) in "WF" else " "


def parse_document(text: str, file: str) -> Document:
    """Parse the first YAML document of a text.

    Raises:
        RecipeSyntaxError: it is not YAML, or nests too deep or expands too far.
        FaultsError: mappings have duplicate keys.
    """
    if len(text) > _TRUSTED_SIZE:
        _check_depth(text, file)
    node = _compose(text, file)
    if node is None:
        return Document(file, text)
    if not _ANCHOR.search(text):
        try:
            return Document(file, text, _build_plainly(node, _MAX_DEPTH))
        except _OddError:
            pass  # the builder knows what to do about it
    builder = _Builder(file, text)
    data = builder.build(node, ())
    if builder.faults:
        raise FaultsError(builder.faults)
    return Document(file, text, data)


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written as UTF-8: names of files, and escapes, may hold what cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        return loader.get_node() if loader.check_node() else None
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, file) from None


class _Loader(yaml.CBaseLoader):
    """Composes without asking what a scalar might be: nobody here looks at tags, and asking takes a fifth of it."""

    def descend_resolver(self, current_node: object, current_index: object) -> None: ...

    def ascend_resolver(self) -> None: ...

    def resolve(self, kind: object, value: object, implicit: object) -> str:  # noqa: ARG002  # PyYAML's signature
        return "tag:yaml.org,2002:str"


class _OddError(Exception):
    """A node is one that only the builder can judge."""


def _build_plainly(node: yaml.Node, depth: int) -> object:
    """Return a node's value, as `_Builder` would, when nothing about it is out of the ordinary: ten times as fast."""
    if isinstance(node, yaml.ScalarNode):
        return None if not node.style and node.value in _NULLS else node.value
    if not depth:
        raise _OddError
    if isinstance(node, yaml.SequenceNode):
        return [_build_plainly(item, depth - 1) for item in node.value]
    data = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            raise _OddError
        data[key.value] = _build_plainly(value, depth - 1)
    if len(data) != len(node.value):
        raise _OddError
    return data


def _check_depth(text: str, file: str) -> None:
    """Refuse absurd nesting, which libyaml's recursive composer would not survive, and too many values."""
    depth = count = 0
    try:
        for event in yaml.parse(text, yaml.CBaseLoader):
            count += isinstance(event, yaml.NodeEvent)
            if count > _MAX_NODES:
                raise RecipeSyntaxError("holds too many values", where=Place(file), hint=f"{_MAX_NODES} are allowed")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _MAX_DEPTH:
                    mark = event.start_mark
                    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
                    raise RecipeSyntaxError("nests too deep", where=place, hint=f"{_MAX_DEPTH} levels are allowed")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, file) from None


def _syntax_error(error: yaml.YAMLError, text: str, file: str) -> RecipeSyntaxError:
    mark = getattr(error, "problem_mark", None)
    if "end of stream" in str(error):  # what was left open says more than where the text ends
        mark = getattr(error, "context_mark", None) or mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    message = f"not valid YAML: {problem}" + (f" {context}" if context else "")
    excerpt = Document(file, text).excerpt(place)
    return RecipeSyntaxError(message, where=place, details=excerpt, hint=_syntax_hint(problem, text, excerpt))


def _syntax_hint(problem: str, text: str, excerpt: Sequence[str]) -> str:
    line = excerpt[0].partition("| ")[2] if excerpt else ""
    if re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
        return "resolve the merge conflict"
    if "\t" in line:
        return "indent with blanks; YAML takes no tabs there"
    if "cannot start any token" in problem or "alphabetic or numeric" in problem:
        return "quote the value: '…'"
    if "mapping values are not allowed" in problem:
        return "a value with a colon and a blank in it needs quotes; else check the indentation"
    return "check indentation, quotes and colons here"


class _Builder:
    """Walks composed nodes once, making values, marks and the list of faults."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.values: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self.faults: list[RecipeError] = []
        self._document = Document(file, text)
        self._count = 0

    def build(self, node: yaml.Node, path: Path) -> object:
        self._count += 1
        if self._count > _MAX_NODES or len(path) > _MAX_DEPTH:
            what, hint = ("nests too deep", None) if len(path) > _MAX_DEPTH else ("expands to too many values", _BOMB)
            raise RecipeSyntaxError(what, where=_place(self.file, node), hint=hint)
        self.values[path] = _mark(node)
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        return None if plain and node.value in _NULLS else node.value

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        own = [(key, value) for key, value in node.value if not _is_merge(key)]
        seen: dict[str, yaml.Node] = {}
        merged = self._merged(node)
        for key, value in [*own, *merged]:
            if not isinstance(key, yaml.ScalarNode):
                self._fault("a mapping key must be a plain value", key, "a value that begins with a brace needs quotes")
                continue
            if key.value in seen:
                if (key, value) not in merged:
                    first = _mark(seen[key.value])
                    self._fault(f"key {key.value!r} is there twice", key, f"the first one is on line {first.line}")
                continue
            seen[key.value] = key
            self.keys[(*path, key.value)] = _mark(key)
            yield key.value, self.build(value, (*path, key.value))

    def _merged(self, node: yaml.MappingNode, depth: int = 0) -> list[tuple[yaml.Node, yaml.Node]]:
        found: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if not _is_merge(key):
                continue
            sources: Iterable[yaml.Node] = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in sources:
                self._count += 1
                if self._count > _MAX_NODES:
                    raise RecipeSyntaxError("expands to too many values", where=_place(self.file, source))
                if isinstance(source, yaml.MappingNode) and depth < _MAX_MERGES:
                    found += [pair for pair in source.value if not _is_merge(pair[0])]
                    found += self._merged(source, depth + 1)
                else:
                    self._fault("`<<` takes a mapping or a list of mappings", value)
        return found

    def _fault(self, message: str, node: yaml.Node, hint: str | None = None) -> None:
        place = _place(self.file, node)
        excerpt = self._document.excerpt(place)
        self.faults.append(RecipeError(message, where=place, hint=hint, details=excerpt))
        if len(self.faults) == MOST_FAULTS:
            raise FaultsError(self.faults)


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style


def _mark(node: yaml.Node) -> Mark:
    mark = node.start_mark
    return Mark(mark.line + 1, mark.column + 1, block=getattr(node, "style", None) == "|")


def _place(file: str, node: yaml.Node) -> Place:
    mark = _mark(node)
    return Place(file, mark.line, mark.column)
