"""The journal, against dictionaries; reopened, damaged, shared and killed."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from melpy import events
from melpy.engine.journal import Journal, Learned, Sample, find_journal, find_median
from melpy.engine.published import Made
from melpy.engine.result import Failure
from melpy.graph.model import BuildId

BUILDS = st.builds(BuildId, st.sampled_from(["bash", "ncurses", "zlib"]), st.sampled_from(["x86_64", "aarch64"]))
SAMPLES = st.builds(Sample, st.floats(0, 1e5), st.floats(0, 1e6), st.integers(0, 1 << 40), st.integers(0, 2))
KEYS = st.sampled_from([f"{number:064x}" for number in range(6)])
TEXTS = st.text(max_size=20)
FAILURES = st.builds(Failure, st.just("step-failed"), TEXTS, hint=st.none() | TEXTS, step=st.just((3, 1)))
PACKAGES = st.tuples(st.sampled_from(["bash", "bash-doc"]), st.sampled_from(["5.2-r0", "5.2-r1"]))
ARCHES = st.sampled_from(["x86_64", "aarch64"])


class Machine(RuleBasedStateMachine):
    """Random operations on two connections to one journal, and on dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="journal-"))
        self.tape = events.Tape()
        self.journals = [self.open(), self.open()]
        self.samples: dict[BuildId, list[Sample]] = {}
        self.failures: dict[str, Failure] = {}
        self.keys: dict[str, str] = {}
        self.made: dict[str, Made] = {}
        self.names: dict[tuple[str, str], list[str]] = {}

    def open(self) -> Journal:
        return Journal(find_journal(self.directory), self.tape)

    def teardown(self) -> None:
        for journal in self.journals:
            journal.close()
        shutil.rmtree(self.directory)

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.journals[which].close()
        self.journals[which] = self.open()

    @rule(which=st.integers(0, 1), build=BUILDS, sample=SAMPLES)
    def add_sample(self, which: int, build: BuildId, sample: Sample) -> None:
        self.journals[which].add_sample(build, sample)
        self.samples[build] = [sample, *self.samples.get(build, [])][:5]

    @rule(which=st.integers(0, 1), key=KEYS, failure=FAILURES)
    def add_failure(self, which: int, key: str, failure: Failure) -> None:
        self.journals[which].add_failure(key, "bash-5.2-r0/x86_64", failure)
        self.failures[key] = failure

    @rule(which=st.integers(0, 1), keys=st.sets(KEYS))
    def remove_failures(self, which: int, keys: set[str]) -> None:
        self.journals[which].remove_failures(keys)
        self.failures = {key: failure for key, failure in self.failures.items() if key not in keys}

    @rule(which=st.integers(0, 1), keys=st.dictionaries(TEXTS, KEYS))
    def add_keys(self, which: int, keys: dict[str, str]) -> None:
        self.journals[which].add_keys(keys)
        self.keys |= keys

    @rule(which=st.integers(0, 1), made=st.dictionaries(TEXTS, st.builds(Made, KEYS, KEYS)))
    def add_made(self, which: int, made: dict[str, Made]) -> None:
        self.journals[which].add_made(made)
        self.made |= made

    @rule(
        which=st.integers(0, 1),
        arch=ARCHES,
        provides=st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from(["so:x", "cmd:x", "pc:x"]))),
    )
    def replace_names(self, which: int, arch: str, provides: dict[str, list[str]]) -> None:
        self.journals[which].replace_names(arch, provides)
        self.names |= {(arch, package): names for package, names in provides.items()}

    @invariant()
    def agrees(self) -> None:
        for journal in self.journals:
            assert journal.find_learned() == {
                build: Learned(
                    find_median([sample.seconds for sample in own]),
                    find_median([sample.cpu for sample in own]),
                    max(sample.memory for sample in own),
                    len(own),
                    sum(sample.retries for sample in own),
                )
                for build, own in self.samples.items()
            }
            assert journal.find_failures([*self.failures, "missing"]) == self.failures
            assert journal.find_keys([*self.keys, "\0missing"]) == self.keys
            assert journal.find_made([*self.made, "\0missing"]) == self.made
            providers: dict[str, set[str]] = {}
            for (arch, package), names in self.names.items():
                for name in names if arch == "x86_64" else ():
                    providers.setdefault(name, set()).add(package)
            assert journal.find_names("x86_64") == {name: tuple(sorted(own)) for name, own in providers.items()}
        assert self.tape.events == []


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9))
def test_without_decay_the_median_is_the_low_median(values: list[float]) -> None:
    assert find_median(values, 1.0) == statistics.median_low(values)


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e6), max_size=3))
def test_two_new_samples_that_agree_outweigh_older_ones_and_a_single_one_does_not(new: float, old: list[float]) -> None:
    assert find_median([new, new, *old]) == new
    assert find_median([900.0, 10.0, 10.0, 10.0]) == 10.0


@pytest.mark.parametrize("form", [0, 7])
def test_a_journal_of_another_form_is_set_aside_with_a_warning(tmp_path: Path, form: int) -> None:
    path = find_journal(tmp_path)
    other = sqlite3.connect(path)
    other.executescript(f"CREATE TABLE other (x); PRAGMA user_version = {form};")
    other.close()
    tape = events.Tape()
    journal = Journal(path, tape)
    journal.add_keys({"stamp": "key"})
    assert journal.find_keys(["stamp"]) == {"stamp": "key"}
    journal.close()
    assert tape.events == [
        events.Warning(
            "",
            f"the journal {path} cannot be used, and is now journal.sqlite.old: "
            f"it has form {form}, and this version of melpy has form 1; "
            "durations and failures of builds are learned again",
        )
    ]
    aside = sqlite3.connect(tmp_path / "journal.sqlite.old")
    assert aside.execute("SELECT name FROM sqlite_master").fetchall() == [("other",)]
    aside.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_of_the_file_is_no_error(tmp_path: Path, data: st.DataObject) -> None:
    path = find_journal(tmp_path)
    with_suffixes = [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", ".old"))]
    for file in with_suffixes:
        file.unlink(missing_ok=True)
    fill(path, 40)
    content = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["truncated", "changed", "filled", "text"]))
    at = data.draw(st.integers(0, len(content) - 1))
    if kind == "truncated":
        content = content[:at]
    elif kind == "changed":
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
            content[place] ^= data.draw(st.integers(1, 255))
    elif kind == "filled":
        content[at : at + 3000] = bytes(min(3000, len(content) - at))
    else:
        content = bytearray(b"no database\n")
    path.write_bytes(content)
    check_usable(path)


def test_damage_that_appears_while_the_journal_is_open_is_no_error(tmp_path: Path) -> None:
    path, tape = find_journal(tmp_path), events.Tape()
    fill(path, 500)
    journals = [Journal(path, tape), Journal(path, tape)]
    content = bytearray(path.read_bytes())
    content[5000:] = b"\xa5" * len(content[5000:])
    path.write_bytes(content)
    for number, journal in enumerate(journals):
        journal.find_learned()
        journal.add_keys({f"stamp{number}": "key"})
    # The second one takes the new file of the first, and does not set that aside too.
    assert journals[0].find_keys(["stamp0", "stamp1"]) == {"stamp0": "key", "stamp1": "key"}
    assert len(tape.events) == 1
    for journal in journals:
        journal.close()


@pytest.mark.parametrize(
    ("kind", "reason", "hint"),
    [
        ("directory", "is a directory", "a directory is in the way; move it away"),
        ("no directory", "{}: cannot write: file exists", "choose another place, or change its owner or mode"),
        ("others", "another user can write it", "choose another place, or change its owner or mode"),
    ],
)
def test_a_journal_that_cannot_be_used_is_told_and_kept_in_memory(
    tmp_path: Path, kind: str, reason: str, hint: str
) -> None:
    path = find_journal(tmp_path / "cache")
    if kind == "directory":
        path.mkdir(parents=True)
    elif kind == "no directory":
        path.parent.write_text("in the way")
    else:
        fill(path, 1)
        path.chmod(0o666)
    tape = events.Tape()
    journal = Journal(path, tape)
    journal.add_sample(BuildId("bash", "x86_64"), Sample(3.0))
    assert journal.find_learned() == {BuildId("bash", "x86_64"): Learned(3.0, 0.0, 0, 1)}
    journal.close()
    (warning,) = tape.events
    assert isinstance(warning, events.Warning)
    assert (warning.text, warning.hint) == (f"the journal {path} cannot be used: {reason.format(path.parent)}", hint)


def test_stamps_and_failures_that_were_not_used_for_long_are_forgotten(tmp_path: Path) -> None:
    times = iter([0.0, 100_000.0, 100_001.0, 200_000.0, *[300_000.0] * 4])
    journal = Journal(find_journal(tmp_path), events.Null(), lambda: next(times))
    journal.add_keys({"used": "key", "unused": "key"})
    assert journal.find_keys(["used"]) == {"used": "key"}  # a day later
    assert journal.find_keys(["used"]) == {"used": "key"}
    journal.add_keys({f"{number}": "key" for number in range(99_999)})
    assert journal.find_keys(["used", "unused", "0"]) == {"used": "key", "0": "key"}
    journal.close()


def test_a_failure_that_another_version_wrote_is_not_known(tmp_path: Path) -> None:
    journal = Journal(find_journal(tmp_path), events.Null())
    journal.add_failure("k1", "bash", Failure("step-failed", "status 1"))
    connection = sqlite3.connect(find_journal(tmp_path))
    with connection:
        connection.execute("INSERT INTO failures VALUES ('k2', 'bash', 0.0, x'7b7d')")
    connection.close()
    assert journal.find_failures(["k1", "k2"]) == {"k1": Failure("step-failed", "status 1")}
    journal.close()


WRITER = """
import sys
from pathlib import Path
from melpy.engine.journal import Journal, Sample
from melpy.events import Null
from melpy.graph.model import BuildId

journal = Journal(Path(sys.argv[1]), Null())
print("open", flush=True)
for number in range(int(sys.argv[2])):
    journal.add_keys({f"{sys.argv[3]}-{number}": "key"})
    journal.add_sample(BuildId("shared", "x86_64"), Sample(float(number)))
    print(number, flush=True)
"""


def start_writer(path: Path, count: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_processes_share_it_and_nothing_that_one_wrote_is_lost(tmp_path: Path) -> None:
    path = find_journal(tmp_path)
    writers = [start_writer(path, 50, name) for name in "abc"]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    journal = Journal(path, events.Null())
    assert len(journal.find_keys([f"{name}-{number}" for name in "abc" for number in range(50)])) == 150
    assert journal.find_learned()[BuildId("shared", "x86_64")].samples == 5
    journal.close()


def test_a_writer_that_is_killed_leaves_all_that_it_had_written(tmp_path: Path) -> None:
    path = find_journal(tmp_path)
    written: list[str] = []
    for turn in range(8):
        with start_writer(path, 100_000, f"turn{turn}") as writer:
            assert writer.stdout
            assert writer.stdout.readline() == "open\n"
            time.sleep(0.003 * turn)
            writer.kill()
            lines = writer.stdout.read().split("\n")[:-1]
        written += [f"turn{turn}-{line}" for line in lines]
    tape = events.Tape()
    journal = Journal(path, tape)
    assert set(journal.find_keys(written)) == set(written)
    assert tape.events == []
    journal.close()


def fill(path: Path, count: int) -> None:
    journal = Journal(path, events.Null())
    journal.add_keys({f"stamp{number}": "key" for number in range(count)})
    for number in range(count):
        journal.add_sample(BuildId(f"recipe{number}", "x86_64"), Sample(float(number), 1.0, 5))
    journal.add_failure("key", "bash", Failure("step-failed", "status 1"))
    journal.replace_names("x86_64", {"zlib": ["so:libz.so.1"]})
    journal.close()


def check_usable(path: Path) -> None:
    """Everything can be read and written, whatever the file has; what is written then is there."""
    journal = Journal(path, events.Null())
    journal.find_learned()
    journal.find_failures(["key"])
    journal.find_names("x86_64")
    journal.find_made(["Q1x"])
    journal.add_keys({"new": "key"})
    journal.add_sample(BuildId("bash", "x86_64"), Sample(3.0))
    journal.add_failure("new", "bash", Failure("step-failed", "status 1"))
    journal.add_made({"Q1x": Made("key", "content")})
    journal.replace_names("x86_64", {"bash": ["cmd:bash"]})
    assert journal.find_keys(["new"]) == {"new": "key"}
    assert BuildId("bash", "x86_64") in journal.find_learned()
    assert journal.find_failures(["new"]) == {"new": Failure("step-failed", "status 1")}
    assert journal.find_made(["Q1x"]) == {"Q1x": Made("key", "content")}
    assert journal.find_names("x86_64")["cmd:bash"] == ("bash",)
    journal.close()
