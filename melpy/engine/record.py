"""The record of a build: how this run made its packages, beside the log, as JSON.

It is written from the job and its result alone; the machine is the one that executed it, as the result names it.
Nothing of it goes into a package, whose bytes do not depend on it: not the machine and the hour, nor whether programs
were emulated, nor the network that steps saw.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from melpy.codec import asdict
from melpy.files import replace_file
from melpy.plan.form import plan_digest

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.engine.clock import Clock
    from melpy.engine.job import Job
    from melpy.engine.result import Result


def record_path(log: Path) -> Path:
    """Return where the record of a build lies."""
    return log.with_suffix(".json")


def write_record(job: Job, result: Result | None, clock: Clock) -> None:
    """Write the record of a build beside its log.

    Args:
        job: what was to be built, and how.
        result: what it came to, and where; None where it did not come to its end.
        clock: the time that it took, with its preparation.

    Raises:
        OutputError: it cannot be written.
    """
    inputs, run = job.inputs, job.run
    steps, host = (result.steps, result.host) if result else ((), None)
    value = {
        "build": job.name,
        "plan": plan_digest(inputs.plan),
        "key": inputs.key,
        "identity": inputs.identity,
        "ok": result is not None and not result.failure,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(clock.elapsed, 3),
        "stages": {name: round(seconds, 3) for name, seconds in clock.seconds.items()},
        "melpy": host.melpy if host else None,
        "machine": {"name": host.name, "kernel": host.kernel, "arch": host.arch} if host else None,
        "processors": host.processors if host else None,
        "emulator": host.emulator if host else None,
        "native-tools": list(result.native) if result else [],
        "network": run.options.network or any(step.network for step in steps),
        "first-step": run.first,
        "attempt": run.attempt,
        "build-cache": inputs.build_cache,
        "limits": asdict(run.options.limits),
        "requests": asdict(run.requests),
        "steps": [step.to_json() for step in steps],
    }
    with replace_file(record_path(run.locations.log), durable=False) as stream:
        stream.write((json.dumps(value, indent=1) + "\n").encode(errors="surrogateescape"))
