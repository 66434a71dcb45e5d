"""Numbers, times, names and files of strangers: what is taken, and what is refused before it is used."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from melpy.bound import (
    LARGEST_TIME,
    BoundError,
    check_path,
    clamp_time,
    parse_json,
    parse_number,
    parse_time,
    read_file,
    shorten,
)
from melpy.errors import UnreachableError
from melpy.inside import find_below, open_below, open_file_below, open_root
from melpy.source.place import make_candidate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("+5", 5), (str(2**63 - 1), 2**63 - 1)])
def test_numbers(text: str, number: int) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "abc", "1.5", "9" * 5000, str(2**63), "٣", " 1", "1\n", "0x1", "1_000"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(BoundError) as caught:
        parse_number(text)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("text", "time"), [("1.5", 1.5), ("-3", -3), ("1700000000.123456789", 1700000000.1234567), ("9" * 60, LARGEST_TIME)]
)
def test_times(text: str, time: float) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e300", "", "soon", "9" * 5000, "1_0", "--1"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BoundError):
        parse_time(text)


def test_every_time_can_be_given_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    for time in (2**63 - 1, -(2**63), 1e300, 0):
        os.utime(path, (clamp_time(time), clamp_time(time)))


@pytest.mark.parametrize(
    ("path", "parts"), [("a/b", ("a", "b")), ("/a//./b/", ("a", "b")), ("", ()), ("a" * 255, ("a" * 255,))]
)
def test_paths(path: str, parts: tuple[str, ...]) -> None:
    assert check_path(path) == parts


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../x", "leads up"),
        ("a/../b", "leads up"),
        ("a\0b", "NUL"),
        ("a" * 256, "name of more than 255 bytes"),
        ("ü" * 128, "name of more than 255 bytes"),
        ("a/" * 257, "deeper than 256"),
        ("a/" * 10_000, "path of more than 4095 bytes"),
        ("\ud800", "no character"),
    ],
)
def test_paths_that_are_refused(path: str, message: str) -> None:
    with pytest.raises(BoundError, match=message):
        check_path(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", b"\xff\xfe\xfd"])
def test_json_that_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"too deep|limit|Expecting|decode"):
        parse_json(text)


def test_values_are_shown_short_and_without_controls() -> None:
    assert shorten("a\x1b[31m") == repr("a\x1b[31m")
    assert len(shorten("x" * 10**6)) < 60
    assert shorten(b"\xff\0") == repr("\\xff\0")


def test_only_regular_files_are_read_and_only_so_far(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "fifo")
    assert read_file(tmp_path / "file", 5) == b"12345"
    for name, limit, message in (
        (tmp_path / "file", 4, "has more than 4 bytes"),
        (tmp_path / "fifo", 9, "is no regular file"),
        (Path("/dev/zero"), 9, "is no regular file"),
        (tmp_path, 9, "Is a directory"),
        (tmp_path / "none", 9, "No such file"),
    ):
        with pytest.raises(OSError, match=message):
            read_file(name, limit)


def test_names_stay_below_their_directory(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for directory in (root / "deep", outside):
        directory.mkdir(parents=True)
    (root / "deep/file").write_text("mine")
    (outside / "secret").write_text("secret")
    (root / "inner").symlink_to("deep/file")
    (root / "out").symlink_to("../outside")
    (root / "deep/up").symlink_to("../../outside/secret")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    for name in ("deep/file", "/deep//file", "inner"):
        with open_file_below(root, name) as stream:
            assert stream.read() == b"mine"
    for name in ("", "..", "../outside/secret", "out/secret", "deep/up", "deep/../../outside/secret", "a\0b", "loop"):
        with pytest.raises((BoundError, OSError)):
            find_below(root, name)
    with pytest.raises(OSError, match="is no regular file"):
        open_file_below(root, "fifo")
    with pytest.raises(OSError, match="No such file"):
        find_below(root, "none")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "", "/", "a\0", "x" * 300])
def test_no_place_is_outside_of_its_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreachableError):
        make_candidate(tmp_path, name)


def interrupted(function: Callable[[], object], number: int) -> tuple[bool, type[BaseException] | None]:
    """Interrupt a function at its instruction of that number; tell whether it has so many, and what came out."""
    left = number

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if not left:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except BaseException as error:
        return True, type(error)
    finally:
        sys.settrace(before)
    return left <= 0, None  # Python itself drops what is raised where a generator is taken away


def open_and_close(root: Path) -> None:
    with open_root(root) as descriptor, open_below(descriptor, ["a", "b"]):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "function",
    [
        lambda root: read_file(root / "a/b/file"),
        lambda root: open_file_below(root, "a/b/file").close(),
        open_and_close,
    ],
)
def test_an_interrupt_comes_out_as_one(tmp_path: Path, function: Callable[[Path], object]) -> None:
    """A descriptor that was closed twice came out as `bad file descriptor`, where melpy said that it cannot read."""
    directory = tmp_path / "a/b"
    directory.mkdir(parents=True)
    (directory / "file").write_bytes(b"text")
    for number in range(1, 10_000):
        has_so_many, error = interrupted(partial(function, tmp_path), number)
        if not has_so_many:
            assert number > 20
            return
        assert error in {KeyboardInterrupt, None}, number
    raise AssertionError("it has no end")
