"""Throw changed bytes at every reader, one after the other, and tell what is not as it should be.

Wrong is an error that is not melpy's own, more than two seconds, and more than 300 MB. Each reader runs in a process of
its own, so that its memory is known. What was found is kept below --keep, to be read again with --replay.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import MelpyError
from tests.fuzz.mutate import mutate
from tests.fuzz.target import Target, make_targets

if TYPE_CHECKING:
    from types import FrameType

LONGEST = 2.0
LARGEST = 300 << 20
_GIVEN_UP = 20


class HangError(Exception):
    """A reader does not come to an end."""


def _hang(_: int, frame: FrameType | None) -> None:
    raise HangError("".join(traceback.format_stack(frame)[-4:]))


def read_once(target: Target, data: bytes, scratch: Path) -> str:
    """Return what was wrong, if anything was."""
    directory = Path(tempfile.mkdtemp(dir=scratch))
    signal.alarm(_GIVEN_UP)
    start = time.process_time()
    try:
        target.read(data, directory)
    except MelpyError:
        pass
    except HangError as error:
        return f"hang\n{error}"
    except BaseException:
        return traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)
        taken = time.process_time() - start
        shutil.rmtree(directory, ignore_errors=True)
    return f"took {taken:.1f} s\n" if taken > LONGEST else ""


def fuzz(target: Target, seconds: float, seed: int, keep: Path) -> None:
    """Read changed input until the time is over."""
    signal.signal(signal.SIGALRM, _hang)
    chance = random.Random(f"{seed} {target.name}")
    findings: dict[str, str] = {}
    count = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="melpy-fuzz-") as scratch:
        while time.monotonic() < end:
            data = mutate(chance.choice(target.seeds), chance)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            problem = read_once(target, data, Path(scratch))
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if used * 1024 > LARGEST and used > peak + 10_000:
                problem += f"holds {used // 1024} MB\n"
            count += 1
            if problem:
                key = problem.strip().rpartition("\n")[2][:60]
                if key not in findings:
                    findings[key] = problem
                    place = keep / f"{target.name.replace(', ', '-').replace(' ', '-')}-{len(findings)}"
                    place.write_bytes(data)
                    print(f"--- {place}\n{problem}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{target.name}: {count} inputs, {len(findings)} findings, {peak // 1024} MB (began with {before // 1024})",
        flush=True,
    )
    sys.exit(bool(findings))


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "melpy-fuzz"))
    parser.add_argument("--replay", type=Path, help="read one input of --only")
    options = parser.parse_args()
    os.nice(10)
    options.keep.mkdir(exist_ok=True)
    targets = [target for target in make_targets() if options.only in target.name]
    if options.replay:
        signal.signal(signal.SIGALRM, _hang)
        with tempfile.TemporaryDirectory() as scratch:
            print(read_once(targets[0], options.replay.read_bytes(), Path(scratch)) or "as it should be")
        return 0
    print(f"seed {options.seed}")
    context = multiprocessing.get_context("fork")
    failed = 0
    for target in targets:
        process = context.Process(
            target=fuzz, args=(target, options.seconds / len(targets), options.seed, options.keep)
        )
        process.start()
        process.join()
        failed += process.exitcode != 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
