"""Output trees become unsigned packages: drafts (SBOM, scan, control files), what is odd about them, archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.model import PackageInfo
from melpy.arch import NOARCH
from melpy.attest.sbom import Origin, RecipeOrigin, render_sbom, sbom_path
from melpy.build.model import Kind
from melpy.build.tree import add_file
from melpy.engine.inputs import render_build_inputs
from melpy.errors import RecipeError
from melpy.pack.acceptance import lint_acceptance
from melpy.pack.model import ControlFile, Draft
from melpy.pack.overlap import lint_overlap
from melpy.pack.package import write_package
from melpy.plan.compiled import render_compiled
from melpy.scan.model import Subject, Switches
from melpy.scan.portable import find_bound_files
from melpy.scan.scanner import scan_package
from melpy.scan.sibling import resolve_siblings
from melpy.text import escape, shorten_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.build.model import OutputTree
    from melpy.engine.inputs import Inputs
    from melpy.plan.model import PackagePlan, Plan
    from melpy.scan.model import Findings
    from melpy.solve.model import Solution


def draft_packages(
    inputs: Inputs,
    trees: Sequence[OutputTree],
    solution: Solution,
    texts: Mapping[str, str],
    monitor: events.Monitor,
) -> tuple[Draft, ...]:
    """Return the packages of a build, before anything of them is written.

    Args:
        inputs: what was built.
        trees: the files of each package.
        solution: the environment that it was built in.
        texts: texts of licences by their path in the workspace.
        monitor: is told what a scan could not understand.

    Raises:
        PackageFormatError: a file is in the way of the SBOM.
        RecipeError: packages that are to be for every architecture have files that are for one.
    """
    plan, revision, distribution = inputs.plan, inputs.revision, inputs.distribution
    recipe = RecipeOrigin(distribution.repository, revision.path, distribution.licence)
    origin = Origin(distribution.namespace, revision.commit, revision.epoch, recipe)
    complete = tuple(
        add_file(tree, sbom_path(package, plan), render_sbom(package, plan, origin, texts).encode())
        for tree, package in zip(trees, plan.packages, strict=True)
    )
    compiled = ControlFile(".melange.yaml", render_compiled(plan, solution.locked).encode(errors="surrogateescape"))
    found = _scan(plan, complete, solution, monitor)
    return tuple(
        Draft(tree, _info(package, findings, inputs), (compiled, *_scripts(package)))
        for tree, package, findings in zip(complete, plan.packages, found, strict=True)
    )


def lint_packages(plan: Plan, trees: Sequence[OutputTree], drafts: Sequence[Draft]) -> Iterator[events.Warning]:
    """Yield warnings of what may not be meant: in one package, or between those of a recipe.

    Args:
        plan: what was built.
        trees: the files that the steps left for each package.
        drafts: the packages.
    """
    for tree, package in zip(trees, plan.packages, strict=True):
        # One without steps is meant to have no files.
        if package.steps and package.name != plan.name and all(entry.kind is Kind.DIRECTORY for entry in tree):
            hint = "look at what its steps should have moved, or leave the subpackage out"
            yield events.Warning(plan.job, f"{package.name}: its steps put no file into it", hint)
    for text in lint_overlap([(draft.tree, draft.info) for draft in drafts]):
        hint = "let one conflict with the other, or, where both have files, replace them"
        yield events.Warning(plan.job, text, hint)
    for draft in drafts:
        for text in lint_acceptance(draft.tree, draft.info, draft.control):
            yield events.Warning(plan.job, f"{draft.info.name}: {text}")


def write_packages(
    inputs: Inputs, drafts: Sequence[Draft], directory: Path, *, whole: bool = True
) -> tuple[IndexEntry, ...]:
    """Write all packages of a build, unsigned, into a directory; return what indexes say of them.

    Args:
        inputs: what was built.
        drafts: the packages.
        directory: where they go.
        whole: whether all steps were run, and not those of an earlier build taken for some.

    Raises:
        OutputError: the directory cannot be written.
        PackageFormatError: a file cannot be packed.
    """
    made_of = render_build_inputs(inputs, whole=whole)
    return tuple(
        write_package(
            draft.tree,
            draft.info,
            directory,
            mtime=inputs.revision.epoch,
            control=draft.control,
            inputs=made_of,
            durable=False,
        )
        for draft in drafts
    )


def _scan(
    plan: Plan, trees: tuple[OutputTree, ...], solution: Solution, monitor: events.Monitor
) -> tuple[Findings, ...]:
    """Scan all packages of a build, and tell of what could not be understood.

    Raises:
        RecipeError: packages that are to be for every architecture have files that are for one.
    """
    subjects = [
        Subject(tree, plan.full_version, trees, package.runtime, package.provides, _switches(package), arch=plan.arch)
        for tree, package in zip(trees, plan.packages, strict=True)
    ]
    if plan.noarch:
        _check_portable(subjects, plan)
    found = [scan_package(subject) for subject in subjects]
    for package, findings in zip(plan.packages, found, strict=True):
        for warning in findings.warnings:
            monitor.emit(events.Warning(plan.job, f"{package.name}: {warning}"))
    return resolve_siblings(subjects, found, {name for offer in solution.offers for name, _ in offer.answers})


def _check_portable(subjects: Sequence[Subject], plan: Plan) -> None:
    """Check that packages have no file that is for one architecture.

    Raises:
        RecipeError: they do; the error names the keys of the recipe.
    """
    for subject, package in zip(subjects, plan.packages, strict=True):
        found = list(find_bound_files(subject))
        if found:
            paths = shorten_list([escape(path) for path, _ in found])
            error = RecipeError(
                f"the package {package.name!r} is {NOARCH}, but has files for {found[0][1]}: {paths}",
                hint=f"name the architectures that it is built for instead of {NOARCH}, or remove the files",
            )
            error.keys = ("package", "target-architecture")
            raise error


def _switches(package: PackagePlan) -> Switches:
    return Switches(package.no_provides, package.no_depends, package.no_commands, package.no_versioned_shlib_deps)


def _info(package: PackagePlan, findings: Findings, inputs: Inputs) -> PackageInfo:
    plan, revision = inputs.plan, inputs.revision
    return PackageInfo(
        name=package.name,
        version=plan.full_version,
        arch=plan.package_arch,
        origin=plan.name,
        description=package.description,
        url=package.url,
        commit=package.commit or revision.commit,
        maintainer=inputs.distribution.namespace,
        build_date=revision.epoch,
        licenses=tuple(entry.license for entry in plan.licences if entry.license),
        depends=findings.depends,
        provides=findings.provides,
        replaces=package.replaces,
        vendored=findings.vendored,
        provider_priority=package.provider_priority,
        replaces_priority=package.replaces_priority,
        triggers=package.triggers,
    )


def _scripts(package: PackagePlan) -> Iterator[ControlFile]:
    return (ControlFile(f".{name}", text.encode(), 0o755) for name, text in package.scriptlets)
