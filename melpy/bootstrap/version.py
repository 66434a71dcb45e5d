"""Debian versions become APK versions that apk-tools, apko and melange read, in the same order.

apko and melange take numbers with dots, one letter, at most one suffix before the plain version (alpha, beta, pre, rc)
and one after it (p), and a release, each number below 2^63. deb-version(7) allows texts and numbers in turn without
end. Upstream's leading numbers stay, Debian's revision is `_p`: `2.41-12` becomes `2.41_p12-r0`. The rest of a version
is written as numbers that sort as it does (`melpy.bootstrap.versioncode`):

- The rest of the revision is the release: `5.2.37-2+b10` becomes `5.2.37_p2-r510200000000000000`, which is 5 for `+b`,
  10, and 2 for the end. A rest with a tilde sorts below the plain revision: `1.0-2~deb13u1` counts as revision 1 with a
  release above all others, `1.0_p1-r1051336012000000000`.
- The rest of upstream's version is a letter if it is one, or `+dfsg` (x), or `+ds` (y). Otherwise it is the number of a
  suffix: `_pre` with the letter that is the next above it (`10.0p1` is just below 10.0q), or one of the four without a
  letter for a tilde (`2.0~rc1` is `2.0_rc...`). `1.3.dfsg` sorts above `1.3.N` for every N: its third number is 10^18.
  A rest that is too long for a suffix goes on in the revision and the release, which then hold nothing readable.
- The epoch counts last, as the last digit of the release. Recipes ask for upstream's versions (`git>=2.40`,
  `zlib-dev~1.3`), and APK has nothing that sorts before the first number.

Within an epoch the order is exact. Versions that differ only far behind (after some 180 bits of upstream's rest and the
revision, or 17 digits of the revision's rest) can become one; they never change places. Of the 53,752 versions of
trixie, bookworm, sid and their updates, security and backports none become one. Of their 88,972 packages 76 have
versions of two epochs; where upstream's numbers fell, the later version sorts below the earlier one. In trixie with its
updates, security and backports these are 3 packages: ckermit, libxrt-dev and libxrt-utils.
"""

from __future__ import annotations

import bisect
import math
import re

from melpy.bootstrap.versioncode import encode_digits, encode_parts

_HEAD = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_REALLY = re.compile(r".*\+really([0-9].*)")
_READABLE = re.compile(
    r"(?P<head>[0-9]+(?:\.[0-9]+)*)(?P<letter>[a-z](?![a-z0-9]))?(?:~?(?P<pre>alpha|beta|rc)(?P<n>[0-9]*))?"
)
_LIMIT = 2**63  # apko reads numbers with strconv.Atoi
_WIDTH = 18  # so many digits always fit
_ABOVE = 10**_WIDTH
_EPOCHS = 10
_RELEASE_WIDTH = _WIDTH - 1
_LETTERS = [encode_digits(rest) for rest in (*"abcdefghijklmnopqrstuvw", "+dfsg", "+ds")]  # a to y
_KINDS = ("alpha", "beta", "pre", "rc")
_KIND_DIGITS = [encode_digits(f"~{kind}") for kind in _KINDS[1:]]


def map_version(version: str) -> str:
    """Return the APK version for a Debian one; see the module for what is kept of the order."""
    epoch, upstream, revision = _split(version)
    head, rest = _split_head(upstream)
    suffixes, release = _map_rest(rest, revision)
    return f"{head}{suffixes}-r{release * _EPOCHS + min(epoch, _EPOCHS - 1)}"


def readable_version(version: str) -> str:
    """Return upstream's version as a recipe would write it, with Debian's revision as release: `1.3.1-r1`.

    This is what packages that only stand for others carry; it may put two Debian versions in one.
    """
    _, upstream, revision = _split(version)
    really = _REALLY.fullmatch(upstream)
    match = _READABLE.match(really[1] if really else upstream)
    if match is None:
        return "0-r0"
    text = ".".join(str(_number(number)) for number in match["head"].split(".")) + (match["letter"] or "")
    if match["pre"]:
        text += f"_{match['pre']}{_number(match['n']) if match['n'] else ''}"
    release = re.match(r"[0-9]+", revision)
    return f"{text}-r{_number(release[0]) if release else 0}"


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not (colon and re.fullmatch("[0-9]+", epoch)):
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-")
    # Without a revision, rpartition leaves everything in its last part. No revision is the same as revision 0.
    return (_number(epoch), upstream, revision) if upstream else (_number(epoch), revision, "0")


def _number(digits: str) -> int:
    """Return what digits are worth, at most what every client reads."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _WIDTH else _ABOVE - 1


def _split_head(upstream: str) -> tuple[str, str]:
    """Return the numbers that stay as they are, and what follows them."""
    match = _HEAD.match(upstream)
    if match is None:  # dpkg takes no such version
        return "0" if upstream[:1] in ("", "~") else str(_ABOVE), upstream
    numbers = [_number(number) for number in match[0].split(".")]
    rest = upstream[match.end() :]
    if rest == ".":  # the number that is missing is 0
        numbers, rest = [*numbers, 0], ""
    elif _is_above_numbers(rest):
        numbers.append(_ABOVE)
    return ".".join(map(str, numbers)), rest


def _is_above_numbers(rest: str) -> bool:
    """Tell whether what follows upstream's numbers sorts above any further number."""
    return rest[:1] in {".", ":"} and rest[:2] != ".~"


def _map_rest(rest: str, revision: str) -> tuple[str, int]:
    """Return letter and suffixes for what follows upstream's numbers, and the release without the epoch."""
    digits = encode_digits(rest)
    place = bisect.bisect_left(_LETTERS, digits)
    letter, kind = chr(ord("a") + place), "pre"
    if not rest or digits in _LETTERS:
        suffix, release = _map_revision(revision)
        return f"{letter if rest else ''}{suffix}", release
    if rest[0] == "~":
        letter, kind = "", _KINDS[bisect.bisect_right(_KIND_DIGITS, digits)]
    elif _is_above_numbers(rest):
        letter = ""
    low, high = encode_parts(rest)
    number = math.ceil(low * _LIMIT)
    if number + 1 <= high * _LIMIT:  # no other rest has this number
        suffix, release = _map_revision(revision)
        return f"{letter}_{kind}{number}{suffix}", release
    low, _ = encode_parts(rest, revision)
    number, left = divmod(low * _LIMIT, 1)
    patch, left = divmod(left * _LIMIT, 1)
    return f"{letter}_{kind}{number}_p{patch}", math.floor(left * (_LIMIT // _EPOCHS))


def _map_revision(revision: str) -> tuple[str, int]:
    """Return the suffix for a revision's first number, and the release without the epoch for the rest of it."""
    first = re.match(r"[0-9]+", revision)
    if first is None:  # above all numbers, or below
        return "" if revision[:1] == "~" else f"_p{_ABOVE}", _release(revision)
    number, rest = _number(first[0]), revision[first.end() :]
    if rest[:1] == "~":
        return f"_p{number - 1}" if number else "", _ABOVE // _EPOCHS + _release(rest)
    return f"_p{number}", _release(rest) if rest else 0


def _release(rest: str) -> int:
    return int(encode_digits(rest)[:_RELEASE_WIDTH].ljust(_RELEASE_WIDTH, "0"))
