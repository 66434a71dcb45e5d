"""Replay a graph: `melpy graph PATH --format json | python -m tests.checker.graph`.

Each name of each environment, and of the runtime closure of its provider, must be built before by what the build needs,
or be listed as from outside; and that must have a reason: no recipe makes it, or its own, or one that its cycle is cut
at, or it comes with such a package. No member of a cut can be left out. Nothing of melpy is used here.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections import defaultdict
from typing import Any


class Replay:
    def __init__(self, data: dict[str, Any]) -> None:
        self.builds = {build["build"]: build for build in data["builds"]}
        self.cycles = data["cycles"]
        self.cut = {member: set(cycle["cut"]) for cycle in self.cycles for member in cycle["members"]}
        self.runtime: dict[tuple[str, str], list[str]] = {}
        self.origin: dict[tuple[str, str], list[str]] = {}  # what comes before, as it was built with it elsewhere
        self.maker: dict[tuple[str, str], str] = {}
        self.providers: defaultdict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
        for build in data["builds"]:
            for package, arch in [(package, arch) for package in build["packages"] for arch in build["arches"]]:
                key = (package["name"], arch)
                self.runtime[key], self.maker[key] = package["runtime"], build["build"]
                self.origin[key] = build["world"] if arch != build["arches"][0] else []
                for text in [f"{package['name']}={build['version']}", *package["provides"]]:
                    name, _, version = text.partition("=")
                    self.providers[name, arch].append((order(version), package["priority"], key))
        for (name, _), found in self.providers.items():
            found.sort(key=lambda one, name=name: (one[2][0] != name, one[2]))  # type: ignore[misc]  # a lambda's default
            found.sort(key=functools.cmp_to_key(compare), reverse=True)

    def closure(self, build: str, cut: set[str], *, before: bool = False) -> dict[str, tuple[str, bool]]:
        """Return each constraint that a build reaches: its answer's maker, and whether the cut brings it alone.

        With `before`, constraints of the environments of what is built once for all architectures are among them.
        """
        arch = self.builds[build]["arches"][0]
        found: dict[str, tuple[str, bool]] = {}
        todo = [(text, False) for text in reversed(self.builds[build]["world"])]
        while todo:
            text, hidden = todo.pop()
            if text.startswith("!") or (text in found and (hidden or not found[text][1])):
                continue
            key = next((one[2] for one in self.providers[name_of(text), arch] if meets(text, one[0])), ("", ""))
            maker = self.maker.get(key, "")
            found[text] = (maker, hidden)
            more = [*self.runtime.get(key, []), *(self.origin.get(key, []) if before else [])]
            todo += [(one, hidden or maker in cut) for one in more]
        return found

    def check(self) -> list[str]:
        """Return what is wrong."""
        wrong: list[str] = []
        before: dict[str, set[str]] = {}
        for build, data in self.builds.items():
            late = [needed for needed in data["needs"] if needed not in before]
            wrong += [f"{build} comes before {needed}" for needed in late]
            seen = set(data["needs"]).union(*(before.get(needed, set()) for needed in data["needs"]))
            before[build] = seen
            cut, listed = self.cut.get(build, set()), set(data["outside"])
            found = self.closure(build, cut)
            missing = {name_of(text) for text, (maker, _) in found.items() if maker not in seen} - listed
            wrong += [f"{build}: {name} is neither built before nor listed as from outside" for name in missing]
            reasons = {name_of(text) for text, (maker, hidden) in found.items() if hidden or maker in {"", build} | cut}
            wrong += [f"{build}: {name} is listed as from outside for no reason" for name in listed - reasons]
        for cycle in self.cycles:
            for left in [None, *cycle["cut"]]:
                circular = self.is_circular(cycle["members"], set(cycle["cut"]) - {left})
                if circular != (left is not None):
                    wrong.append(f"{left} can be left out" if left else f"the cut {cycle['cut']} does not do")
        return wrong

    def is_circular(self, members: list[str], cut: set[str]) -> bool:
        """Tell whether members need one another without the packages of a cut and what these bring."""
        left = {
            one: {maker for maker, hidden in self.closure(one, cut, before=True).values() if not hidden}
            & set(members) - cut - {one}
            for one in members
        }
        while ready := [one for one, needs in left.items() if not needs & left.keys()]:
            for one in ready:
                del left[one]
        return bool(left)


def order(version: str) -> list[Any]:
    """Return what versions are compared by, well enough for those that provide the same name."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.findall("[0-9]+|[a-z]+", version)]


def compare(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
    """Compare two that have a name: by its version where both say one, else by priority."""
    if one[0] and other[0] and one[0] != other[0]:
        return 1 if one[0] > other[0] else -1
    return int(one[1] - other[1])


def name_of(text: str) -> str:
    return re.split("[<>=~@]", text)[0]


def meets(text: str, have: list[Any]) -> bool:
    found = re.fullmatch("[^<>=~@]+([<>=~]+)([^@]+)(@.*)?", text)
    want = order(found[2]) if found else []
    if not found or "~" in found[1]:
        return have[: len(want)] == want
    return bool(have) and any(
        sign in found[1] for sign, holds in (("=", have == want), ("<", have < want), (">", have > want)) if holds
    )


if __name__ == "__main__":
    replay = Replay(json.load(sys.stdin))
    problems = replay.check()
    sizes = [f"{len(cycle['cut'])} of {len(cycle['members'])}" for cycle in replay.cycles]
    total = f"{len(replay.builds)} builds, cuts: {', '.join(sizes)}; {len(problems)} wrong"
    sys.stdout.write("\n".join([*problems[:40], total, ""]))
    sys.exit(bool(problems))
