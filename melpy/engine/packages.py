"""Output trees become packages: SBOM, scan, control files, archive. Nothing is published before all are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.model import PackageInfo
from melpy.attest.sbom import Origin, RecipeOrigin, render_sbom, sbom_path
from melpy.build.model import Kind
from melpy.build.tree import add_file
from melpy.engine.inputs import render_build_inputs
from melpy.engine.model import BuildContext, BuiltPackage
from melpy.files import output_error, scratch_directory
from melpy.pack.acceptance import lint_acceptance
from melpy.pack.model import ControlFile
from melpy.pack.overlap import lint_overlap
from melpy.pack.package import write_package
from melpy.plan.compiled import render_compiled
from melpy.repo.repository import publish_packages
from melpy.repo.signing import LOST_HINT
from melpy.scan.model import Subject, Switches
from melpy.scan.scanner import scan_package
from melpy.scan.sibling import resolve_siblings
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.build.model import OutputTree
    from melpy.engine.inputs import Inputs
    from melpy.plan.model import PackagePlan, Plan
    from melpy.repo.model import Publication
    from melpy.scan.model import Findings
    from melpy.solve.model import Solution


def write_packages(
    inputs: Inputs,
    trees: Sequence[OutputTree],
    solution: Solution,
    texts: Mapping[str, str],
    context: BuildContext,
    monitor: events.Monitor,
) -> tuple[BuiltPackage, ...]:
    """Write all packages of a build into the repository's directory of the architecture.

    They are written beside it first; only when all are there, they are published, and then the index.

    Args:
        inputs: what was built.
        trees: the files of each package.
        solution: the environment that it was built in.
        texts: texts of licences by their path in the workspace.
        context: where packages go, and how they are signed.
        monitor: is told what happens.

    Raises:
        OutputError: the repository cannot be written.
        PackageFormatError: a file cannot be packed.
    """
    plan, revision, distribution = inputs.plan, inputs.revision, inputs.distribution
    _warn_of_emptiness(plan, trees, monitor)
    directory = context.out_dir / plan.arch
    recipe = RecipeOrigin(distribution.repository, revision.path, distribution.licence)
    origin = Origin(distribution.namespace, revision.commit, revision.epoch, recipe)
    complete = tuple(
        add_file(tree, sbom_path(package, plan), render_sbom(package, plan, origin, texts).encode())
        for tree, package in zip(trees, plan.packages, strict=True)
    )
    compiled = render_compiled(plan, solution.locked).encode(errors="surrogateescape")
    infos = [
        _info(package, findings, inputs)
        for package, findings in zip(plan.packages, _scan(plan, complete, solution, monitor), strict=True)
    ]
    contents = [(ControlFile(".melange.yaml", compiled), *_scripts(package)) for package in plan.packages]
    packages = tuple(zip(complete, infos, contents, strict=True))
    _warn_of_contents(packages, plan, monitor)
    made_of = render_build_inputs(inputs)
    try:
        with scratch_directory(directory) as staged:
            entries = [
                write_package(
                    tree, info, staged, mtime=revision.epoch, signer=context.signer, control=files, inputs=made_of
                )
                for tree, info, files in packages
            ]
            published = publish_packages(context.out_dir, plan.arch, staged, entries, signer=context.signer)
    except OSError as error:
        raise output_error(directory, error) from None
    _warn_of_publication(published, plan, monitor)
    return tuple(BuiltPackage(entry, directory / entry.info.file_name) for entry in entries)


def _warn_of_emptiness(plan: Plan, trees: Sequence[OutputTree], monitor: events.Monitor) -> None:
    """Warn of subpackages whose steps found nothing to put into them; one without steps is meant to have no files."""
    for tree, package in zip(trees, plan.packages, strict=True):
        if package.steps and package.name != plan.name and all(entry.kind is Kind.DIRECTORY for entry in tree):
            hint = "look at what its steps should have moved, or leave the subpackage out"
            monitor.emit(events.Warning(plan.job, f"{package.name}: its steps put no file into it", hint))


def _warn_of_contents(
    packages: Sequence[tuple[OutputTree, PackageInfo, Sequence[ControlFile]]], plan: Plan, monitor: events.Monitor
) -> None:
    """Warn of what clients take otherwise than it may be meant, in one package or between those of a recipe."""
    for text in lint_overlap([(tree, info) for tree, info, _ in packages]):
        hint = "let one conflict with the other, or, where both have files, replace them"
        monitor.emit(events.Warning(plan.job, text, hint))
    for tree, info, files in packages:
        for text in lint_acceptance(tree, info, files):
            monitor.emit(events.Warning(plan.job, f"{info.name}: {text}"))


def _warn_of_publication(published: Publication, plan: Plan, monitor: events.Monitor) -> None:
    """Warn where clients will not take what was built: other content under a known version, or an older version."""
    if published.replaced:
        names = shorten_list([entry.info.full_name for entry in published.replaced])
        text = f"published before with other content: {names}; clients that have installed it will not upgrade"
        monitor.emit(events.Warning(plan.job, text, "raise the epoch in the recipe"))
    for key in published.lost:
        text = f"{published.index} was signed with {key}, and is not any more"
        monitor.emit(events.Warning(plan.job, text, LOST_HINT))
    for error in published.damaged:
        hint = error.hint or "build it again, or remove the file"
        monitor.emit(events.Warning(plan.job, f"{error}; it is left out of the index", hint))
    for entry, newer in published.outdated:
        text = (
            f"{entry.info.full_name} is older than {newer.info.full_name} of the repository; clients will not take it"
        )
        monitor.emit(events.Warning(plan.job, text, "remove the newer one, or raise the version or the epoch"))


def _scan(
    plan: Plan, trees: tuple[OutputTree, ...], solution: Solution, monitor: events.Monitor
) -> tuple[Findings, ...]:
    """Scan all packages of a build, and tell of what could not be understood."""
    subjects = [
        Subject(tree, plan.full_version, trees, package.runtime, package.provides, _switches(package), arch=plan.arch)
        for tree, package in zip(trees, plan.packages, strict=True)
    ]
    found = [scan_package(subject) for subject in subjects]
    for package, findings in zip(plan.packages, found, strict=True):
        for warning in findings.warnings:
            monitor.emit(events.Warning(plan.job, f"{package.name}: {warning}"))
    return resolve_siblings(subjects, found, {name for offer in solution.offers for name, _ in offer.answers})


def _switches(package: PackagePlan) -> Switches:
    return Switches(package.no_provides, package.no_depends, package.no_commands, package.no_versioned_shlib_deps)


def _info(package: PackagePlan, findings: Findings, inputs: Inputs) -> PackageInfo:
    plan, revision = inputs.plan, inputs.revision
    return PackageInfo(
        name=package.name,
        version=plan.full_version,
        arch=plan.arch,
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


def _scripts(package: PackagePlan) -> list[ControlFile]:
    return [ControlFile(f".{name}", text.encode(), 0o755) for name, text in package.scriptlets]
