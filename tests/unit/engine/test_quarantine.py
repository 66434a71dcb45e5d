"""The quarantine list: what counts, what has expired, and where a mistake is."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from melpy.cli.report import render_error, render_warning
from melpy.engine.quarantine import load_quarantine
from melpy.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.engine.quarantine import Quarantine

TODAY = date(2027, 1, 31)
GOOD = """\
# recipes that wait for others
[[quarantine]]
recipe = "py3-*"
reason = "waits for\\n  Python 3.14"
until = 2027-01-31
arch = "arm64"

[[quarantine]]
recipe = "old"
reason = "tests fail"
until = 2027-01-30
"""


def load(path: Path, text: str) -> Quarantine:
    (path / "quarantine.toml").write_text(text)
    return load_quarantine(path / "quarantine.toml", TODAY)


def test_an_entry_counts_to_the_end_of_its_last_day(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD)
    entry = found.find("py3-x", "aarch64")
    assert entry
    assert entry.told == "quarantined until 2027-01-31: waits for Python 3.14"
    assert found.find("py3-x", "x86_64") is None
    assert found.find("old", "x86_64") is None
    assert [entry.recipe for entry in found.expired] == ["old"]


def test_an_expired_entry_is_named(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, GOOD).find_warnings()
    told = "the quarantine of old ended on 2027-01-30, so it is built again (tests fail)"
    assert render_warning(warning) == [
        f"warning: {tmp_path}/quarantine.toml:8:1: {told}",
        "hint: remove the entry, or give it a later day",
    ]


def test_an_empty_list_stops_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "").entries == ()


MISTAKES = {
    "unknown key of an entry": (
        GOOD.replace("reason =", "raeson =", 1),
        "4:1: unknown key 'raeson'",
        "did you mean 'reason'?",
    ),
    "unknown key": ("recipes = 1\n" + GOOD, "1:1: unknown key 'recipes'", "entries are [[quarantine]] tables"),
    "unknown table": (GOOD + "[quarantined]\nx = 1\n", "12:2: unknown key 'quarantined'", None),
    "no reason": (
        '[[quarantine]]\nrecipe = "x"\nuntil = 2027-02-01\n',
        "1:1: the entry has no key 'reason'",
        "say why",
    ),
    "no day": ('[[quarantine]]\nrecipe = "x"\nreason = "y"\n', "1:1: the entry has no key 'until'", None),
    "empty reason": (GOOD.replace('"tests fail"', '" "'), "10:1: reason is no text: ' '", 'write reason = "…"'),
    "quoted day": (
        GOOD.replace("2027-01-30", '"2027-01-30"'),
        "11:1: until is no day: '2027-01-30'",
        "write a day as 2027-01-31, without quotes",
    ),
    "time": (GOOD.replace("2027-01-30", "2027-01-30T10:00:00"), "11:1: until is no day: '2027-01-30 10:00:00'", None),
    "no such day": (
        GOOD.replace("2027-01-30", "2027-02-30"),
        "11:9: is not TOML: Invalid date",
        "write a day as 2027-01-31, without quotes",
    ),
    "day first": (GOOD.replace("2027-01-30", "30.01.2027"), "11:", "write a day as 2027-01-31, without quotes"),
    "architecture": (GOOD.replace("arm64", "arm65"), "6:1: unknown architecture 'arm65'", "did you mean 'arm64'?"),
    "architectures": (GOOD.replace('"arm64"', "64"), "6:1: arch is no list of texts: '64'", 'write arch = ["aarch64"]'),
    "no list": ('[quarantine]\nrecipe = "x"\n', ": quarantine is no list of tables", "begin each entry with"),
    "no TOML": ("[[quarantine\n", "1:13: is not TOML: ", None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, mistake: str) -> None:
    text, said, hint = MISTAKES[mistake]
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    first, *others = render_error(caught.value)
    separator = "" if said.startswith(":") else ":"
    assert first.startswith(f"error: {tmp_path}/quarantine.toml{separator}{said}")
    if hint:
        assert any(line.startswith("hint: ") and hint in line for line in others), others


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the quarantine list cannot be read: no such file"):
        load_quarantine(tmp_path / "none.toml", TODAY)
    (tmp_path / "latin.toml").write_bytes(b"\xe4")
    with pytest.raises(SettingsError, match="is not TOML: it is not UTF-8"):
        load_quarantine(tmp_path / "latin.toml", TODAY)
