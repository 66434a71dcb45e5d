"""Layers and what is lifted above them show the very tree that installing one package after the other makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from melpy.errors import FileConflictError
from melpy.rootfs.tree import make_tree
from tests.factories.rootfs import manifest
from tests.factories.tree import Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.rootfs.model import Manifest
    from melpy.rootfs.tree import Tree

TARGETS = ["d", "/d", "d/e", "../../d", "m", "/m/e", "l", "."]
NAMES = st.sampled_from(["d", "e", "f"])
DIRECTORIES = st.lists(st.sampled_from(["l", "m", "d", "e"]), max_size=3)
FILES = st.dictionaries(
    st.builds(lambda above, name: "/".join([*above, name]), DIRECTORIES, NAMES), st.sampled_from(["1", "2"]), max_size=5
)


def consistent(files: Mapping[str, str]) -> dict[str, str]:
    """Return files of which none is the directory of another."""
    return {path: text for path, text in files.items() if not any(other.startswith(f"{path}/") for other in files)}


@st.composite
def installs(draw: st.DrawFn) -> list[Manifest]:
    links = draw(st.dictionaries(st.sampled_from(["l", "m", "d/l", "e/m"]), st.sampled_from(TARGETS), max_size=3))
    parts = [manifest("base", {path: Link(target) for path, target in links.items()})]
    for number in range(draw(st.integers(1, 4))):
        info = {
            "replaces": tuple(draw(st.lists(st.sampled_from(["p0", "p1", "p2", "p3"]), max_size=2))),
            "replaces_priority": draw(st.sampled_from(["", "1", "2"])),
            "origin": draw(st.sampled_from(["", "o"])),
        }
        parts.append(manifest(f"p{number}", consistent(draw(FILES)), **info))
    return parts


class ConflictError(Exception):
    """What cannot be installed."""


@dataclass
class Root:
    """A root that packages are installed into, one file after the other, as apk does it."""

    files: dict[str, tuple[Manifest, str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def place(self, parts: list[str], depth: int = 0) -> list[str]:
        """Return a directory without symlinks, made where it is missing."""
        done: list[str] = []
        for number, part in enumerate(parts):
            if part in {"", "."}:
                continue
            if part == "..":
                done = done[:-1]
                continue
            path = "/".join([*done, part])
            if path in self.links:
                if depth > 60:
                    raise ConflictError
                target = self.links[path]
                start = [] if target.startswith("/") else done
                return self.place([*start, *target.split("/"), *parts[number + 1 :]], depth + 1)
            if path in self.files:
                raise ConflictError
            self.directories.add(path)
            done.append(part)
        return done

    def install(self, package: Manifest) -> None:
        for path, target in zip(package.links, package.targets, strict=True):
            self.links[path] = target
            self.place(path.split("/")[:-1])
        for path in package.files:
            *above, name = path.split("/")
            place = "/".join([*self.place(above), name])
            if place in self.directories or place in self.links:
                raise ConflictError
            owner = self.files.get(place)
            if owner is None or self.gives_way(owner, package, path):
                self.files[place] = (package, path)

    def gives_way(self, owner: tuple[Manifest, str], package: Manifest, path: str) -> bool:
        old, kept = owner
        if old is package:
            if checksum(old, kept) != checksum(package, path):
                raise ConflictError
            return True
        mine = old.replaces_priority if package.name in old.replaces else -1
        theirs = package.replaces_priority if old.name in package.replaces else -1
        if mine > theirs:
            return False
        if theirs >= 0 or (old.origin and old.origin == package.origin):
            return True
        if checksum(old, kept) != checksum(package, path):
            raise ConflictError
        return False


def checksum(package: Manifest, path: str) -> str:
    lines = package.installed.split("\n")
    *above, name = path.split("/")
    start = lines.index(f"R:{name}", lines.index(f"F:{'/'.join(above)}"))
    return lines[start + 1]


def shown(tree: Tree) -> dict[str, str]:
    """Return what an overlay of the layers shows: of each file the package and its content, `link` for symlinks."""
    seen: dict[str, str] = {}

    def put(path: str, content: str) -> None:
        parts = path.split("/")
        for number in range(1, len(parts)):
            above = "/".join(parts[:number])
            if seen.get(above, "d") != "d":
                del seen[above]
            seen[above] = "d"
        if content != "d":
            for hidden in [other for other in seen if other.startswith(f"{path}/")]:
                del seen[hidden]
        seen[path] = content

    for package in tree.packages:
        for path in package.manifest.files:
            put(path, f"{package.manifest.name} {checksum(package.manifest, path)}")
        for path in package.manifest.links:
            put(path, "link")
    for path, place in tree.lifted.items():
        one = tree.packages[place.package].manifest
        put(path, "link" if place.path in one.links else f"{one.name} {checksum(one, place.path)}")
    return {path: content for path, content in seen.items() if content != "d"}


@given(installs())
def test_the_tree_is_that_of_one_install_after_the_other(packages: list[Manifest]) -> None:
    root = Root()
    try:
        for package in packages:
            root.install(package)
    except ConflictError:
        expected = None
    else:
        expected = {path: f"{one.name} {checksum(one, source)}" for path, (one, source) in root.files.items()}
        expected |= dict.fromkeys(root.links, "link")
    try:
        found = shown(make_tree(packages))
    except FileConflictError:
        found = None
    assert found == expected
