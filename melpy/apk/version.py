"""APK versions: validity and order as apk-tools has them.

`digits{.digits}[letter]{_suffix[digits]}[~hash][-rN]`, where a suffix is one of alpha, beta, pre, rc (before the
plain version) or cvs, svn, git, hg, p (after it). Source: apk-tools 3, apk-package(5) and its version test data.
"""

from __future__ import annotations

import functools
import re
from enum import IntEnum

from msgspec import Struct

from melpy.errors import PackageFormatError

_SUFFIXES = {name: rank for rank, name in enumerate(("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"))}
_PLAIN = _SUFFIXES[""]
_WHOLE = re.compile(
    r"(?P<initial>[0-9]+)(?P<digits>(?:\.[0-9]+)*)(?P<letter>[a-z]?)"
    r"(?P<suffixes>(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)(?![a-z])[0-9]*)*)"
    r"(?:~(?P<hash>[0-9a-f]+))?(?:-r(?P<revision>[0-9]+))?"
)
_MELANGE = re.compile(
    r"[0-9]+(?:\.[0-9]+)*[a-z]?(?:_(?:alpha|beta|pre|rc)[0-9]*)?(?:_(?:cvs|svn|git|hg|p)[0-9]*)?(?:-r[0-9]+)?"
)
_MOST_GO = (1 << 63) - 1  # apko reads numbers with strconv.Atoi
_MOST_DIGITS = 100
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")


class _Token(IntEnum):
    """Kinds of version parts. Where one version ends first, the later kind sorts below: `1.2-r1` < `1.2a`."""

    INITIAL = 0
    DIGITS = 1
    LETTER = 2
    SUFFIX = 3
    SUFFIX_NUMBER = 4
    HASH = 5
    REVISION = 6
    END = 7
    INVALID = 8


class _Part(Struct, frozen=True):
    token: _Token
    number: int
    text: str


_END = _Part(_Token.END, 0, "")
_INVALID = _Part(_Token.INVALID, 0, "")


def is_version(text: str) -> bool:
    """Tell whether `text` is a valid APK version."""
    return _WHOLE.fullmatch(text) is not None


def is_melange_version(text: str) -> bool:
    """Tell whether melange and apko take a version too: one suffix of each kind at most, no hash, no huge number.

    Source: apko's pkg/apk/apk/version.go, which melange uses.
    """
    numbers = re.findall("[0-9]+", text)
    return _MELANGE.fullmatch(text) is not None and all(_number(digits) <= _MOST_GO for digits in numbers)


def check_version(text: str) -> None:
    """Check that `text` is a valid APK version.

    Raises:
        PackageFormatError: it is not.
    """
    if not is_version(text):
        raise PackageFormatError(f"invalid version {text!r}", hint="a version looks like 1.2.3, 1.2_rc1 or 1.2.3-r4")


@functools.lru_cache(maxsize=65536)
def _parse(text: str) -> tuple[_Part, ...]:
    """Return the parts of a version; one that is none ends where it stops being one."""
    match = _WHOLE.match(text)
    if match is None:
        return (_INVALID,)
    parts = [_Part(_Token.INITIAL, _number(match["initial"]), match["initial"])]
    parts += [_Part(_Token.DIGITS, _number(digits), digits) for digits in match["digits"].split(".")[1:]]
    if match["letter"]:
        parts.append(_Part(_Token.LETTER, ord(match["letter"]), match["letter"]))
    for name, number in _SUFFIX.findall(match["suffixes"]):
        parts.append(_Part(_Token.SUFFIX, _SUFFIXES[name], name))
        if number:
            parts.append(_Part(_Token.SUFFIX_NUMBER, _number(number), number))
    if match["hash"]:
        parts.append(_Part(_Token.HASH, 0, match["hash"]))
    if match["revision"]:
        parts.append(_Part(_Token.REVISION, _number(match["revision"]), match["revision"]))
    return (*parts, _END if match.end() == len(text) else _INVALID)


def _number(digits: str) -> int:
    """Return what digits are worth: Python refuses to read thousands of them, and only their order counts."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < _MOST_DIGITS else int.from_bytes(digits.encode())


def compare_versions(left: str, right: str, *, fuzzy: bool = False) -> int:
    """Return -1, 0 or 1 as `left` is older than, equal to or newer than `right`.

    With `fuzzy`, versions are also equal when `left` only goes on where `right` ends: `1.2.3` and `1.2`. What is no
    version is compared as far as it is one, as apk does.
    """
    for a, b in zip(_parse(left), _parse(right), strict=False):
        if a.token is not b.token:
            return _compare_tokens(a, b, fuzzy=fuzzy)
        order = _compare_parts(a, b)
        if order:
            return order
    return 0


def _compare_tokens(a: _Part, b: _Part, *, fuzzy: bool) -> int:
    if fuzzy and b.token is _Token.END:
        return 0
    if a.token is _Token.SUFFIX and a.number < _PLAIN:
        return -1
    if b.token is _Token.SUFFIX and b.number < _PLAIN:
        return 1
    return -1 if a.token > b.token else 1


def _compare_parts(a: _Part, b: _Part) -> int:
    as_text = a.token is _Token.HASH or (a.token is _Token.DIGITS and "0" in (a.text[0], b.text[0]))
    if as_text:
        return (a.text > b.text) - (a.text < b.text)
    return (a.number > b.number) - (a.number < b.number)


version_key = functools.cmp_to_key(compare_versions)
"""Sort key for version strings, oldest first."""
