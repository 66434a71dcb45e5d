"""Whole directories of recipes, evaluated in parallel: checked, or compiled into files.

Each recipe is loaded once and evaluated for each architecture. What is wrong with one says nothing of the others.
"""

from __future__ import annotations

import functools
import gc
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from melpy.arch import parse_arch
from melpy.codec import Noun, replace
from melpy.engine.cycle import explain_cycle
from melpy.engine.limit import find_requests
from melpy.engine.summary import make_summary
from melpy.errors import FaultsError, MelpyError, Place, ProcessError, RecipeError
from melpy.files import output_error
from melpy.graph.buildgraph import make_graph
from melpy.graph.model import Summary
from melpy.plan.compiled import compile_recipe, compiled_text
from melpy.plan.library import library_for, load_definition
from melpy.plan.planner import PlanOptions, examine_recipe, find_arches
from melpy.pool import open_pool
from melpy.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from melpy.arch import Arch
    from melpy.plan.model import Evaluation
    from melpy.recipe.model import Recipe

Result = TypeVar("Result")

_CHUNK = 48  # recipes that a process takes at once; some take a hundred times as long as others


class TreeSpec(Struct, frozen=True):
    """What is to be done with recipes.

    Attributes:
        arches: architectures to evaluate them for.
        options: what the caller sets beside the recipe, by APK architecture.
        pipeline_dirs: directories of pipelines, before those beside the recipes.
        output_dir: where compiled recipes are written as `<recipe file>.json`; None only checks.
        whole: whether summaries are whole, for a run; otherwise they have what the graph is made of.
    """

    arches: tuple[Arch, ...]
    options: Mapping[str, PlanOptions] = field(default_factory=dict)
    pipeline_dirs: tuple[Path, ...] = ()
    output_dir: Path | None = None
    whole: bool = True


class Finding(Noun, frozen=True):
    """One thing that is wrong, or probably not meant.

    Attributes:
        severity: `error` or `warning`.
        code: kind of error, in kebab-case.
        message: what is wrong.
        file: where.
        line: counts from 1; 0 means the file.
        column: counts from 1.
        hint: what to do about it.
        details: an excerpt.
        arches: architectures it was found for; empty where it does not depend on one.
        exit_status: status that a command ends with for its sake; 0 for warnings.
    """

    severity: str
    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    hint: str = ""
    details: tuple[str, ...] = ()
    arches: tuple[str, ...] = ()
    exit_status: int = 0

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.file, self.line, self.column)


class RecipeReport(Noun, frozen=True):
    """What became of one recipe.

    Attributes:
        file: the recipe.
        arches: architectures it is meant for, of those asked for.
        summaries: its summary for each of them, or one for all; with errors, as far as it could be evaluated.
        findings: what is wrong with it.
        pipelines: names of the pipelines that its builds use, the built-in ones included.
    """

    file: str
    arches: tuple[str, ...] = ()
    summaries: tuple[Summary, ...] = ()
    findings: tuple[Finding, ...] = ()
    pipelines: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether it cannot be built."""
        return any(finding.severity == "error" for finding in self.findings)


def survey_recipes(files: Sequence[Path], spec: TreeSpec, jobs: int) -> Iterator[RecipeReport]:
    """Evaluate recipes and yield what became of each, in order.

    Args:
        files: recipe files.
        spec: what is to be done.
        jobs: how many processes may work.

    Raises:
        ProcessError: one of the processes was killed.
    """
    return map_recipes(functools.partial(_survey, spec=spec), files, jobs)


def map_recipes(work: Callable[[Path], Result], files: Sequence[Path], jobs: int) -> Iterator[Result]:
    """Yield what a function makes of each recipe, in order.

    Args:
        work: the function; it can be sent to another process, and so can what it returns.
        files: recipe files.
        jobs: how many processes may work.

    Raises:
        ProcessError: one of the processes was killed.
    """
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    if jobs < 2 or len(chunks) < 2:  # one is not parallel
        for chunk in chunks:
            yield from _map_chunk(chunk, work)
        return
    # Importing it takes 6 ms, and a build of one recipe does not need it.
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    # Forked, so that modules are there already.
    with open_pool(min(jobs, len(chunks)), "fork", gc.disable) as pool:
        try:
            for reports in pool.map(functools.partial(_map_chunk, work=work), chunks):
                yield from reports
        except BrokenProcessPool:
            hint = "it may have had too little memory; --jobs 1 has it work in this process"
            raise ProcessError("a process that looked into recipes ended", hint=hint) from None


def survey_pipelines(directories: Iterable[Path]) -> Iterator[Finding]:
    """Read every pipeline definition of directories, be it used or not, and yield what is wrong with it."""
    for directory in directories:
        for file in sorted(directory.rglob("*.yaml")):
            if not file.is_file():
                continue
            name = file.relative_to(directory).with_suffix("").as_posix()
            try:
                definition = load_definition(name, file)
            except RecipeError as error:
                yield from _findings(error, str(file), ())
            else:
                for warning in definition.warnings:
                    yield _finding(warning, str(file), (), severity="warning")


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return each finding once, by file and position, with all architectures that it was found for."""
    merged: dict[Finding, dict[str, None]] = {}
    everywhere: set[Finding] = set()
    for found in findings:
        key = replace(found, arches=())
        merged.setdefault(key, {}).update(dict.fromkeys(found.arches))
        if not found.arches:
            everywhere.add(key)
    result = [replace(key, arches=() if key in everywhere else tuple(names)) for key, names in merged.items()]
    return tuple(sorted(result, key=lambda found: (found.file, found.line, found.column)))


def find_clashes(reports: Iterable[RecipeReport]) -> Iterator[Finding]:
    """Yield an error for each package of an architecture that two recipes of one directory make."""
    makers: dict[tuple[Path, str, str], str] = {}
    for report in reports:
        for name, arch in [made for one in report.summaries for made in one.list_made()]:
            other = makers.setdefault((Path(report.file).parent, arch, name), report.file)
            if other != report.file:
                message = f"makes the package {name!r}, which {other} makes too"
                yield _finding(RecipeError(message, where=Place(report.file)), report.file, (arch,))


def find_circles(reports: Sequence[RecipeReport], spec: TreeSpec) -> Iterator[Finding]:
    """Yield a warning for each group of recipes of a directory that need one another, with the lines of the needs.

    A build cuts such a cycle where a repository has packages of it already, which nobody looks for here.
    """
    groups: dict[tuple[Path, str], dict[str, Summary]] = {}
    for report in reports:
        for summary in report.summaries:
            for arch in summary.arches:
                # Of packages that two recipes make, `find_clashes` tells.
                groups.setdefault((Path(report.file).parent, arch), {}).setdefault(summary.name, summary)
    for (_, arch), group in groups.items():
        summaries = list(group.values())
        graph = make_graph(_drop_clashes(summaries), outside=lambda _name, _arch: True)
        for chain in (*(cycle.chain for cycle in graph.cycles), *graph.find_returns()):
            error = explain_cycle(chain, {}, summaries, functools.partial(evaluate_summary, spec=spec))
            yield _finding(error, group[chain[0].dependent.recipe].file, (arch,), severity="warning")


def _drop_clashes(summaries: Iterable[Summary]) -> list[Summary]:
    """Leave out packages that an earlier recipe makes, which `find_clashes` tells of."""
    seen: set[str] = set()
    kept = []
    for summary in summaries:
        own = tuple(package for package in summary.packages if package.name not in seen)
        seen |= {package.name for package in own}
        kept.append(replace(summary, packages=own))
    return kept


def evaluate_summary(summary: Summary, spec: TreeSpec) -> Evaluation:
    """Return the recipe of a summary, evaluated as far as it can be.

    Raises:
        RecipeError: it cannot be read any more.
    """
    file = Path(summary.file)
    library = library_for(file, spec.pipeline_dirs)
    arch = summary.environment_arch
    return examine_recipe(load_recipe(file), parse_arch(arch), library, spec.options.get(arch))[0]


def _map_chunk(files: Sequence[Path], work: Callable[[Path], Result]) -> list[Result]:
    return [work(file) for file in files]


def _survey(file: Path, spec: TreeSpec) -> RecipeReport:
    output = spec.output_dir / f"{file.name}.json" if spec.output_dir else None
    if output:
        output.unlink(missing_ok=True)
    try:
        recipe = load_recipe(file)
    except MelpyError as error:  # it may have vanished meanwhile
        return RecipeReport(str(file), findings=tuple(_findings(error, str(file), ())))
    arches: list[str] = []
    summaries: list[Summary] = []
    findings: list[Finding] = []
    pipelines: set[str] = set()
    for arch in find_arches(recipe, spec.arches, spec.options):
        found = _examine(recipe, arch, spec, output)
        arches += found.arches
        summaries += found.summaries
        findings += found.findings
        pipelines.update(found.pipelines)
    return RecipeReport(str(file), tuple(arches), tuple(summaries), merge_findings(findings), tuple(sorted(pipelines)))


def _examine(recipe: Recipe, arch: Arch, spec: TreeSpec, output: Path | None) -> RecipeReport:
    file = str(recipe.path)
    library = library_for(recipe.path, spec.pipeline_dirs)
    found, faults = examine_recipe(recipe, arch, library, spec.options.get(arch.apk))
    arches = tuple(one.apk for one in spec.arches) if found.noarch else (arch.apk,)
    findings = [_finding(fault, file, arches) for fault in faults.found]
    findings += [_finding(warning, file, arches, severity="warning") for warning in faults.warnings]
    if output and not faults.found:
        _write_whole(output, compiled_text(compile_recipe(found)))
    try:
        find_requests(recipe)
        summary = make_summary(found, library if spec.whole and not faults.found else None, spec.arches)
    except MelpyError as error:  # a request of the recipe is no quantity
        findings.append(_finding(error, file, arches))
        summary = make_summary(found, None, spec.arches)
    return RecipeReport(file, arches, (summary,), tuple(findings), found.pipelines)


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all; unlike packages these need not outlive a power failure."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise output_error(path, error) from None


def _findings(error: MelpyError, file: str, arches: tuple[str, ...]) -> Iterator[Finding]:
    for fault in error.faults if isinstance(error, FaultsError) else [error]:
        yield _finding(fault, file, arches)


def describe_fault(error: MelpyError, file: str) -> Finding:
    """Return the finding that an error is, found in a file or directory."""
    return _finding(error, file, ())


def _finding(error: MelpyError, file: str, arches: tuple[str, ...], severity: str = "error") -> Finding:
    place = error.where if isinstance(error.where, Place) else Place(str(error.where or file))
    status = error.exit_status if severity == "error" else 0
    return Finding(
        severity,
        error.code,
        error.message,
        place.file,
        place.line,
        place.column,
        error.hint or "",
        error.details,
        arches,
        status,
    )
