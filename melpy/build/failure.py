"""A step that failed, explained: how it ended, its last lines, and what may help."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from melpy.errors import StepFailedError
from melpy.sandbox.liveness import UNENDING
from melpy.text import size_text

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.build.step import StepSite
    from melpy.plan.model import Plan, PlanStep
    from melpy.run import Outcome

_SIGNALLED = 128  # what shells add to the number of a signal
_MOST_SIGNALS = 65
_NOT_FOUND = 127
_NO_COMMAND = re.compile(r"(?:^|: )(?P<name>[^\s/:]+): (?:command )?not found$")
_STATUS_WORDS = {126: "a command cannot be executed", _NOT_FOUND: "a command was not found"}
_LOOKED_AT = 4_000  # characters of a line
_NO_NETWORK = re.compile(
    r"could not resolve host|temporary failure in name resolution|name or service not known|network is unreachable"
    r"|no such host|getaddrinfo|EAI_AGAIN|failed to lookup address|unable to resolve host|nodename nor servname",
    re.IGNORECASE,
)
_NO_OWNER = re.compile(r"(chown|chgrp|changing (ownership|group)|install).*invalid argument", re.IGNORECASE)
_NO_MEMORY = re.compile(
    r"cannot allocate memory|out of memory|memory exhausted|virtual memory exhausted|memoryerror|std::bad_alloc",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NO_PROCESS = re.compile(r"resource temporarily unavailable|cannot fork|can't fork|fork: retry", re.IGNORECASE)


def explain_failure(
    what: str, step: PlanStep, plan: Plan, site: StepSite, outcome: Outcome, log: Path
) -> StepFailedError:
    """Return the error that tells of a step that failed.

    Args:
        what: names the step, as in `step 3 of 9, 'make',`.
        step: the step.
        plan: the plan that it is of.
        site: where it ran.
        outcome: how it ended.
        log: where all is that it printed.
    """
    ended = describe_status(outcome.status)
    return StepFailedError(
        f"{what} {outcome.stopped or ended}",
        where=plan.job,
        details=[*(f"  {line}" for line in outcome.quoted), f"log: {log}", f"workspace: {site.workspace}"],
        hint=_find_hint(step, plan, site, outcome),
    )


def describe_status(status: int) -> str:
    """Return how a process ended, in words: shells have numbers for what a signal or a missing program is."""
    number = -status if status < 0 else status - _SIGNALLED
    if 0 < number < _MOST_SIGNALS and number in set(signal.Signals):
        name = signal.Signals(number)
        ended = "was killed by" if status < 0 else f"ended with status {status}, as after"
        return f"{ended} {name.name} ({(signal.strsignal(number) or '').lower()})"
    meaning = _STATUS_WORDS.get(status, "")
    return f"ended with status {status}{f' ({meaning})' if meaning else ''}"


def _find_hint(step: PlanStep, plan: Plan, site: StepSite, outcome: Outcome) -> str:
    tail, limits = outcome.tail, site.options.limits

    def said(pattern: re.Pattern[str]) -> bool:
        # Of a line that goes on and on, the beginning: some patterns take time that grows with its square.
        return any(pattern.search(line[:_LOOKED_AT]) for line in tail)

    hint = (
        f"look around where it failed: melpy shell {plan.name} --arch {plan.arch}"
        f"{'' if site.options.debug else '; --debug shows each command'}"
    )
    if tail and tail[-1].startswith("bwrap: execvp /bin/sh: No such file"):
        hint = "the environment has no shell; add busybox to environment.contents.packages"
    elif outcome.status == _NOT_FOUND and tail and (found := _NO_COMMAND.search(tail[-1][-_LOOKED_AT:])):
        hint = f"add the package that has {found['name']} to environment.contents.packages; or {hint}"
    elif outcome.stopped == UNENDING:
        hint = "it changed process 1 of its sandbox, which no build needs to do"
    elif outcome.stopped:
        hint = "allow more with --timeout or --disk, or in melpy.toml; a `timeout` may also be the recipe's"
    elif not site.options.has_network(step) and said(_NO_NETWORK):
        hint = (
            "steps see no network: have fetch or git-checkout bring what they need, or say network: true in the step "
            "or its pipeline, or --network for a whole build"
        )
    elif said(_NO_SPACE):
        hint = f"the disk is full: free space for {site.workspace.parent}, or have it elsewhere with --cache-dir"
    elif site.machine.ids is None and said(_NO_OWNER):
        hint = "files can be given to others only where the machine grants ids for it; melpy doctor says how"
    elif limits.memory and said(_NO_MEMORY):
        hint = f"a process may have {size_text(limits.memory)} of memory; allow more with --memory or in melpy.toml"
    elif limits.processes and said(_NO_PROCESS):
        hint = f"the build may have {limits.processes} processes; allow more with --processes or in melpy.toml"
    return hint
