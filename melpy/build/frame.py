"""The frame of a step's script: how it stops at a failure, and tells at which of its lines.

`step_script` makes the script that the sandbox runs; `find_ended` and `find_step_line` read what it and its shell then
say. Nothing is run here.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from melpy.inside import RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.plan.model import PlanStep

SCRIPT = RESERVED / "step"
"""Where the sandbox has the script."""
_IN_LINE, _BY = "==> step ended in line ", "==> step ended by "
_TELL = "{ MELPY_STATUS=$?; set +x; } 2>/dev/null; [ $MELPY_STATUS = 0 ] || "
# In bash's trap at the end, LINENO is 1, and BASH_COMMAND what ran last.
_TELL_BASH = (
    "MELPY_DEPTH=${#BASH_LINENO[@]}; [ $MELPY_DEPTH -lt 2 ] || MELPY_LINE=${BASH_LINENO[MELPY_DEPTH-2]}; "
    "case $MELPY_DEPTH$BASH_COMMAND in 1exit*) "
    f'echo "{_BY}${{BASH_COMMAND%%[[:cntrl:]]*}}" >&2;; '
    f'*) [ -z "${{MELPY_LINE-}}" ] || echo "{_IN_LINE}$MELPY_LINE" >&2;; esac'
)
_TRAPS = (
    'if [ -n "${BASH_VERSION-}" ]; then trap \'MELPY_LINE=$LINENO MELPY_LAST=$_; : "$MELPY_LAST"\' ERR; '
    f"trap '{_TELL}{{ {_TELL_BASH}; }}' EXIT; "
    f'else trap \'{_TELL}[ -z "$LINENO" ] || echo "{_IN_LINE}$LINENO" >&2\' EXIT; fi; '
)
"""How a script that fails tells its line, where its shell knows it: busybox in a trap at the end, bash in one for
errors (within functions: the line of the call), dash not at all. Of `exit` at the top, bash knows the command only. A
script's own trap takes the place of these."""

_NUMBER = r"(?P<line>[0-9]{1,8})"
_SAID = re.compile(rf"{re.escape(str(SCRIPT))}: (?:[^ :]+: )?line {_NUMBER}: (?P<what>.*)")
"""What shells say of an error that they find themselves: bash `NAME: line 7: …`, busybox also `NAME: cd: line 7: …`."""
_UNREADABLE = re.compile(r"syntax error|unexpected EOF|unterminated|`")


def step_script(step: PlanStep, *, debug: bool = False, preamble: str = "") -> str:
    """Return the whole script of a step: it stops at the first failure and runs in its directory.

    The frame is melange's, so that what works there works here, but for traps that tell where a script failed.

    Args:
        step: the step.
        debug: print each command before it is run.
        preamble: commands before all others.
    """
    return f"{_head(step, preamble, debug=debug)}{step.script}\nexit 0\n"


def _head(step: PlanStep, preamble: str, *, debug: bool = False) -> str:
    directory = shlex.quote(step.workdir)
    enter = f"[ -d {directory} ] || mkdir -p {directory}\ncd {directory}\n"
    return f"{preamble}{_TRAPS}set -{'ex' if debug else 'e'}o pipefail\n{enter}"


def find_ended(line: str) -> str | None:
    """Return how a step's frame says that it failed: the line of the whole script, or the command that ended it.

    Returns None for any other text.
    """
    number, command = line.removeprefix(_IN_LINE), line.removeprefix(_BY)
    if number != line and re.fullmatch(_NUMBER, number):
        return number
    return command if command != line and command.startswith("exit") else None


def find_step_line(step: PlanStep, ended: str, tail: Sequence[str], *, preamble: str = "") -> int:
    """Return the line of a step's own script at which it failed; 0 where nothing tells it.

    Args:
        step: the step.
        ended: what its frame said; empty where it said nothing.
        tail: the last lines that it printed, without the frame's.
        preamble: that of its script.
    """
    said = _SAID.fullmatch(tail[-1]) if tail else None
    # A script that cannot be read on ends in no command: traps then know the one before.
    if said and (_UNREADABLE.match(said["what"]) or not ended):
        ended = said["line"]
    if not ended.isdecimal():
        return _find_only(ended, step.script) if ended else 0
    own = int(ended) - _head(step, preamble).count("\n")
    return own if 0 < own <= step.script.count("\n") + 1 else 0


def _find_only(command: str, script: str) -> int:
    """Return the one line of a script that has a command, as bash writes it; 0 where there are several."""
    words = r"\s+".join(map(re.escape, command.split()))
    pattern = re.compile(rf"(?:^|[\s;&|({{]){words}(?:$|[\s;&|)}}])")
    found = [number for number, line in enumerate(script.split("\n"), 1) if pattern.search(line)]
    return found[0] if len(found) == 1 else 0
