"""The end of a run over several jobs, in words, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import IndexEntry, PackageInfo
from melpy.cli.summary import (
    check_reports,
    make_table,
    print_annotations,
    print_summary,
    render_summary,
    report_json,
)
from melpy.cli.table import fit_columns
from melpy.engine.model import BuiltPackage, JobReport
from melpy.errors import (
    BuildsFailedError,
    Place,
    StepFailedError,
    StepFault,
    UnresolvableError,
    UnsettledError,
    point_at,
)

if TYPE_CHECKING:
    from melpy.errors import MelpyError

LOG = """\
==> step 2/3: configure
a.c:1:1: error: of an earlier step
==> step 2/3: status 0 after 1.0 s
==> step 3/3: make
make all-recursive
main.c:3:10: fatal error: zlib.h: No such file or directory
compilation terminated.
make: *** [Makefile:3: main.o] Error 1
==> step ended in line 2
==> step 3/3: status 2 after 1.0 s
"""


def step_failure(job: str = "greet-1.0-r0/aarch64") -> MelpyError:
    error = StepFailedError(
        "step 3 of 3, 'make', ended with status 2",
        where=job,
        hint="look around where it failed: melpy shell greet --arch aarch64",
        details=["  | make: *** [Makefile:3: main.o] Error 1", "log: x", "workspace: y"],
    )
    error.step = StepFault(3, 2)
    point_at(error, Place("packages/greet.yaml", 12, 7), ["  12 | - runs: make"])
    return error


def report(
    job: str, outcome: str, because: str = "", failure: MelpyError | None = None, log: Path | None = None
) -> JobReport:
    name, _, arch = job.partition("/")
    return JobReport(
        job, f"packages/{name.rsplit('-', 2)[0]}.yaml", arch, outcome, because, failure, log, (("steps", 1.5),)
    )


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[JobReport]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    log = tmp_path / "greet.log"
    log.write_text(LOG)
    lost = UnresolvableError(
        "no package provides zlib-dev", where=Place("packages/lost.yaml", 4, 9), hint="add a recipe"
    )
    job = "greet-1.0-r0/aarch64"
    return [
        report("hello-2.10-r0/x86_64", "built"),
        report("hello-2.10-r0/aarch64", "cached"),
        report("zlib-1.3-r0/x86_64", "up-to-date"),
        report(job, "failed", "step 3 of 3, 'make', ended with status 2", step_failure(), log),
        report("lost-1-r0/x86_64", "failed", "", lost),
        *(report(f"user{number}-1-r0/aarch64", "skipped", job) for number in range(5)),
        report("other-1-r0/x86_64", "skipped", "lost-1-r0/x86_64"),
        report("libfoo-2-r0/x86_64", "held-back", "libfoo.so.1 goes, and bar-1-r0, which needs it, was not built"),
    ]


def test_what_was_not_built_is_told(reports: list[JobReport]) -> None:
    assert render_summary(reports) == [
        "failed:",
        "  greet-1.0-r0/aarch64: step 3 of 3, 'make', ended with status 2",
        "    main.c:3:10: fatal error: zlib.h: No such file or directory",
        "    log: greet.log",
        "    enter: melpy shell greet --arch aarch64",
        "  lost-1-r0/x86_64: packages/lost.yaml:4:9: no package provides zlib-dev",
        "    hint: add a recipe",
        "skipped:",
        "  because of greet-1.0-r0/aarch64: user0-1-r0/aarch64 user1-1-r0/aarch64 user2-1-r0/aarch64 … 2 more",
        "  because of lost-1-r0/x86_64: other-1-r0/x86_64",
        "held back:",
        "  libfoo.so.1 goes, and bar-1-r0, which needs it, was not built: libfoo-2-r0/x86_64",
    ]


def test_what_a_quarantine_stops_is_told_with_its_reason() -> None:
    reasons = {"bad": "quarantined until 2999-01-01: its tests hang", "user": "needs bad, which is quarantined"}
    assert render_summary([report(f"{name}-1-r0/x86_64", "skipped", why) for name, why in reasons.items()]) == [
        "skipped:",
        "  quarantined until 2999-01-01: its tests hang: bad-1-r0/x86_64",
        "  needs bad, which is quarantined: user-1-r0/x86_64",
    ]


def test_a_log_that_is_gone_leaves_the_details() -> None:
    job = "greet-1.0-r0/aarch64"
    lines = render_summary([report(job, "failed", "", step_failure(), Path("/nonexistent/greet.log"))])
    assert "    make: *** [Makefile:3: main.o] Error 1" in lines


def test_a_cycle_that_never_rests_names_the_files_that_differ() -> None:
    error = UnsettledError("still differs", details=["  hen: usr/share/hen"], hint="find out why")
    assert render_summary([report("hen-1.0-r0/x86_64", "failed", failure=error)]) == [
        "failed:",
        "  hen-1.0-r0/x86_64: still differs",
        "    hen: usr/share/hen",
        "    hint: find out why",
    ]


def test_a_failure_of_an_earlier_run_is_told_as_such() -> None:
    error = step_failure()
    error.details = (*error.details, "  it failed so before, with the same inputs; --retry-failed tries again")
    lines = render_summary([report("greet-1.0-r0/aarch64", "failed", failure=error)])
    assert lines[3:] == [
        "    it failed so before, with the same inputs; --retry-failed tries again",
        "    enter: melpy shell greet --arch aarch64",
    ]


def test_all_that_was_built_needs_no_words() -> None:
    assert render_summary([report("hello-2.10-r0/x86_64", "built")]) == []


def test_many_failures_are_cut() -> None:
    failed = [report(f"a{number}-1-r0/x86_64", "failed", "no reason") for number in range(25)]
    skipped = [report(f"b{number}-1-r0/x86_64", "skipped", f"a{number}-1-r0/x86_64") for number in range(25)]
    lines = render_summary([*failed, *skipped])
    assert lines.count("  … and 5 more, which melpy report shows") == 1
    assert lines[-1] == "  … and 15 more for 15 other reasons"
    assert len(lines) == 1 + 20 + 1 + 1 + 10 + 1


def test_the_table_fits_60_columns(reports: list[JobReport]) -> None:
    columns, rows = make_table(reports)
    assert [column.heading for column in columns] == ["Outcome", "x86_64", "aarch64", "all"]
    assert rows == [
        ("built", "1", "0", "1"),
        ("cached", "0", "1", "1"),
        ("up to date", "1", "0", "1"),
        ("failed", "1", "1", "2"),
        ("skipped", "1", "5", "6"),
        ("held back", "1", "0", "1"),
    ]
    natural = {
        number: max(map(len, [column.heading, *(row[number] for row in rows)])) for number, column in enumerate(columns)
    }
    assert fit_columns(columns, natural, 60) == natural
    columns, rows = make_table([report("a-1-r0/x86_64", "built")])
    assert [column.heading for column in columns] == ["Outcome", "x86_64"]
    assert rows == [("built", "1"), ("up to date", "0"), ("failed", "0")]


def test_the_table_is_data_and_the_rest_is_story(reports: list[JobReport], capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(reports, 192.0)
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in out.splitlines()] == ["all", "1", "1", "1", "2", "6", "1"]
    assert err.splitlines()[0] == "failed:"
    assert err.splitlines()[-1] == "12 jobs, 0 new packages in 3:12"


def test_github_gets_an_annotation_at_the_line_of_the_recipe(
    reports: list[JobReport], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_annotations(reports)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    print_annotations(reports)
    one, two = capsys.readouterr().err.splitlines()
    assert one == (
        "::error file=packages/greet.yaml,line=12,col=7,title=step-failed greet-1.0-r0/aarch64::"
        "greet-1.0-r0/aarch64: step 3 of 3, 'make', ended with status 2%0A  12 | - runs: make"
        "%0A  | make: *** [Makefile:3: main.o] Error 1%0Alog: x%0Aworkspace: y"
        "%0Ahint: look around where it failed: melpy shell greet --arch aarch64"
    )
    assert two.startswith(
        "::error file=packages/lost.yaml,line=4,col=9,title=unresolvable lost-1-r0/x86_64::no package"
    )


def test_a_failure_without_a_place_is_at_its_recipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    error = StepFailedError("bad: 100 %\n::error::x", where="greet-1.0-r0/aarch64")
    print_annotations([report("greet-1.0-r0/aarch64", "failed", "", error)])
    assert capsys.readouterr().err == (
        "::error file=packages/greet.yaml,title=step-failed greet-1.0-r0/aarch64::bad: 100 %25%0A::error::x\n"
    )


def test_the_error_counts(reports: list[JobReport]) -> None:
    check_reports([report("a-1-r0/x86_64", "built"), report("b-1-r0/x86_64", "up-to-date")])
    with pytest.raises(BuildsFailedError, match=r"^2 of 12 jobs failed$") as caught:
        check_reports(reports)
    assert caught.value.exit_status == 61


def test_json_has_all_of_a_job(reports: list[JobReport]) -> None:
    info = PackageInfo("hello", "2.10-r0", "x86_64", depends=("so:libc.so.6",))
    entry = IndexEntry(info, "Q1abc=", 1234)
    built = JobReport(
        "hello-2.10-r0/x86_64",
        "packages/hello.yaml",
        "x86_64",
        "built",
        stages=(("steps", 1.23456),),
        packages=(BuiltPackage(entry, (Path("out/x86_64/hello-2.10-r0.apk"),)),),
        seconds=2.0,
    )
    found = report_json(built)
    assert found["seconds"] == {"steps": 1.235}
    assert found["errors"] == []
    assert found["packages"] == [
        {
            "name": "hello",
            "version": "2.10-r0",
            "arch": "x86_64",
            "size": 1234,
            "checksum": "Q1abc=",
            "depends": ["so:libc.so.6"],
            "provides": [],
            "file": "out/x86_64/hello-2.10-r0.apk",
            "files": ["out/x86_64/hello-2.10-r0.apk"],
        }
    ]
    failed = report_json(reports[3])
    json.dumps(failed)
    assert (failed["outcome"], failed["enter"]) == ("failed", "melpy shell greet --arch aarch64")
    assert failed["cause"] == "main.c:3:10: fatal error: zlib.h: No such file or directory"
    errors = failed["errors"]
    assert isinstance(errors, list)
    assert [(one["code"], one["where"]) for one in errors] == [("step-failed", "packages/greet.yaml:12:7")]
