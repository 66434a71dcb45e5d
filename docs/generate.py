"""Writes the generated pages of docs/reference: `make docs`. A unit test holds the pages against this."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.cli import melange
from melpy.cli.main import COMMANDS, cli
from melpy.cli.option import OPTIONS
from melpy.config.model import SETTINGS, default_cache
from melpy.errors import FaultsError, MelpyError
from melpy.plan.library import Library
from melpy.recipe.schema import SCHEMAS, json_schema
from melpy.sandbox.tooltable import load_tool_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).parent / "reference"

ERRORS = """\
# Errors

Every failure is one message on stderr: `error: <place>: <what is wrong>`, often with an excerpt or the last lines of a
log, and `hint: <what to do>`. The exit status tells the class. Several faults of recipes are reported together; the
status is theirs when they are of one class, else that of `recipe-invalid`.

A build of a single recipe ends with the status of what is wrong with it. A build of several goes on past failures: it
ends with 0 if all was built or up to date, with 61 if some failed, with 19 if there was nothing to choose from, and
with 130 if it was interrupted; `--json` and the summary have the error of each job.

| exit status | code | meaning |
|---|---|---|
| 0 | | It worked. |
{rows}| 130 | | It was interrupted. |

A traceback instead of a message is a bug of melpy.
"""

SETTINGS_PAGE = """\
# Settings

Each setting can stand in a `melpy.toml`, in the environment, and on the command line. Flags win over the environment,
the environment over the file, the file over the defaults. The file is looked for in the directory of the first recipe
and above it, then in the current directory and above it; `--config FILE` names another. Commands about packages,
indexes and repositories look in the current directory first, and nothing inside a repository counts for them.
`melpy config` shows every value and where it comes from. An unknown key in the file is an error.

Relative paths in the file count from the file; elsewhere from the current directory. Lists in the environment are
separated by spaces. Sizes are written as `500MB`, `8Gi` or plain bytes, durations as `90s`, `1h30m`, `2d` or plain
seconds; in the file, such a value may be a number, too. A value that cannot be used is an error of every command that
reads settings, and the message names the flag, variable or file that says it.

| key | environment | flag | default | meaning |
|---|---|---|---|---|
{rows}
`--repository-append`, `--keyring-append` and `--package-append` add to what the settings say; the other flags take its
place. One default differs from melange's: `arch` is this machine's instead of all nine (see
[decision 3](../decisions/0003-host-by-default.md)).

`SOURCE_DATE_EPOCH` in the environment takes the place of the recipe's last commit.
"""


RECIPE_PAGE = """\
# Recipes and pipeline definitions

Every key, from the model that recipes are checked with; `melpy schema` prints the same as a JSON schema. Texts keep
their spelling: `version: 1.10` is 1.10. A key without a value is as good as absent. Unknown keys are errors in recipes
and passed over, with a warning, in pipeline definitions. What texts may hold is told in [expressions](expressions.md).

Read and checked, but without effect on a build so far: `resources`, which the record of a build repeats,
`test-resources`, `checks`,
`detection-override`, and of `environment` all but `contents`, `accounts` and `environment`; `update` is for bots.
"""

PIPELINES_PAGE = """\
# Built-in pipelines

What a step's `uses:` may name, besides definitions of one's own below `pipelines/` beside the recipe; a definition of
one's own takes the place of a built-in one of the same name.

```yaml
pipeline:
  - uses: autoconf/configure
    with:
      opts: --disable-nls
```

`with:` gives the inputs. Those in bold must be given; the others have a default, or are empty. The packages are added
to the build environment. *May use the network* is said of pipelines that can: no other step sees it, and a build's
record says which did. *Done by melpy itself* are those that run outside of the sandbox: what they fetch is verified,
and kept in the cache.

{contents}
{parts}"""


NATIVE_PAGE = """\
# Native tools

Packages whose programs may run natively when packages are built for another architecture (see
[how to](../how-to/foreign-architectures.md)). Each is used where the environment has it and the same repositories have
it for this machine at the same version; releases may differ, as Debian's rebuilds do between architectures. A program
takes the place of the emulated one of the same path; whatever else is in a package stays the other architecture's.
`{{multiarch}}` is that architecture's directory of libraries in Debian, such as `aarch64-linux-gnu`.

The table is `melpy/sandbox/native.yaml`. What it may hold: programs whose output depends neither on the machine they
run on nor on paths that only the other architecture has. So there is no perl, python or cmake, which tell the
machine, and no pkgconf, which looks into its own libraries' directory. bash says what it was made for in `HOSTTYPE`
and `MACHTYPE`; for foreign builds melpy sets both to what the emulated one would say. Known to differ: numbers of
more than 18 digits in bash's own `printf`, which has the floating point type of the machine; `MAKE_HOST` of make.

| package | why | not replaced |
|---|---|---|
{rows}"""

MELANGE_PAGE = """\
# melange's commands and flags

What each command and flag of melange v0.59 is called here. `melpy` answers with the same words where it meets one that
it does not know. Flags of commands that have no counterpart are left out. How the meaning of recipes differs is told in
[decision 6](../decisions/0006-one-meaning.md).

| melange | melpy | |
|---|---|---|
"""


def main() -> None:
    """Write all generated pages."""
    for name, text in pages():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and text of every generated page."""
    yield (
        "errors.md",
        ERRORS.format(rows="".join(f"| {c.exit_status} | `{c.code}` | {_first(c)} |\n" for c in errors())),
    )
    yield "settings.md", SETTINGS_PAGE.format(rows="".join(_setting_rows()))
    yield "commands.md", "".join(_commands())
    yield "recipe.md", RECIPE_PAGE + "".join(_recipe_parts())
    yield "native-tools.md", NATIVE_PAGE.format(rows="".join(_native_rows()))
    yield "pipelines.md", _pipelines_page()
    yield "melange.md", MELANGE_PAGE + "".join(_melange_rows())


def errors() -> list[type[MelpyError]]:
    """Return every class of error, by exit status."""
    found: list[type[MelpyError]] = []
    pending = [MelpyError]
    while pending:
        current = pending.pop()
        pending += current.__subclasses__()
        found += [current] if current not in {MelpyError, FaultsError} else []
    return sorted(found, key=lambda error: error.exit_status)


def _first(error: type[MelpyError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]


def _setting_rows() -> Iterator[str]:
    for setting in SETTINGS:
        flags = ", ".join(f"`{flag}`" for flag in _flags(setting.key))
        default = " ".join(setting.default) if isinstance(setting.default, tuple) else setting.default
        default = "$XDG_CACHE_HOME/melpy" if default == default_cache() else default
        shown = f"`{default}`" if default else "none"
        yield f"| `{setting.key}` | `{setting.variable}` | {flags} | {shown} | {setting.help} |\n"


def _flags(key: str) -> list[str]:
    @OPTIONS[key]
    def probe() -> None:
        """Carry the option."""

    (option,) = probe.__click_params__  # where click keeps them before a command is made
    return [flag for flag in option.opts if flag.startswith("-")]


def _recipe_parts() -> Iterator[str]:
    done: set[str] = set()
    for kind in SCHEMAS:
        schema = json_schema(kind)
        yield f"\n## {kind.capitalize()} files\n\n{_rows(schema)}"
        for name, part in sorted(schema["$defs"].items()):
            if name not in done:
                yield f"\n### {name}\n\n{part['description']}\n\n{_rows(part)}"
        done |= schema["$defs"].keys()


def _rows(part: dict[str, Any]) -> str:
    rows = "| key | type | meaning |\n|---|---|---|\n"
    for key, value in part["properties"].items():
        shown = f"**`{key}`**" if key in part.get("required", ()) else f"`{key}`"
        meaning = value["description"].replace("|", "\\|")
        rows += f"| {shown} | {_type(value)} | {meaning} |\n"
    return rows


def _type(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        return _type(value["anyOf"][0])
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    kinds = [kind for kind in value["type"] if kind != "null"] if isinstance(value["type"], list) else [value["type"]]
    if "items" in value:
        return f"list of {_type(value['items'])}"
    if kinds == ["object"]:
        return f"mapping of {_type(value['additionalProperties'])}"
    return "text" if "string" in kinds else kinds[0]


def _native_rows() -> Iterator[str]:
    for name, rule in load_tool_rules().items():
        paths = dict.fromkeys(path.rpartition("/")[2] for path in rule.exceptions)
        only = [path.rpartition("/")[2] for path in rule.only if path != "*"]
        left = f"all but {', '.join(f'`{name}`' for name in only)}" if only else ""
        yield f"| `{name}` | {rule.why} | {left or ', '.join(f'`{path}`' for path in paths)} |\n"


def _pipelines_page() -> str:
    library = Library()
    names: dict[str, list[str]] = {}
    for name in library.names:
        names.setdefault(name.partition("/")[0] if "/" in name else "", []).append(name)
    alone = names.pop("", [])
    groups = [*sorted(names.values()), *([alone] if alone else [])]
    contents = "".join(
        "- " + ", ".join(f"[`{name}`](#{_anchor(name)})" for name in group) + "\n" for group in sorted(groups)
    )
    return PIPELINES_PAGE.format(contents=contents, parts="\n".join(_pipeline(name, library) for name in library.names))


def _anchor(name: str) -> str:
    """Return what GitHub links a heading by: no punctuation but hyphens and underscores."""
    return "".join(char for char in name.lower() if char.isalnum() or char in "-_")


def _pipeline(name: str, library: Library) -> str:
    model = library.find(name).model
    packages = " ".join(f"`{package}`" for package in model.needs.packages)
    says = [f"{model.name}." if model.name else ""]
    says += ["*May use the network.*"] if model.network else ["*Done by melpy itself.*"] if model.native else []
    says += [f"Packages: {packages}."] if packages else []
    rows = ""
    for key, one in model.inputs.items():
        default = "" if one.required else f"`{one.default}`" if one.default else "none"
        meaning = " ".join(one.description.split()).replace("|", "\\|")
        rows += f"| {f'**`{key}`**' if one.required else f'`{key}`'} | {default} | {meaning} |\n"
    table = f"\n| input | default | meaning |\n|---|---|---|\n{rows}" if rows else ""
    return f"## {name}\n\n{' '.join(filter(None, says))}\n{table}"


def _melange_rows() -> Iterator[str]:
    yield _melange_row("`melange`", melange.Word("melpy"))
    yield from _melange_flags("melange")
    for name, word in melange.COMMANDS.items():
        yield _melange_row(f"`melange {name}`", word)
        yield from _melange_flags(name)


def _melange_flags(command: str) -> Iterator[str]:
    for flag, word in sorted(melange.FLAGS.get(command, {}).items()):
        yield _melange_row(f"{'&nbsp;' * 4}`{flag}`", word)


def _melange_row(name: str, word: melange.Word) -> str:
    return f"| {name} | {f'`{word.here}`' if word.here else 'none'} | {word.note} |\n"


def _commands() -> Iterator[str]:
    yield "# Commands\n\nData goes to stdout, the story to stderr. NO_COLOR is respected.\n"
    for name in sorted(COMMANDS):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        yield _help(command, f"melpy {name}", 2)
        if isinstance(command, click.Group):
            yield from (_help(one, f"melpy {name} {key}", 3) for key, one in sorted(command.commands.items()))


def _help(command: click.Command, name: str, level: int) -> str:
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    return f"\n{'#' * level} {name}\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    main()
