"""The terminal that melpy was called from, and which process group reads it. Source: tcsetpgrp(3), credentials(7)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass


@dataclass
class Terminal:
    """The terminal that is melpy's standard input, which is lent to jobs."""

    is_lent: bool = False

    def lend(self, group: int) -> None:
        """Have a process group read it, if it is melpy's to lend."""
        if self.is_ours():
            self._give(group)
            self.is_lent = True

    def take_back(self) -> None:
        """Have it as before, whoever of the job's reads it now."""
        if self.is_lent:
            self._give(os.getpgrp())
            self.is_lent = False

    def is_ours(self) -> bool:
        """Tell whether melpy's own process group reads it: no job, and nobody who called melpy in the background."""
        try:
            return os.tcgetpgrp(0) == os.getpgrp()
        except OSError:  # it is another session's
            return False

    def _give(self, group: int) -> None:
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(OSError):  # it is gone
            os.tcsetpgrp(0, group)
        signal.signal(signal.SIGTTOU, before)
