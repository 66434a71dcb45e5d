"""Recordings of runs that a kill cut off, and timelines of any run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melpy.cli.page import render_page
from melpy.engine.recording import load_recording
from melpy.engine.timeline import make_timeline
from melpy.engine.trace import render_trace
from melpy.errors import ValueFormatError
from tests.factories.events import FakeRun, record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "whole.jsonl"
    record(path, FakeRun(20, 4, failing=0.1))
    return path


@given(cut=st.integers(0, 100_000))
def test_wherever_it_is_cut_it_can_be_read(cut: int, whole: Path) -> None:
    data = whole.read_bytes()
    path = whole.with_name("cut.jsonl")
    path.write_bytes(data[: cut % len(data)])
    if b"\n" not in path.read_bytes():
        with pytest.raises(ValueFormatError):
            load_recording(path)
        return
    timeline = make_timeline(load_recording(path))
    assert not timeline.is_whole
    render_trace(timeline)
    render_page(timeline)
