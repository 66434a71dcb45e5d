"""The variables of a recipe: what `${{…}}` may name outside of pipelines.

Variables may refer to one another; each is resolved when it is first asked for, and a circle is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import RecipeError, TemplateError
from melpy.plan.substitution import PatternError, replace_all
from melpy.plan.template import LONGEST, Spot, find_names, render, render_loosely

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.arch import Arch
    from melpy.plan.fault import Faults
    from melpy.recipe.model import Recipe, VarTransform

_DEEPEST = 100


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
    recipe: Recipe, constants: Mapping[str, str], overrides: Mapping[str, tuple[str, Spot]], faults: Faults
) -> tuple[dict[str, str], dict[str, Spot]]:
    """Return `package.*` and `vars.*`, var-transforms applied, beside the constants; and who says each of them.

    Args:
        recipe: the recipe.
        constants: variables that are known already.
        overrides: `vars` that the caller sets, by name without `vars.`: the value, and where it stands.
        faults: receives what is wrong; the variables concerned keep their text.
    """
    resolver = _Resolver(recipe, constants, overrides, faults)
    for index, transform in enumerate(recipe.model.var_transforms):
        resolver.transform(transform, Spot(recipe.document, ("var-transforms", index)))
    return resolver.all()


class _Resolver:
    def __init__(
        self,
        recipe: Recipe,
        constants: Mapping[str, str],
        overrides: Mapping[str, tuple[str, Spot]],
        faults: Faults,
    ) -> None:
        self._faults = faults
        self._values = dict(constants)
        self._pending = dict(_definitions(recipe, overrides))
        self._origins: dict[str, Spot] = {name: origin for name, (_, _, origin) in self._pending.items()}
        self._active: list[str] = []
        self._length = 0

    def all(self) -> tuple[dict[str, str], dict[str, Spot]]:
        for name in list(self._pending):
            self._resolve(name)
        return self._values, self._origins

    def transform(self, transform: VarTransform, spot: Spot) -> None:
        name = f"vars.{transform.to}"
        self._origins[name] = spot
        try:
            source = self._render(transform.from_, spot.below("from"))
            result = replace_all(transform.match, transform.replace, source)
            # A replacement may bring in a reference of its own.
            self._keep(name, self._render(result, spot.below("replace")), spot.below("replace"))
        except PatternError as error:
            message = error.message if "too long" in error.message else f"not a regular expression: {error.message}"
            self._faults.add(spot.below("match").at(transform.match, error.position, TemplateError, message, None))
            self._values[name] = transform.from_
        except RecipeError as error:
            self._faults.add(error)
            self._values[name] = transform.from_
        self._pending.pop(name, None)

    def _resolve(self, name: str) -> None:
        if name not in self._pending:
            return
        text, spot, _ = self._pending[name]
        if len(self._active) == _DEEPEST:
            raise spot.at(
                text, 0, TemplateError, "variables refer to each other too deep", f"{_DEEPEST} levels are allowed"
            )
        if name in self._active:
            chain = " -> ".join([*self._active[self._active.index(name) :], name])
            raise spot.at(text, 0, TemplateError, f"variables refer to each other in a circle: {chain}", None)
        self._active.append(name)
        try:
            value = self._render(text, spot, loosely=name == "package.description")
        except RecipeError as error:
            self._faults.add(error)
            value = text
        finally:
            self._active.pop()
        del self._pending[name]
        self._keep(name, value, spot)

    def _keep(self, name: str, value: str, spot: Spot) -> None:
        """Note the value of a variable, as long as all together are not too long."""
        if self._length <= LONGEST < self._length + len(value):
            self._faults.add(spot.at("", 0, TemplateError, "variables expand to too much text", None))
        self._length += len(value)
        self._values[name] = "" if self._length > LONGEST else value

    def _render(self, text: str, spot: Spot, *, loosely: bool = False) -> str:
        for name in find_names(text):
            self._resolve(name)
        return render_loosely(text, self._values) if loosely else render(text, self._values, spot)


def _definitions(
    recipe: Recipe, overrides: Mapping[str, tuple[str, Spot]]
) -> Iterator[tuple[str, tuple[str, Spot, Spot]]]:
    package = recipe.model.package
    root = Spot(recipe.document, ())
    for key in ("name", "version", "description"):
        spot = root.below("package", key)
        yield f"package.{key}", (getattr(package, key), spot, spot)
    spot = root.below("package", "epoch")
    yield "package.epoch", (str(package.epoch), spot, spot)
    spot = root.below("package", "version")
    yield "package.full-version", (f"${{{{package.version}}}}-r{package.epoch}", spot, spot)
    for name, text in recipe.model.vars.items():
        if name not in overrides:
            spot = root.below("vars", name)
            yield f"vars.{name}", (text, spot, spot)
    for name, (text, origin) in overrides.items():
        yield f"vars.{name}", (text, origin, origin)
