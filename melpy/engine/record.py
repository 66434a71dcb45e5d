"""The record of a build: how this run made its packages, beside the log, as JSON.

Nothing of it goes into a package, whose bytes do not depend on it: not the machine and the hour, nor whether programs
were emulated, nor the network that steps saw.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy import __version__
from melpy.codec import asdict
from melpy.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from melpy.build.model import StepRecord
    from melpy.engine.limit import Requests
    from melpy.engine.model import Job
    from melpy.sandbox.model import Emulator, Limits, NativeTools


@dataclass(frozen=True)
class Facts:
    """What there is to say of a build beside its steps.

    Attributes:
        ok: whether it ended well.
        seconds: how long it took.
        stages: seconds of each stage.
        emulator: how foreign programs were run.
        tools: what was run natively instead.
        limits: what it might use.
        requests: what the recipe asks for.
        network: whether all steps saw the network.
        build_cache: what steps kept from earlier builds: `none`, `recipe` or `shared`.
        first: number of the first step that was run; those before were an earlier build's.
    """

    ok: bool
    seconds: float
    stages: Mapping[str, float]
    emulator: Emulator | None
    tools: NativeTools | None
    limits: Limits
    requests: Requests
    network: bool
    build_cache: str
    first: int = 1


def record_path(log: Path) -> Path:
    """Return where the record of a build lies."""
    return log.with_suffix(".json")


def write_record(job: Job, log: Path, facts: Facts, steps: Sequence[StepRecord]) -> None:
    """Write the record of a build beside its log.

    Raises:
        OutputError: it cannot be written.
    """
    machine = os.uname()
    value = {
        "build": job.plan.job,
        "plan": job.plan.digest(),
        "ok": facts.ok,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(facts.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in facts.stages.items()},
        "melpy": __version__,
        "machine": {"name": machine.nodename, "kernel": machine.release, "arch": machine.machine},
        "processors": len(os.sched_getaffinity(0)),
        "emulator": facts.emulator.interpreter or "the host's" if facts.emulator else None,
        "native-tools": list(facts.tools.packages) if facts.tools else [],
        "network": facts.network or any(step.network for step in steps),
        "first-step": facts.first,
        "build-cache": facts.build_cache,
        "limits": asdict(facts.limits),
        "requests": asdict(facts.requests),
        "steps": [step.to_json() for step in steps],
    }
    with replace_file(record_path(log), durable=False) as stream:
        stream.write((json.dumps(value, indent=1) + "\n").encode(errors="surrogateescape"))
