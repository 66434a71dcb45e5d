"""Whether scripts are shell at all.

A parser that is fast and sometimes wrong looks at every script; what it does not like is shown to a real shell, which
only parses it (`bash -n`). So a directory of thousands of recipes costs a fraction of a second, and nothing that a
shell takes is complained of.
"""

from __future__ import annotations

import functools
import re
import shutil
from typing import TYPE_CHECKING

from melpy.plan.template import replace_references
from melpy.run import run

if TYPE_CHECKING:
    from collections.abc import Callable

_LONG = 16_384  # characters; the parser takes quadratic time and space for some texts, a shell for none
_LINE = re.compile(r"^/dev/stdin: line (\d+): (.*)$", re.MULTILINE)


@functools.lru_cache(maxsize=16384)
def is_plausible(script: str) -> bool:
    """Tell whether a script, its `${{…}}` still in it, looks like shell; a false answer may be wrong."""
    if len(script) > _LONG:
        return False
    text = replace_references(script, lambda found: "x" * (found.end - found.start)) if "${{" in script else script
    return not _parser()(text.encode("utf-8", "replace"))


def find_syntax_error(script: str) -> tuple[int, str] | None:
    """Return the line, counted from 1, and the words in which a shell refuses a script; None when it takes it.

    Without bash on this machine every script is taken.
    """
    bash = shutil.which("bash")
    if bash is None:
        return None
    command = [bash, "--norc", "-O", "extglob", "-n", "/dev/stdin"]
    outcome = run(command, env={"LC_ALL": "C"}, stdin=script, check=False, timeout=20)
    match = _LINE.search(outcome.stderr)
    if outcome.status == 0 or match is None:
        return None
    return int(match[1]), match[2].removeprefix("syntax error: ")


@functools.cache
def _parser() -> Callable[[bytes], bool]:
    """Return what tells whether a text has errors."""
    import tree_sitter  # noqa: PLC0415  # 10 ms that recipes without scripts do without
    import tree_sitter_bash  # noqa: PLC0415  # likewise

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))
    return lambda text: parser.parse(text).root_node.has_error
