"""A directory of recipes in one command: in order, on past failures, and nothing again that is up to date."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from melpy.apk.index import read_entries
from melpy.repo.repository import load_index
from tests.factories.project import Project, shell_recipe
from tests.factories.project import file_recipe as recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factories.repository import Repository


def build(project: Project, *arguments: str, status: int = 0, force: bool = False) -> dict[str, dict[str, Any]]:
    """Run `melpy build --json` and return what became of each recipe, by name."""
    result = project.melpy("build", "--json", *(arguments or (".",)), force=force)
    assert result.returncode == status, result.stdout + result.stderr
    return {job["job"].rsplit("-", 2)[0]: job for job in json.loads(result.stdout) if job["job"]}


def outcomes(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: job["outcome"] for name, job in found.items()}


def provided(project: Project, name: str) -> tuple[str, ...]:
    (entry,) = [one for one in read_entries(load_index(project.out, "x86_64", keyring=None)) if one.info.name == name]
    return entry.info.provides


@pytest.fixture
def chain(project: Project) -> Project:
    """Base, what needs it, what needs that, and a recipe that needs none of them."""
    project.write("base.yaml", recipe("base"))
    project.write("middle.yaml", recipe("middle", "base", runs="cat /usr/share/base > ${{targets.destdir}}/copy"))
    project.write("top.yaml", recipe("top", "middle", runs="cat /copy > ${{targets.destdir}}/seen"))
    project.write("other.yaml", recipe("other"))
    return project


def test_a_second_run_builds_nothing(chain: Project) -> None:
    assert outcomes(build(chain)) == dict.fromkeys(["base", "middle", "other", "top"], "built")
    before = chain.packages()
    assert outcomes(build(chain)) == dict.fromkeys(["base", "middle", "other", "top"], "up-to-date")
    assert chain.packages() == before
    single = chain.melpy("build", "other.yaml", force=False)
    assert single.returncode == 0
    assert "other-1.0-r0/x86_64 is up to date; --force builds it again" in single.stderr


def test_a_cycle_that_cannot_be_cut_stops_no_recipe_that_has_nothing_to_do_with_it(chain: Project) -> None:
    chain.write("egg.yaml", recipe("egg", "hen"))
    chain.write("hen.yaml", recipe("hen", "egg"))
    assert outcomes(build(chain, "middle.yaml")) == {"base": "built", "middle": "built"}
    for named in (".", "hen.yaml", "egg.yaml"):
        result = chain.melpy("build", named)
        assert (result.returncode, "these recipes need one another: egg -> hen -> egg" in result.stderr) == (30, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: f"# a comment\n{text}",
        lambda text: f"{text}\nupdate:\n  enabled: true\n  manual: true\n",
        lambda text: f"{text}\ntest:\n  pipeline:\n    - runs: 'true'\n",
    ],
)
def test_what_changes_no_package_builds_nothing(chain: Project, change: Any) -> None:
    build(chain)
    chain.write("base.yaml", change(recipe("base")))
    assert set(outcomes(build(chain)).values()) == {"up-to-date"}


def test_nothing_to_do_is_told_without_a_graph(chain: Project) -> None:
    """What is known of the whole run says nothing any more once a file that a build follows from is another one."""
    use = "\n  - uses: said\n"
    pipeline = "pipeline:\n  - runs: mkdir -p ${{targets.destdir}} && echo %s > ${{targets.destdir}}/said\n"
    chain.write("pipelines/said.yaml", pipeline % "one")
    chain.write("top.yaml", recipe("top", "middle", tail=use))
    build(chain)

    def has_order() -> bool:
        assert set(outcomes(build(chain, "--events", "events", ".")).values()) == {"up-to-date"}
        first = json.loads((chain.directory / "events").read_text().splitlines()[1])
        assert first["event"]["type"] == "RunStarted"
        return any(first["event"]["waits"])

    assert not has_order()
    (chain.out / "x86_64/new-1-r0.apk").write_text("of another")
    assert has_order()
    assert not has_order()
    chain.write("pipelines/said.yaml", pipeline % "two")
    assert outcomes(build(chain)) == {
        "base": "up-to-date",
        "middle": "up-to-date",
        "top": "built",
        "other": "up-to-date",
    }
    (chain.out / "x86_64/base-1.0-r0.apk").unlink()
    assert outcomes(build(chain))["base"] == "cached"


def test_a_change_builds_what_sees_it(chain: Project) -> None:
    """One that comes out the same ends where it is made."""
    build(chain)
    chain.write("base.yaml", recipe("base", runs="echo said"))
    assert outcomes(build(chain)) == {
        "base": "built",
        "middle": "up-to-date",
        "top": "up-to-date",
        "other": "up-to-date",
    }
    chain.write("base.yaml", recipe("base", runs="echo more >> ${{targets.destdir}}/usr/share/base"))
    assert outcomes(build(chain)) == {"base": "built", "middle": "built", "top": "built", "other": "up-to-date"}


def test_results_come_from_the_cache_where_the_repository_lacks_them(chain: Project) -> None:
    build(chain)
    before = chain.packages()
    shutil.rmtree(chain.out)
    assert set(outcomes(build(chain)).values()) == {"cached"}
    assert chain.packages() == before
    (damaged,) = chain.directory.glob("cache/results/by-key/*/x86_64/top-1.0-r0.apk")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    shutil.rmtree(chain.out)
    found = outcomes(build(chain))
    assert (found.pop("top"), set(found.values())) == ("built", {"cached"})


def test_a_failure_skips_what_needs_it_and_no_more(chain: Project) -> None:
    chain.write("middle.yaml", recipe("middle", "base", runs="echo wrong; exit 3"))
    found = build(chain, status=61)
    assert outcomes(found) == {"base": "built", "other": "built", "middle": "failed", "top": "skipped"}
    assert found["top"]["because"] == "middle-1.0-r0/x86_64"
    assert sorted(chain.packages()) == ["x86_64/base-1.0-r0.apk", "x86_64/other-1.0-r0.apk"]
    # The failure is remembered, and told at once.
    (chain.out / "logs/x86_64/middle-1.0-r0.log").unlink()
    again = build(chain, status=61)
    assert outcomes(again) == {"base": "up-to-date", "other": "up-to-date", "middle": "failed", "top": "skipped"}
    assert not (chain.out / "logs/x86_64/middle-1.0-r0.log").exists()
    assert "--retry-failed" in json.dumps(again["middle"]["errors"])
    build(chain, ".", "--retry-failed", status=61)
    assert (chain.out / "logs/x86_64/middle-1.0-r0.log").exists()
    chain.write("middle.yaml", recipe("middle", "base", runs="touch ${{targets.destdir}}/copy"))
    assert outcomes(build(chain)) == {"base": "up-to-date", "other": "up-to-date", "middle": "built", "top": "built"}


def test_enough_failures_end_a_run(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.write(f"{name}.yaml", recipe(name, runs="exit 1"))
    found = build(project, ".", "-j", "1", "--max-failures", "2", "--events", "run.jsonl", status=61)
    assert sorted(outcomes(found).values()) == ["failed", "failed", "stopped"]
    reason = "the run stopped after 2 failures, as --max-failures says"
    assert [job["because"] for job in found.values() if job["outcome"] == "stopped"] == [reason]
    settled = [json.loads(line).get("event", {}) for line in (project.directory / "run.jsonl").read_text().splitlines()]
    assert [one["because"] for one in settled if one.get("outcome") == "stopped"] == [reason]
    run = project.melpy("build", "-j", "1", "--max-failures", "1", "--retry-failed", ".", force=False)
    assert run.returncode == 61
    assert re.search(r"^not begun +2$", run.stdout, re.MULTILINE)
    lines = run.stderr.splitlines()
    start = lines.index("not begun:")
    assert lines[start + 1].startswith("  the run stopped after 1 failure, as --max-failures says: ")
    assert "error: 1 of 3 jobs failed, and 2 not begun after that" in lines
    assert not [line for line in lines if line.startswith("[") and "not begun" in line]


def test_failures_count_over_the_parts_of_a_run(project: Project) -> None:
    """What asks for a name that is known once others are built is built after these."""
    program = "mkdir -p ${{targets.destdir}}/usr/bin\nprintf '#!/bin/sh\\n' > ${{targets.destdir}}/usr/bin/zprogram\n"
    project.write("zmaker.yaml", recipe("zmaker", runs=f"{program}chmod 755 ${{{{targets.destdir}}}}/usr/bin/zprogram"))
    project.write("bad.yaml", recipe("bad", runs="exit 1"))
    for name in ("auser", "buser"):
        project.write(f"{name}.yaml", recipe(name, "cmd:zprogram", runs="exit 1"))
    once = build(project, ".", "--max-failures", "1", "-j", "1", status=61)
    assert {once[name]["outcome"] for name in ("auser", "buser")} == {"stopped"}
    twice = build(project, ".", "--max-failures", "2", "-j", "1", status=61)
    assert sorted(twice[name]["outcome"] for name in ("auser", "buser")) == ["failed", "stopped"]


@pytest.mark.parametrize("number", [2, 5])
def test_a_cycle_is_built_from_outside_and_comes_to_rest(
    project: Project, toy_repository: Repository, number: int
) -> None:
    names = [f"round{letter}{number}" for letter in "abcde"[:number]]
    for name, need in zip(names, [*names[1:], names[0]], strict=True):
        copy = f"cat /usr/share/{need} > ${{{{targets.destdir}}}}/usr/share/{name}.need 2>/dev/null || true"
        project.write(f"{name}.yaml", recipe(name, need, runs=copy))
        toy_repository.add(name, version="0-r0")
    project.write("zlast.yaml", recipe("zlast", names[0]))
    assert outcomes(build(project)) == dict.fromkeys([*names, "zlast"], "built")
    for name in names:  # each was made with the others as they are now, and not with those from outside
        record = json.loads((project.out / f"logs/x86_64/{name}-1.0-r0.json").read_text())
        assert record["ok"]
    before = project.packages()
    assert outcomes(build(project)) == dict.fromkeys([*names, "zlast"], "up-to-date")
    assert project.packages() == before
    project.write(f"{names[0]}.yaml", recipe(names[0], names[1], runs="touch ${{targets.destdir}}/new"))
    found = outcomes(build(project))
    assert found[names[0]] == "built"
    assert outcomes(build(project)) == dict.fromkeys([*names, "zlast"], "up-to-date")


def test_a_cycle_that_never_rests_is_an_error(project: Project, toy_repository: Repository) -> None:
    chance = "cat /proc/sys/kernel/random/uuid > ${{targets.destdir}}/usr/share/chance"
    copy = "cp /usr/share/chance ${{targets.destdir}}/usr/share/seen 2>/dev/null || true"
    for name, need, runs in (("tick", "tock", chance), ("tock", "tick", copy)):
        project.write(f"{name}.yaml", recipe(name, need, runs=runs))
        toy_repository.add(name, version="0-r0")
    found = build(project, status=61)
    assert outcomes(found) == {"tick": "failed", "tock": "failed"}
    (error,) = found["tick"]["errors"]
    assert error["code"] == "unsettled"
    assert "usr/share/chance" in json.dumps(error["details"])


def test_a_build_that_needs_itself_takes_what_is_published_elsewhere(
    project: Project, toy_repository: Repository
) -> None:
    toy_repository.add("selfish", version="0-r0")
    project.write("selfish.yaml", recipe("selfish", "selfish"))
    assert outcomes(build(project)) == {"selfish": "built"}
    assert outcomes(build(project)) == {"selfish": "up-to-date"}


def test_what_the_named_ones_need_comes_along(chain: Project) -> None:
    assert list(build(chain, "top.yaml")) == ["base", "middle", "top"]
    shutil.rmtree(chain.out)
    shutil.rmtree(chain.directory / "cache/results")
    failed = chain.melpy("build", "--only", "middle.yaml")
    assert failed.returncode == 31
    assert "base.yaml makes it: build it too" in failed.stderr
    assert list(build(chain, "base.yaml")) == ["base"]
    assert list(build(chain, "--only", "middle.yaml")) == ["middle"]


def test_names_that_no_recipe_states_are_known_once_they_are_built(project: Project) -> None:
    """`cmd:` names come from files; the recipe that makes one is later in the alphabet."""
    program = "mkdir -p ${{targets.destdir}}/usr/bin\nprintf '#!/bin/sh\\n' > ${{targets.destdir}}/usr/bin/zprogram\n"
    project.write("zmaker.yaml", recipe("zmaker", runs=f"{program}chmod 755 ${{{{targets.destdir}}}}/usr/bin/zprogram"))
    project.write("auser.yaml", recipe("auser", "cmd:zprogram"))
    assert outcomes(build(project)) == {"zmaker": "built", "auser": "built"}
    assert "cmd:zprogram=1.0-r0" in provided(project, "zmaker")
    assert outcomes(build(project)) == {"zmaker": "up-to-date", "auser": "up-to-date"}


def test_rules_for_what_is_stale(chain: Project) -> None:
    build(chain)
    chain.write("base.yaml", recipe("base", runs="echo more >> ${{targets.destdir}}/usr/share/base"))
    assert set(outcomes(build(chain, ".", "--stale", "version")).values()) == {"up-to-date"}
    found = outcomes(build(chain, ".", "--stale", "recipe"))
    assert found == {"base": "built", "middle": "up-to-date", "top": "up-to-date", "other": "up-to-date"}


def test_what_another_rule_takes_for_up_to_date_is_built(chain: Project) -> None:
    """A run with another rule may have nothing to do where there is something."""
    build(chain)
    chain.write("base.yaml", recipe("base", runs="echo more >> ${{targets.destdir}}/usr/share/base"))
    assert set(outcomes(build(chain, ".", "--stale", "version")).values()) == {"up-to-date"}
    assert outcomes(build(chain)) == {"base": "built", "middle": "built", "top": "built", "other": "up-to-date"}


def test_a_clone_of_the_recipes_is_the_same_to_all_rules(chain: Project, tmp_path: Path) -> None:
    """A clone has the same files, but with other times and inodes."""
    directory = chain.directory / "middle"
    directory.mkdir()
    (directory / "a.txt").write_text("a\n")
    build(chain)
    for _ in range(2):
        directory.rename(tmp_path / "old")
        shutil.copytree(tmp_path / "old", directory, copy_function=shutil.copy)
        shutil.rmtree(tmp_path / "old")
        assert set(outcomes(build(chain, ".", "--stale", "recipe")).values()) == {"up-to-date"}
    chain.write("base.yaml", recipe("base", runs="touch ${{targets.destdir}}/more"))
    expected = json.loads(chain.melpy("build", "--dry-run", "--json", ".", force=False).stdout)
    assert {one["recipe"]: one["verdict"] for one in expected}["middle"] == "may-build"
    (directory / "a.txt").write_text("b\n")
    assert outcomes(build(chain, "middle.yaml", "--stale", "recipe"))["middle"] == "built"


def test_a_dry_run_says_what_will_and_what_may_be_built(chain: Project) -> None:
    def expect() -> dict[str, tuple[str, str]]:
        result = chain.melpy("build", "--dry-run", "--json", ".", force=False)
        assert result.returncode == 0, result.stderr
        return {one["recipe"]: (one["verdict"], one["because"]) for one in json.loads(result.stdout)}

    assert {verdict for verdict, _ in expect().values()} == {"will-build"}
    assert not chain.packages()
    build(chain)
    assert set(expect().values()) == {("up-to-date", "")}
    chain.write("middle.yaml", recipe("middle", "base", runs="touch ${{targets.destdir}}/copy"))
    found = expect()
    assert found["base"] == found["other"] == ("up-to-date", "")
    assert found["middle"][0] == "will-build"
    assert found["top"] == ("may-build", "because of middle-1.0-r0/x86_64")
    text = chain.melpy("build", "--dry-run", ".", force=False)
    assert "may build" in text.stdout
    assert text.stderr.splitlines()[-1] == "4 jobs: 1 will build, 1 may build, 2 up to date"


def expect(project: Project, *arguments: str) -> dict[str, tuple[str, str]]:
    """Run a dry run and return verdict and reason for each recipe."""
    result = project.melpy("build", "--dry-run", "--json", *(arguments or (".",)), force=False)
    assert result.returncode == 0, result.stderr
    return {one["job"].rsplit("-", 2)[0]: (one["verdict"], one["because"]) for one in json.loads(result.stdout)}


def test_a_dry_run_tells_failures_that_a_run_would_not_try_again(chain: Project) -> None:
    chain.write("middle.yaml", recipe("middle", "base", runs="cat /nothing; exit 3"))
    assert expect(chain)["middle"][0] == "will-build"
    build(chain, status=61)
    cause = "cat: can't open '/nothing': No such file or directory"
    failed = f"failed before: step 1 of 1, 'runs', ended with status 1: {cause}"
    done = {"base": ("up-to-date", ""), "other": ("up-to-date", "")}
    skipped = ("skipped", "because of middle-1.0-r0/x86_64")
    for rule in ("inputs", "recipe", "version"):
        assert expect(chain, "--stale", rule, ".") == {**done, "middle": ("fails", failed), "top": skipped}
    assert expect(chain, "--retry-failed", ".")["middle"][0] == "will-build"
    assert expect(chain, "--force", ".")["middle"] == ("will-build", "--force")
    assert expect(chain, "--only", "middle.yaml")["middle"][0] == "will-build"  # alone it is tried again
    text = chain.melpy("build", "--dry-run", ".", force=False)
    assert text.stderr.splitlines()[-2:] == [
        "--retry-failed tries again what failed before with the same inputs",
        "4 jobs: 2 up to date, 1 fails, 1 skipped",
    ]
    # The journal knows the key of no stamp where the index of a repository is another one: the environment tells it.
    chain.repository.add("unrelated")
    assert expect(chain)["middle"] == ("fails", failed)
    chain.write("base.yaml", recipe("base", runs="touch ${{targets.destdir}}/more"))
    assert expect(chain)["middle"][0] == "will-build"  # with a base that nobody knows yet
    chain.write("base.yaml", recipe("base"))
    chain.write("middle.yaml", recipe("middle", "base", runs="cat /nothing; exit 5"))
    assert expect(chain)["middle"][0] == "will-build"


def test_a_dry_run_tells_a_remembered_failure_in_any_round_of_a_cycle(
    project: Project, toy_repository: Repository
) -> None:
    """The second member fails once it sees the first one as it is built here: in the second round."""
    for name in ("ping", "pong"):
        toy_repository.add(name, version="0-r0")
    project.write("ping.yaml", recipe("ping", "pong"))
    project.write("pong.yaml", recipe("pong", "ping", runs="test ! -e /usr/share/ping"))
    project.write("after.yaml", recipe("after", "ping"))
    assert set(outcomes(build(project, status=61)).values()) == {"failed", "skipped"}
    skipped = ("skipped", "because of pong-1.0-r0/x86_64")
    assert expect(project) == {
        "pong": ("fails", "failed before: step 1 of 1, 'runs', ended with status 1"),
        "ping": skipped,
        "after": skipped,
    }
    assert outcomes(build(project, status=61)) == {"ping": "skipped", "pong": "failed", "after": "skipped"}


def test_why(chain: Project) -> None:
    build(chain)
    chain.write("base.yaml", recipe("base", runs="echo more >> ${{targets.destdir}}/usr/share/base"))
    build(chain, "base.yaml")
    result = chain.melpy("why", "middle.yaml")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "middle-1.0-r0/x86_64 is to be built: its environment or sources changed",
        "  environment: base was 1.0-r0, and is 1.0-r0 with other content",
    ]
    assert chain.melpy("why", "other").stdout == "other-1.0-r0/x86_64 is up to date\n"


def test_one_run_at_a_time_writes_a_repository(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    project.write("two.yaml", shell_recipe("two"))
    (project.out / "logs").mkdir(parents=True)
    with (project.out / "logs/run.lock").open("w") as stream:
        stream.write("4711\n")
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        result = project.melpy("build", "one.yaml", "two.yaml")
        single = project.melpy("build", "one.yaml")
    assert (result.returncode, single.returncode) == (22, 22)
    assert "another run writes this repository: process 4711" in result.stderr


def test_an_interrupt_finishes_what_goes_on(project: Project) -> None:
    project.write("afirst.yaml", recipe("afirst", runs="echo waits\nsleep 3"))
    project.write("second.yaml", recipe("second", "afirst"))
    process = project.begin("build", "-v", "--json", ".", stdout=subprocess.PIPE)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "running builds are finished" in stderr
    assert {job["job"]: job["outcome"] for job in json.loads(stdout)} == {
        "afirst-1.0-r0/x86_64": "built",
        "second-1.0-r0/x86_64": "interrupted",
    }
    assert list(project.packages()) == ["x86_64/afirst-1.0-r0.apk"]


def test_a_second_interrupt_ends_at_once(project: Project) -> None:
    project.write("afirst.yaml", recipe("afirst", runs="echo waits\nsleep 1000"))
    project.write("second.yaml", recipe("second", "afirst"))
    process = project.begin("build", "-v", "--json", ".", stdout=subprocess.PIPE)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert time.monotonic() - start < 30
    assert {job["outcome"] for job in json.loads(stdout)} == {"interrupted"}


def test_a_soname_change_is_held_back_while_what_needs_the_old_one_fails(
    project: Project, toy_repository: Repository
) -> None:
    """The recipe provides a name by hand here; that of a library is of the same kind."""
    head = "  dependencies:\n    provides:\n      - so:libheld.so.{}={}\n"
    project.write("library.yaml", recipe("library", head=head.format(1, 1)))
    needs = "  dependencies:\n    runtime:\n      - so:libheld.so.1\n"
    project.write("user.yaml", recipe("user", "library", head=needs))
    assert set(outcomes(build(project)).values()) == {"built"}
    newer = recipe("library", head=head.format(2, 2)).replace("epoch: 0", "epoch: 1")
    project.write("library.yaml", newer)
    project.write("user.yaml", recipe("user", "library", runs="exit 1", head=needs))
    found = build(project, status=61)
    assert outcomes(found) == {"library": "held-back", "user": "failed"}
    assert found["library"]["because"] == "user-1.0-r0, which could not be built again, needs so:libheld.so.1"
    assert "x86_64/library-1.0-r1.apk" not in project.packages()
    assert outcomes(build(project, ".", "--publish", "end", status=61)) == {"library": "cached", "user": "failed"}
    assert "x86_64/library-1.0-r1.apk" in project.packages()


def test_each_build_is_published_at_once(chain: Project) -> None:
    chain.write("middle.yaml", recipe("middle", "base", runs="test ! -e /none; echo waits; sleep 4"))
    process = chain.begin("build", "-v", "--publish", "each", "middle.yaml")
    assert list(chain.packages()) == ["x86_64/base-1.0-r0.apk"]
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(chain.packages()) == ["x86_64/base-1.0-r0.apk", "x86_64/middle-1.0-r0.apk"]


def test_a_version_that_clients_have_is_not_published_with_other_content(
    project: Project, toy_repository: Repository
) -> None:
    toy_repository.add("used", version="1.0-r0")
    project.write("used.yaml", recipe("used"))
    found = build(project, ".", "--published", str(toy_repository.root), status=61)
    assert found["used"]["outcome"] == "held-back"
    assert "used-1.0-r0 with other content: raise the epoch" in found["used"]["because"]
    assert not project.packages()
    project.write("used.yaml", recipe("used").replace("epoch: 0", "epoch: 1"))
    assert outcomes(build(project, ".", "--published", str(toy_repository.root))) == {"used": "built"}


def test_a_build_whose_step_failed_is_tried_again_when_that_is_asked_for(project: Project) -> None:
    """A cache that steps share from build to build makes a step that fails once."""
    flaky = "if ! test -e /var/cache/melange/seen; then touch /var/cache/melange/seen; exit 1; fi"
    project.write("one.yaml", shell_recipe(runs=f"{flaky}\nmkdir -p ${{{{targets.destdir}}}}"))
    first = project.melpy("build", "--build-cache", "recipe", "--retry-steps", "1", "one.yaml")
    assert first.returncode == 0, first.stderr
    assert "failed, and is tried again (attempt 2)" in first.stderr
    record = json.loads((project.out / "logs/x86_64/one-1.0-r0.json").read_text())
    assert (record["attempt"], record["ok"]) == (2, True)


def test_the_result_cache_keeps_to_its_limit(chain: Project) -> None:
    build(chain, ".", "--result-limit", "1")
    assert not list(chain.directory.glob("cache/results/by-key/*"))
    assert set(outcomes(build(chain)).values()) == {"up-to-date"}
