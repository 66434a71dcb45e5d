"""What terminals and logs show of a run over several jobs."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import ConsoleDimensions

from melpy import events
from melpy.cli.board import Board, Line, plain_text, render_board
from melpy.cli.live import Live
from melpy.cli.monitor import Plain
from tests.factories.events import FakeRun
from tests.factories.screen import Screen

WIDTHS = (60, 80, 120, 200)
JOB = "hello-2.10-r0/x86_64"


class FakeTerminal(io.StringIO):
    """A terminal, as far as Python can tell."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "16", "NO_COLOR": ""}.items():
        monkeypatch.setenv(name, value)
    return FakeTerminal()


def make_live(terminal: FakeTerminal, *, verbose: bool = False) -> Live:
    live = Live(verbose=verbose)
    live._console.file = terminal
    return live


def play(board: Board, run: FakeRun, until: float) -> None:
    for at, event in run.play():
        if at > until:
            return
        board.note(event, at)


def texts(lines: list[Line]) -> list[str]:
    return [plain_text(line) for line in lines]


def test_what_works_for_all_jobs_is_shown_while_it_works() -> None:
    board = Board()
    board.note(events.RunStarted("", 2, 1, (JOB, "one-1-r0/x86_64")), 0.0)
    board.note(events.Progress("seed", "packages converted", 1, 2), 1.0)
    assert [row.job for row in board.rows.values()] == ["seed"]
    board.note(events.Progress("seed", "packages converted", 2, 2), 2.0)
    assert board.rows == {}
    board.note(events.StageStarted(JOB, "environment"), 3.0)
    board.note(events.StageFinished(JOB, "environment", 1.0), 4.0)
    assert [row.job for row in board.rows.values()] == [JOB]


@pytest.mark.parametrize(("recipes", "workers"), [(20, 4), (3400, 64)])
def test_a_run_fits(recipes: int, workers: int) -> None:
    board = Board()
    play(board, FakeRun(recipes, workers, failing=0.02), 30)
    for width in WIDTHS:
        for height in (10, 24):
            shown = texts(render_board(board, width, height, 60.0))
            assert max(map(len, shown)) < width
            assert len(shown) < height
            assert f"{workers} running" in "\n".join(shown)


def test_a_build_is_shown_with_architecture_step_and_time() -> None:
    board = Board()
    board.note(events.RunStarted("", 3, 2), 0.0)
    board.note(events.JobStarted(JOB), 1.0)
    board.note(events.StepStarted(JOB, "autoconf/make", 3, 9), 2.0)
    board.note(events.JobStarted("libgreet-1.0-r0/aarch64"), 3.0)
    board.note(events.StageStarted("libgreet-1.0-r0/aarch64", "environment"), 3.0)
    board.note(events.Transfer("libgreet-1.0-r0/aarch64", "fetching packages", 1500, 6000), 4.0)
    board.note(events.JobSettled("done-1-r0/x86_64", "up-to-date"), 4.0)
    board.note(events.Forecast("", 720, 540, 1200), 64.0)
    assert texts(render_board(board, 60, 24, 74.0)) == [
        "  hello-2.10-r0   x86_64   3/9 autoconf/make           1:13",
        "  libgreet-1.0-r0 aarch64  fetching packages 1.5 k…    1:11",
        "  1/3 ━━━━━━━─────────────── 33 %  1:14, 12 min left (9-20)",
        "  2 running · 0 queued · 1 up to date",
    ]


@pytest.mark.parametrize(
    ("left", "low", "high", "age", "said"),
    [
        (45, 28, 64, 0, ", 45 s left (28-64)"),
        (720, 540, 1200, 10, ", 12 min left (9-20)"),
        (9720, 6840, 15840, 0, ", 2.7 h left (1.9-4.4)"),
        (100_000, 90_000, 120_000, 0, ", 28 h left (25-33)"),
        (60, 60, 60, 0, ", 60 s left"),
        (10, 5, 20, 15, ", 0 s left (0-5)"),
        (10, 5, 20, 30, ", later than estimated"),
    ],
)
def test_an_estimate_says_its_spread(left: float, low: float, high: float, age: float, said: str) -> None:
    board = Board()
    board.note(events.RunStarted("", 2, 1), 0.0)
    assert "left" not in texts(render_board(board, 80, 24, 1.0))[0]
    board.note(events.Forecast("", left, low, high), 1.0)
    assert texts(render_board(board, 80, 24, 1.0 + age))[0].endswith(said)


def test_a_job_that_is_built_again_is_shown_once() -> None:
    board = Board()
    board.note(events.RunStarted("", 2, 1), 0.0)
    for _ in range(3):
        board.note(events.JobStarted(JOB), 1.0)
        board.note(events.JobFinished(JOB, 1.0, ok=True), 2.0)
    assert len(board.rows) == 1
    board.note(events.JobSettled(JOB, "built"), 3.0)
    assert (board.rows, board.settled) == ({}, 1)


def failing(board: Live | Plain) -> None:
    board.emit(events.RunStarted("", 2, 1))
    board.emit(events.JobStarted(JOB, Path("out/hello.log")))
    board.emit(events.StepStarted(JOB, "autoconf/make", 3, 9))
    board.emit(events.Output(JOB, "| \x1b[31ma.c:1:1: error: no\u202e such\x07"))
    board.emit(events.Output(JOB, "| make: *** [a.o] Error 1"))
    board.emit(events.StepFinished(JOB, "autoconf/make", 3, 9, 1.0, 2))
    board.emit(events.JobFinished(JOB, 12.34, ok=False))
    board.emit(events.JobSettled(JOB, "failed", "step 3 of 9 ended with status 2", 12.34))


def test_a_failure_scrolls_up_at_once(terminal: FakeTerminal) -> None:
    screen = Screen(60)
    with make_live(terminal) as live:
        failing(live)
        deadline = time.monotonic() + 10
        while "failed" not in terminal.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        screen.feed(terminal.getvalue())
        assert screen.lines[:3] == [
            f"✗ {JOB} failed after 12.3 s: step 3/9 autocon",
            "f/make, status 2",
            r"    a.c:1:1: error: no\u202e such",
        ]
        assert screen.lines[3] == "    log: out/hello.log"
        assert "  0 running · 1 queued · 1 failed" in screen.lines
    screen = Screen(60)
    screen.feed(terminal.getvalue())
    assert screen.lines[4:] == [""]  # what went on is gone


def test_all_that_scrolls_is_there_in_the_end(terminal: FakeTerminal) -> None:
    run = FakeRun(20, 4, failing=0.1)
    told = [event for _, event in run.play()]
    with make_live(terminal) as live:
        for event in told:
            live.emit(event)
            if isinstance(event, events.JobSettled):
                time.sleep(0.01)
    screen = Screen(60)
    screen.feed(terminal.getvalue())
    shown = "\n".join(screen.lines)
    for event in told:
        if isinstance(event, events.JobSettled):
            word = {
                "built": f"✓ {event.job} built in",
                "cached": f"✓ {event.job} cached",
                "failed": f"✗ {event.job} failed",
            }
            assert word.get(event.outcome, "") in shown
            assert event.outcome in word or f" {event.job} " not in shown
        if isinstance(event, events.Warning):
            assert f"{event.job} warning: " in shown
    assert "running" not in shown


def test_a_narrower_terminal_has_folded_what_was_drawn(terminal: FakeTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make_live(terminal)
    live.emit(events.RunStarted("", 2, 1))
    live.emit(events.JobStarted(JOB))
    live.emit(events.Forecast("", 720, 540, 1200))
    live._console.size = ConsoleDimensions(120, 16)
    live._draw()
    assert [cells > 60 for cells in live._drawn] == [True, True, False]
    live._console.size = ConsoleDimensions(60, 16)
    terminal.truncate(terminal.seek(0))
    live._draw()
    up = re.search(r"\r\x1b\[(\d+)A\x1b\[J", terminal.getvalue())
    assert up
    assert int(up[1]) == 3 + 2  # three lines, of which two take two rows now


def test_colour_is_left_out_where_the_user_says_so(terminal: FakeTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with make_live(terminal) as live:
        failing(live)
    assert not re.search(r"\x1b\[(?:[0-9;]*;)?[34][0-9]", terminal.getvalue())


def test_an_event_costs_little(terminal: FakeTerminal) -> None:
    """6,800 jobs, and thousands of lines a second; measured: 2 µs an event."""
    told = [event for _, event in FakeRun(340, 32, output=100, failing=0.0).play()]
    live = make_live(terminal)
    start = time.process_time()
    for event in told:
        live.emit(event)
    assert (time.process_time() - start) / len(told) < 50e-6


def test_a_stopped_terminal_costs_no_memory(terminal: FakeTerminal) -> None:
    live = make_live(terminal, verbose=True)
    line = events.Output(JOB, "x")
    for _ in range(60_000):
        live.emit(line)
    assert len(live._scroll) == 50_000
    live.emit(events.Warning("", "careful"))
    assert len(live._scroll) == 50_001


@pytest.fixture
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITLAB_CI", raising=False)


@pytest.mark.usefixtures("no_service")
def test_a_log_has_a_line_for_each_job_that_something_was_done_for(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain()
    failing(plain)
    plain.emit(events.Warning("", "careful"))
    plain.emit(events.JobSettled("one-1-r0/x86_64", "skipped", JOB))
    plain.emit(events.JobSettled("six-1-r0/x86_64", "interrupted"))
    plain.emit(events.StepStarted("ten-1-r0/x86_64", "make", 1, 2))
    plain.emit(events.JobSettled("ten-1-r0/x86_64", "interrupted"))
    plain.emit(events.JobSettled("two-1-r0/x86_64", "up-to-date"))
    plain.emit(events.JobSettled("two-1-r0/x86_64", "cached"))
    plain.emit(events.JobSettled("two-1-r0/x86_64", "held-back", "three needs libtwo.so.1"))
    plain.emit(events.RunFinished("", 3.0))
    assert capsys.readouterr().err.splitlines() == [
        f"[{JOB}] failed after 12.3 s: step 3/9 autoconf/make, status 2 (1/2)",
        r"    a.c:1:1: error: no\u202e such",
        "    log: out/hello.log",
        "warning: careful",
        "[ten-1-r0/x86_64] interrupted (4/2)",
        "[two-1-r0/x86_64] cached (6/2)",
        "[two-1-r0/x86_64] held back: three needs libtwo.so.1 (7/2)",
    ]


@pytest.mark.usefixtures("no_service")
def test_a_quiet_run_tells_failures_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain(quiet=True)
    failing(plain)
    plain.emit(events.JobSettled("one-1-r0/x86_64", "built"))
    plain.emit(events.Warning("", "careful"))
    lines = capsys.readouterr().err.splitlines()
    assert [lines[0].split(":")[0], lines[-1]] == [f"[{JOB}] failed after 12.3 s", "warning: careful"]


@pytest.mark.usefixtures("no_service")
def test_a_verbose_run_has_the_job_before_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    failing(Plain(verbose=True))
    assert f"[{JOB}] | make: *** [a.o] Error 1" in capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("no_service")
def test_long_builds_are_told_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("melpy.cli.monitor.STILL", 0.1)
    plain = Plain()
    plain.emit(events.RunStarted("", 9, 4))
    for number in range(4):
        plain.emit(events.JobStarted(f"gcc{number}-14-r0/x86_64"))
    plain.emit(events.StepStarted("gcc0-14-r0/x86_64", "make", 2, 3))
    time.sleep(0.15)
    for _ in range(100):
        plain.emit(events.Output("gcc0-14-r0/x86_64", "| cc"))
    others = "gcc1-14-r0/x86_64 0:00, gcc2-14-r0/x86_64 0:00 and 1 more"
    assert capsys.readouterr().err == f"still building gcc0-14-r0/x86_64 2/3 make 0:00, {others} (0/9)\n"


def test_a_frame_that_stays_is_drawn_once(terminal: FakeTerminal) -> None:
    live = make_live(terminal)
    live.emit(events.RunStarted("", 2, 1))
    live._draw()
    drawn = terminal.getvalue()
    live._draw()
    assert terminal.getvalue() == drawn
    live.emit(events.JobStarted(JOB))
    live._draw()
    assert JOB.partition("/")[0] in terminal.getvalue()


def test_no_terminal_is_too_small(terminal: FakeTerminal) -> None:
    board = Board()
    play(board, FakeRun(20, 4, failing=0.02), 30)
    live = make_live(terminal)
    live.emit(events.RunStarted("", 2, 1))
    live.emit(events.StepStarted(JOB, "autoconf/make", 3, 9))
    for width in (*range(1, 60), 300):
        for height in (1, 2, 5, 100):
            render_board(board, width, height, 60.0)
            live._console.size = ConsoleDimensions(width, height)
            live._draw()
            assert max(live._drawn) <= max(1, width - 1)


def test_github_gets_a_group_for_each_build(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    plain = Plain()
    failing(plain)
    plain.emit(events.JobStarted("::error::x-1-r0/x86_64"))
    plain.emit(events.StepStarted("::error::x-1-r0/x86_64", "::add-mask::y", 1, 1))
    plain.emit(events.Output("::error::x-1-r0/x86_64", "| hidden, since it ended well"))
    plain.emit(events.StepFinished("::error::x-1-r0/x86_64", "::add-mask::y", 1, 1, 1.0, 0))
    plain.emit(events.JobSettled("::error::x-1-r0/x86_64", "built", "", 1.0))
    plain.emit(events.JobSettled("none-1-r0/x86_64", "cached"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"[{JOB}] failed after 12.3 s: step 3/9 autoconf/make, status 2 (1/2)",
        r"    a.c:1:1: error: no\u202e such",
        "    log: out/hello.log",
        f"::group::{JOB}",
        "building, log: out/hello.log",
        "step 3/9: autoconf/make",
        r"  | a.c:1:1: error: no\u202e such",
        "  | make: *** [a.o] Error 1",
        "step autoconf/make failed with status 2 after 1.0 s",
        "failed after 12.3 s",
        "::endgroup::",
        "[::error::x-1-r0/x86_64] built in 1.0 s (2/2)",
        "::group::::error::x-1-r0/x86_64",
        "building",
        "step 1/1: ::add-mask::y",
        "::endgroup::",
        "[none-1-r0/x86_64] cached (3/2)",
    ]


def test_gitlab_gets_a_section_for_each_build(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITLAB_CI", "true")
    failing(Plain())
    err = capsys.readouterr().err
    begin = re.search(r"\x1b\[0Ksection_start:(\d+):(\w+)\[collapsed=true\]\r\x1b\[0K(.*)\n", err)
    end = re.search(r"\x1b\[0Ksection_end:(\d+):(\w+)\r\x1b\[0K\n", err)
    assert begin
    assert end
    assert (begin[2], begin[3], int(end[1]) - int(begin[1])) == (end[2], JOB, 12)


def test_a_line_with_tabs_takes_one_line(terminal: FakeTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(120)
    with make_live(terminal) as live:
        monkeypatch.setattr(live, "_size", lambda: (120, 16))
        live.emit(events.RunStarted("", 2, 1))
        live.emit(events.JobStarted(JOB, Path("out/hello.log")))
        live.emit(events.StepStarted(JOB, "runs", 2, 2))
        for number in range(4):
            live.emit(events.Output(JOB, f"| \t-o {number}\t./src/hello.c\t-lm"))
            live._draw()
        screen.feed(terminal.getvalue())
        assert [" ".join(line.split()) for line in screen.lines if "hello-2.10-r0" in line] == [
            "hello-2.10-r0 x86_64 2/2 runs -o 3 ./src/hello.c -lm 0:00"
        ]


def test_a_build_that_waits_is_not_told_to_run() -> None:
    board = Board()
    board.note(events.RunStarted("", 3, 2), 0.0)
    for job in (JOB, "libgreet-1.0-r0/aarch64"):
        board.note(events.JobStarted(job), 1.0)
        board.note(events.StageStarted(job, "sources"), 1.0)
    board.note(events.StageFinished(JOB, "sources", 1.0), 2.0)  # it waits for a processor
    shown = "\n".join(texts(render_board(board, 80, 24, 9.0)))
    assert "hello" not in shown
    assert "1 running · 2 queued" in shown
    board.note(events.JobFinished("libgreet-1.0-r0/aarch64", 3.0, ok=True), 3.0)  # the rest of its cycle is not built
    board.note(events.StageStarted(JOB, "root"), 3.0)
    shown = "\n".join(texts(render_board(board, 80, 24, 9.0)))
    assert "libgreet" not in shown
    assert "1 running · 2 queued" in shown


def test_a_failure_before_the_steps_names_no_log() -> None:
    board = Board()
    board.note(events.RunStarted("", 2, 1), 0.0)
    board.note(events.JobStarted(JOB, Path("out/hello.log")), 1.0)
    board.note(events.StageStarted(JOB, "sources"), 1.0)
    board.note(events.JobFinished(JOB, 2.0, ok=False), 3.0)
    settled = events.JobSettled(JOB, "failed", "hello.yaml:9:7: it cannot be fetched", 2.0)
    assert board.describe_settled(settled) == ("failed after 2.0 s: hello.yaml:9:7: it cannot be fetched", [])


@pytest.mark.parametrize("width", range(30, 100))
def test_counts_are_whole_in_every_width(width: int) -> None:
    board = Board()
    board.note(events.RunStarted("", 60, 2), 0.0)
    for outcome, number in (("built", 7), ("cached", 3), ("up-to-date", 30)):
        for _ in range(number):
            board.note(events.JobSettled(JOB, outcome), 1.0)
    lines = texts(render_board(board, width, 24, 2.0))
    assert " · ".join(line.strip() for line in lines[1:]) == (
        "0 running · 20 queued · 7 built · 3 cached · 30 up to date"
    )
    assert max(map(len, lines[1:])) < width
