"""Extended attributes have the same bytes on every machine."""

from __future__ import annotations

import struct

import pytest

from melpy.build.attribute import normalise_capability, pack_capability
from melpy.errors import PackageFormatError

BIND = 1 << 10
WANTED = struct.pack("<6I", 0x03000001, BIND, 0, 0, 0, 0)


def test_the_form_is_that_of_setcap_in_recipes() -> None:
    assert pack_capability(BIND, 0, effective=True) == WANTED
    assert pack_capability(1 << 39, 1 << 38, effective=False) == struct.pack("<6I", 0x03000000, 0, 0, 1 << 7, 1 << 6, 0)


@pytest.mark.parametrize(
    "value",
    [
        struct.pack("<3I", 0x01000001, BIND, 0),
        struct.pack("<5I", 0x02000001, BIND, 0, 0, 0),
        struct.pack("<6I", 0x03000001, BIND, 0, 0, 0, 1073742823),
        struct.pack("<6I", 0x03000001, BIND, 0, 0, 0, 100999),
    ],
)
def test_every_revision_and_root_id_becomes_one(value: bytes) -> None:
    assert normalise_capability(value) == WANTED


@pytest.mark.parametrize("value", [b"", b"\1", struct.pack("<6I", 0x04000001, BIND, 0, 0, 0, 0), WANTED[:-1]])
def test_what_is_no_capability(value: bytes) -> None:
    with pytest.raises(PackageFormatError, match="malformed file capabilities"):
        normalise_capability(value)
