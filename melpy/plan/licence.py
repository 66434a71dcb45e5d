"""Licence expressions: what they name, and what is wrong with them. Source: SPDX 2.3, annex D.

    expression = term {("AND" | "OR") term}          AND binds closer than OR
    term       = "(" expression ")" | licence ["WITH" exception]
    licence    = id | id "+" | ["DocumentRef-" id ":"] "LicenseRef-" id

Ids and operators are read in any case. What SPDX does not know becomes a `LicenseRef-` of its own; everything else of
an expression stays as it is written, but for blanks and case. The ids are those of the library license-expression.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from melpy.apk.model import join_licences
from melpy.codec import Noun
from melpy.errors import find_near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.plan.model import Licence

_PARENTHESES = {"(", ")"}
_TOKEN = re.compile(r"\s*([()]|[^()\s]+)")
_ID = re.compile(r"[A-Za-z0-9._:-]+\+?")
_REFERENCE = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-([A-Za-z0-9.-]+)", re.IGNORECASE)
_NOTHING_SAID = {"NONE", "NOASSERTION"}
"""What SPDX takes in place of an expression."""

_NOT_SPDX = {"GPL", "BSD-2", "Assembly-exception"}
"""Further names of the library's index."""

_WITH_EXCEPTION = {
    "eCos-2.0": "GPL-2.0-or-later WITH eCos-exception-2.0",
    "GPL-2.0-with-autoconf-exception": "GPL-2.0-only WITH Autoconf-exception-2.0",
    "GPL-2.0-with-bison-exception": "GPL-2.0-or-later WITH Bison-exception-2.2",
    "GPL-2.0-with-classpath-exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "GPL-2.0-with-font-exception": "GPL-2.0-only WITH Font-exception-2.0",
    "GPL-2.0-with-GCC-exception": "GPL-2.0-only WITH GCC-exception-2.0",
    "GPL-3.0-with-autoconf-exception": "GPL-3.0-only WITH Autoconf-exception-3.0",
    "GPL-3.0-with-GCC-exception": "GPL-3.0-only WITH GCC-exception-3.1",
    "wxWindows": "LGPL-2.0-or-later WITH WxWindows-exception-3.1",
}
"""Deprecated licences of a licence and an exception; the library's index takes most of them for exceptions."""

_SHOWN = 4  # ids in a hint
_HINT = "a licence is an SPDX expression, such as GPL-2.0-or-later, MIT OR Apache-2.0, or LicenseRef-Name for one's own"


class LicenceProblem(NamedTuple):
    """What is wrong with an expression, and at which character; `fatal` when it is none at all."""

    offset: int
    message: str
    hint: str
    fatal: bool = False


class LicenceExpression(Noun, frozen=True):
    """An expression that was read.

    Attributes:
        text: the expression for an SBOM; empty when nothing was written.
        references: each `LicenseRef-` in it, with what was written for it.
        problems: what is wrong with it.
    """

    text: str
    references: tuple[tuple[str, str], ...] = ()
    problems: tuple[LicenceProblem, ...] = ()


def combine_licences(licences: Iterable[Licence]) -> str:
    """Return the expression that holds for all copyright entries together; empty without any."""
    return join_licences([licence.text for _, licence in resolve_licences(licences)])


def resolve_licences(licences: Iterable[Licence]) -> list[tuple[Licence, LicenceExpression]]:
    """Return the copyright entries that name a licence, each with its expression."""
    entries = [entry for entry in licences if entry.license.strip()]
    return [(entry, _parse(entry.license, alone=len(entries) == 1)) for entry in entries]


def parse_licence(text: str) -> LicenceExpression:
    """Read the licence of one copyright entry; a text that is no expression is one reference, with a fatal problem."""
    return _parse(text, alone=True)


@functools.lru_cache(maxsize=4096)
def _parse(text: str, *, alone: bool) -> LicenceExpression:
    if alone and text.strip().upper() in _NOTHING_SAID:
        return LicenceExpression(text.strip().upper())
    reader = _Reader(text)
    reader.read()
    fatal = tuple([problem for problem in reader.problems if problem.fatal])
    if fatal:
        name = _reference(text)
        return LicenceExpression(name, ((name, text),), fatal)
    return LicenceExpression(reader.render(), tuple(reader.references.items()), tuple(reader.problems))


class _Reader:
    """Reads an expression from left to right; what is written next follows from what came last and open parentheses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(match[1], match.start(1)) for match in _TOKEN.finditer(text)]
        self._parts: list[str] = []
        self.references: dict[str, str] = {}
        self.problems: list[LicenceProblem] = []

    def read(self) -> None:
        """Read all of it, up to the first thing that fits nowhere."""
        opened: list[int] = []
        wants_licence = True
        for number, (token, offset) in enumerate(self._tokens):
            operator = token.upper() in {"AND", "OR", "WITH"}
            if token == "(" and wants_licence:  # noqa: S105  # a parenthesis
                opened.append(offset)
                self._parts.append(token)
            elif token == ")" and opened and not wants_licence:  # noqa: S105  # likewise
                opened.pop()
                self._parts.append(token)
            elif operator and not wants_licence:
                wants_licence = True
                self._parts.append(token.upper())
                if token.upper() == "WITH" and not self._may_except(number):
                    return self._fail(offset, "WITH stands after one licence and before one exception")
            elif operator or not wants_licence or token in _PARENTHESES:
                expected = "a licence" if wants_licence else "AND, OR or WITH"
                return self._fail(offset, f"expected {expected}, found {token!r}")
            elif not _ID.fullmatch(token):
                return self._fail(offset, f"not a licence id: {token!r}")
            else:
                wants_licence = False
                self._add(token, offset)
        if opened:
            return self._fail(opened[-1], "this parenthesis is not closed")
        if wants_licence and self._tokens:
            return self._fail(len(self._text.rstrip()) - 1, f"ends after {self._tokens[-1][0]!r}")
        return None

    def render(self) -> str:
        """Return the expression with one blank between its parts, and none inside parentheses."""
        return " ".join(self._parts).replace("( ", "(").replace(" )", ")")

    def _may_except(self, number: int) -> bool:
        before, after = self._tokens[number - 1], self._tokens[number + 1 : number + 2]
        excepted = number > 1 and self._tokens[number - 2][0].upper() == "WITH"
        return before[0] != ")" and not excepted and bool(after) and after[0][0] not in "()"

    def _fail(self, offset: int, message: str) -> None:
        self.problems.append(LicenceProblem(max(offset, 0), message, _HINT, fatal=True))

    def _add(self, token: str, offset: int) -> None:
        if self._parts[-1:] == ["WITH"]:
            self._add_exception(token, offset)
            return
        reference = _REFERENCE.fullmatch(token)
        known = _ids().licences.get(token.lower()) or _ids().licences.get(token.removesuffix("+").lower())
        if reference:
            name = f"LicenseRef-{reference[2]}"
            # Another document's text would have to be named by digest, so it is one of this document.
            self._refer(f"LicenseRef-{_clean(token[: -len(name)])}-{reference[2]}" if reference[1] else name, token)
        elif known:
            plus = "+" if token.endswith("+") and not known.endswith("+") else ""
            self._parts.append(known + plus)
            self._check_deprecated(known, offset)
        else:
            self._refer(_reference(token), token)
            misplaced = "an exception stands after WITH" if token.lower() in _ids().exceptions else ""
            self._complain("licence", token, offset, misplaced or _suggest(token, _ids().licences, token))

    def _add_exception(self, token: str, offset: int) -> None:
        known = _ids().exceptions.get(token.lower())
        if known:
            self._parts.append(known)
            return
        # SPDX 2.3 has no references for exceptions, so licence and exception are one licence.
        licence = self._parts[-2]
        written = f"{self.references.pop(licence, licence)} WITH {token}"
        del self._parts[-2:]
        self._refer(_reference(written), written)
        misplaced = "a licence does not stand after WITH" if token.lower() in _ids().licences else ""
        self._complain("exception", token, offset, misplaced or _suggest(token, _ids().exceptions, written))

    def _refer(self, name: str, written: str) -> None:
        self._parts.append(name)
        self.references[name] = written

    def _check_deprecated(self, known: str, offset: int) -> None:
        better = _ids().deprecated.get(known)
        if better:
            message = f"the licence id {known!r} is deprecated"
            self.problems.append(LicenceProblem(offset, message, f"write {better}"))

    def _complain(self, kind: str, token: str, offset: int, hint: str) -> None:
        self.problems.append(LicenceProblem(offset, f"SPDX knows no {kind} {token!r}", hint))


def _suggest(token: str, ids: Mapping[str, str], written: str) -> str:
    """Return a hint for an unknown id: what begins like it, the id that is nearest, or a reference."""
    name = token.lower()
    longer = [known for key, known in ids.items() if key.startswith(f"{name}-") and known not in _ids().deprecated]
    if longer:
        return f"ids that begin so are {', '.join(sorted(longer, key=lambda known: (len(known), known))[:_SHOWN])}"
    near = find_near(name, [key for key in ids if key[0] == name[0]]) if name.upper() not in _NOTHING_SAID else None
    return f"did you mean {ids[near]!r}?" if near else f"for a licence of one's own, write {_reference(written)}"


def _reference(text: str) -> str:
    return f"LicenseRef-{_clean(text) or hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:16]}"


def _clean(text: str) -> str:
    text = re.sub(r"^(LicenseRef-|DocumentRef-)", "", text, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9.-]", "", re.sub(r"[\s_:]", "-", text)).strip("-")


class _Ids(NamedTuple):
    """SPDX's ids by their lower-case form, and what deprecated ones are called now."""

    licences: Mapping[str, str]
    exceptions: Mapping[str, str]
    deprecated: Mapping[str, str]


@functools.cache
def _ids() -> _Ids:
    from license_expression import get_license_index  # noqa: PLC0415  # 35 ms that commands without recipes save

    licences = {name.lower(): name for name in _WITH_EXCEPTION}
    exceptions: dict[str, str] = {}
    deprecated = dict(_WITH_EXCEPTION)
    for entry in get_license_index():
        key = entry["spdx_license_key"] or "LicenseRef-"
        older = [name for name in entry["other_spdx_license_keys"] if name not in _NOT_SPDX and " " not in name]
        kind = exceptions if entry["is_exception"] else licences
        for name in (key, *older):
            if not name.startswith("LicenseRef-") and name not in _WITH_EXCEPTION:
                kind[name.lower()] = name
        if not key.startswith("LicenseRef-"):
            deprecated |= {name: _better(name, key) for name in older}
    return _Ids(licences, exceptions, deprecated)


def _better(name: str, key: str) -> str:
    # GPL-2.0 has always meant this version only, but who wrote it did not always mean that.
    return f"{key} or {name}-or-later" if key == f"{name}-only" else key
