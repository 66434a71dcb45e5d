"""The record of a build: how this run made its packages, beside the log, as JSON.

Nothing of it goes into a package, whose bytes do not depend on it: not the machine and the hour, nor whether programs
were emulated, nor the network that steps saw.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from melpy import __version__
from melpy.codec import asdict
from melpy.engine.limit import find_limits, find_requests
from melpy.files import replace_file
from melpy.plan.form import plan_digest
from melpy.sandbox.emulator import find_emulator

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.engine.clock import Clock
    from melpy.engine.job import Job
    from melpy.engine.model import BuildSpec, PlannedBuild
    from melpy.engine.result import Result


def record_path(log: Path) -> Path:
    """Return where the record of a build lies."""
    return log.with_suffix(".json")


def write_record(build: PlannedBuild, spec: BuildSpec, job: Job | None, result: Result | None, clock: Clock) -> None:
    """Write the record of a build beside its log.

    Args:
        build: the planned recipe.
        spec: what it was prepared from.
        job: the job; None where its preparation failed.
        result: what it came to; None where it did not come to its end.
        clock: what measured it.

    Raises:
        OutputError: it cannot be written.
    """
    assert clock.log
    machine = os.uname()
    emulator = find_emulator(build.arch)
    steps, done = spec.steps, result.steps if result else ()
    value = {
        "build": build.plan.job,
        "plan": plan_digest(build.plan),
        "key": job.inputs.key if job else None,
        "identity": job.inputs.identity if job else None,
        "ok": result is not None and not result.failure,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(clock.elapsed, 3),
        "stages": {name: round(seconds, 3) for name, seconds in clock.seconds.items()},
        "melpy": __version__,
        "machine": {"name": machine.nodename, "kernel": machine.release, "arch": machine.machine},
        "processors": len(os.sched_getaffinity(0)),
        "emulator": emulator.interpreter or "the host's" if emulator else None,
        "native-tools": list(result.native) if result else [],
        "network": steps.options.network or any(step.network for step in done),
        "first-step": job.run.first if job else 1,
        "build-cache": steps.build_cache,
        "limits": asdict(find_limits(build.recipe, steps.options.limits)),
        "requests": asdict(find_requests(build.recipe)),
        "steps": [step.to_json() for step in done],
    }
    with replace_file(record_path(clock.log), durable=False) as stream:
        stream.write((json.dumps(value, indent=1) + "\n").encode(errors="surrogateescape"))
