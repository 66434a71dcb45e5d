"""Builds that were kept, and how they go on: entered by a user, or run again from a step on."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from melpy.build.reentry import load_session
from melpy.build.site import return_files
from melpy.engine.buildcache import hold_cache
from melpy.engine.workdir import WORK, find_work, reuse_kept
from melpy.errors import StoreError, UsageError
from melpy.rootfs.layout import STORE, hold_entry, share_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from melpy.build.reentry import Kept
    from melpy.engine.model import BuildSpec, PlannedBuild
    from melpy.sandbox.model import NativeTools


@contextmanager
def open_kept(directory: Path) -> Iterator[Kept]:
    """Have a build that was kept to oneself, and what it lies upon kept from being pruned; it stays kept.

    Raises:
        OutputError: there is no such build, a build works in it now, or it is of another melpy.
        StoreError: a part of its root is no longer there.
    """
    with ExitStack() as stack:
        stack.enter_context(reuse_kept(directory))
        kept = load_session(directory)
        _hold_layers(kept, stack)
        if kept.site.cache:
            stack.enter_context(hold_cache(kept.site.cache))
        return_files(kept.site)
        yield kept


def _hold_layers(kept: Kept, stack: ExitStack) -> None:
    layers = kept.site.root.layers
    # The topmost layer of the environment is an entry of the store that keeps all below it.
    for store in {layer.parent.parent for layer in layers if layer.parent.parent.name == STORE}:
        with share_store(store):
            for layer in layers:
                if layer.parent.parent == store and (held := hold_entry(store, layer.parent.name)):
                    stack.enter_context(closing(held))
    tools = kept.site.machine.tools
    needed = (*layers, *((tools.directory, tools.cache) if tools else ()))
    gone = [layer for layer in needed if not layer.exists()]
    if gone:
        hint = f"build it anew, or go on with it: melpy build --from-step {kept.reached} has the packages again"
        raise StoreError(f"was pruned, and the build root of {kept.job} lies upon it", where=str(gone[0]), hint=hint)


def find_first_step(build: PlannedBuild, spec: BuildSpec) -> tuple[int, Kept]:
    """Return the number of the step that `--from-step` names, and the kept build that ran those before.

    Raises:
        UsageError: there is no such step or build, or a step before it is another by now.
    """
    steps = [step for package in build.plan.packages for step in package.steps]
    labels = [step.label for step in steps]
    first = find_step(spec.steps.from_step, labels, "--from-step")
    base = spec.cache_dir / WORK
    work = next((work for work in find_work(base, f"{build.plan.name}-{build.arch.apk}") if work.kept), None)
    if work is None:
        raise UsageError(
            f"no build of {build.plan.job} was kept", where="--from-step", hint="build it with --keep first"
        )
    kept = load_session(work.path)
    before = [step for _, step in kept.steps]
    for number, step in enumerate(steps[: first - 1], 1):
        if before[number - 1 : number] != [step]:
            hint = f"begin with it: --from-step {number}"
            raise UsageError(
                f"step {number}, {labels[number - 1]!r}, has changed since", where="--from-step", hint=hint
            )
    return first, kept


def check_environment(kept: Kept, layers: Sequence[Path], tools: NativeTools | None) -> None:
    """Check that the steps before ran in the environment that those to come will have.

    Raises:
        UsageError: they did not.
    """
    before = kept.site.root.layers
    # A root that was copied has none; what was in it then is still there.
    if before and before != tuple(reversed((*layers, *(tools.layers if tools else ())))):
        hint = "build it from the beginning, without --from-step"
        raise UsageError("the environment has changed since", where="--from-step", hint=hint)


def find_step(text: str, labels: Sequence[str], where: str) -> int:
    """Return the number of a step, given as such or by its label.

    Raises:
        UsageError: there is no such step, or several of that name.
    """
    if text.isdecimal() and 1 <= int(text) <= len(labels):
        return int(text)
    found = [number for number, label in enumerate(labels, 1) if label == text]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{number} {label}" for number, label in enumerate(labels, 1))
    wrong = "is the name of several steps" if found else "is no step"
    raise UsageError(f"{text!r} {wrong}", where=where, hint=f"steps are {known}")
