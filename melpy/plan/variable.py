"""The variables of a recipe: what `${{…}}` may name outside of pipelines.

Variables may refer to one another; each is resolved when it is first asked for, and a circle is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.errors import RecipeError, TemplateError
from melpy.plan.substitution import replace_all
from melpy.plan.template import REFERENCE, Spot, render, render_loosely

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.arch import Arch
    from melpy.recipe.model import Recipe, VarTransform


def arch_variables(arch: Arch, libc: str = "gnu") -> dict[str, str]:
    """Return the variables that depend on the architecture alone."""
    return {
        "build.arch": arch.apk,
        "build.goarch": arch.go,
        "host.triplet.gnu": arch.gnu_triplet(libc),
        "host.triplet.rust": arch.rust_triplet(libc),
        "cross.triplet.gnu.glibc": arch.gnu_triplet("gnu"),
        "cross.triplet.gnu.musl": arch.gnu_triplet("musl"),
        "cross.triplet.rust.glibc": arch.rust_triplet("gnu"),
        "cross.triplet.rust.musl": arch.rust_triplet("musl"),
    }


def recipe_variables(
    recipe: Recipe, constants: Mapping[str, str], overrides: Mapping[str, str], faults: list[RecipeError]
) -> dict[str, str]:
    """Return `package.*` and `vars.*`, var-transforms applied, beside the constants.

    Args:
        recipe: the recipe.
        constants: variables that are known already.
        overrides: `vars` that build options or the command line set, by name without `vars.`.
        faults: receives what is wrong; the variables concerned keep their text.
    """
    resolver = _Resolver(recipe, constants, overrides, faults)
    for index, transform in enumerate(recipe.model.var_transforms):
        resolver.transform(transform, Spot(recipe.document, ("var-transforms", index)))
    return resolver.all()


class _Resolver:
    def __init__(
        self, recipe: Recipe, constants: Mapping[str, str], overrides: Mapping[str, str], faults: list[RecipeError]
    ) -> None:
        self._faults = faults
        self._values = dict(constants)
        self._pending = dict(_definitions(recipe, overrides))
        self._active: list[str] = []

    def all(self) -> dict[str, str]:
        for name in list(self._pending):
            self._resolve(name)
        return self._values

    def transform(self, transform: VarTransform, spot: Spot) -> None:
        name = f"vars.{transform.to}"
        try:
            source = self._render(transform.from_, spot.below("from"))
            result = replace_all(transform.match, transform.replace, source)
            # A replacement may bring in a reference of its own.
            self._values[name] = self._render(result, spot.below("replace"))
        except re.error as error:
            message = f"not a regular expression: {error.msg}"
            self._faults.append(spot.below("match").at(transform.match, error.pos or 0, TemplateError, message, None))
            self._values[name] = transform.from_
        except RecipeError as error:
            self._faults.append(error)
            self._values[name] = transform.from_
        self._pending.pop(name, None)

    def _resolve(self, name: str) -> None:
        if name not in self._pending:
            return
        text, spot = self._pending[name]
        if name in self._active:
            chain = " -> ".join([*self._active[self._active.index(name) :], name])
            raise spot.at(text, 0, TemplateError, f"variables refer to each other in a circle: {chain}", None)
        self._active.append(name)
        try:
            value = self._render(text, spot, loosely=name == "package.description")
        except RecipeError as error:
            self._faults.append(error)
            value = text
        finally:
            self._active.pop()
        del self._pending[name]
        self._values[name] = value

    def _render(self, text: str, spot: Spot, *, loosely: bool = False) -> str:
        for match in REFERENCE.finditer(text):
            for name in re.findall(r"(?:vars|package)\.[A-Za-z0-9._-]+", match[1]):
                self._resolve(name)
        return render_loosely(text, self._values) if loosely else render(text, self._values, spot)


def _definitions(recipe: Recipe, overrides: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, Spot]]]:
    package = recipe.model.package
    root = Spot(recipe.document, ())
    for key in ("name", "version", "description"):
        yield f"package.{key}", (getattr(package, key), root.below("package", key))
    yield "package.epoch", (str(package.epoch), root.below("package", "epoch"))
    yield "package.full-version", (f"${{{{package.version}}}}-r{package.epoch}", root.below("package", "version"))
    for name, text in recipe.model.vars.items():
        yield f"vars.{name}", (overrides.get(name, text), root.below("vars", name))
    for name, text in overrides.items():
        if name not in recipe.model.vars:
            yield f"vars.{name}", (text, root.below("options"))
