"""Questions about a recipe: a template over what it evaluates to.

Templates are Jinja's: `{{ package.version }}`; keys with a hyphen are written as in recipes or with an underscore.
melange's, which are Go's, work too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from melpy.errors import MelpyError, TemplateError, UndefinedVariableError, find_near
from melpy.plan.gotemplate import FILTERS, convert_go_template, is_go_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 2_000  # characters; what is looked for below may take time that grows with their square
_TAG = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})", re.DOTALL)
_STRINGS = re.compile(r"(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')")
_HYPHENATED = re.compile(r"(?<=[\w\]])\.([a-z]+(?:-[a-z]+)+)(?![\w(])")
_GO_NAMES = {"githubmonitor": "github", "gitmonitor": "git", "ocimonitor": "oci", "versiondata": "version_data"}
"""Fields of melange's that are not called as the keys of recipes are."""


def answer_query(template: str, data: Mapping[str, Any]) -> str:
    """Return the text of a template.

    Raises:
        TemplateError: the template does not parse.
        UndefinedVariableError: it names what no recipe has.
    """
    import jinja2  # noqa: PLC0415  # 60 ms that only queries need

    from melpy.plan.expression import make_environment  # noqa: PLC0415  # likewise

    if len(template) > _LONGEST:
        raise TemplateError(f"the template is longer than {_LONGEST} characters")
    environment = make_environment()
    environment.filters |= FILTERS
    environment.finalize = _printed
    text = convert_go_template(template) if is_go_template(template) else _with_hyphens(template)
    root = _Node(data)
    try:
        return environment.from_string(text).render(
            {"root": root, **{key.replace("-", "_"): root[key] for key in data}}
        )
    except MelpyError:
        raise
    except jinja2.UndefinedError as error:
        raise UndefinedVariableError(str(error.message), hint=f"a recipe has {', '.join(sorted(data))}") from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"not a template: {error.message}") from None
    except Exception as error:  # a filter may raise anything
        raise TemplateError(f"the template failed: {str(error) or type(error).__name__}") from None


def _with_hyphens(template: str) -> str:
    """Return a template with keys such as `.full-version` written as subscripts."""
    pieces = _TAG.split(template)
    for number in range(1, len(pieces), 2):
        parts = _STRINGS.split(pieces[number])
        parts[::2] = [_HYPHENATED.sub(r'["\1"]', part) for part in parts[::2]]
        pieces[number] = "".join(parts)
    return "".join(pieces)


def _printed(value: object) -> object:
    """Return what a template prints for a value: truths as recipes write them."""
    return str(value).lower() if isinstance(value, bool) else value


class _Node:
    """A mapping whose keys are found however they are written: `target-architecture`, `TargetArchitecture`."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._keys = {_plain(key): key for key in data}

    def plain(self) -> dict[str, Any]:
        """Return it as the mapping that it is."""
        return dict(self._data)

    def __getitem__(self, name: str) -> object:
        text = _plain(str(name))
        key = name if name in self._data else self._keys.get(_GO_NAMES.get(text, text), self._keys.get(text))
        if key is None:
            near = find_near(str(name).lower(), self._data)
            known = f"here are {', '.join(self)}" if self._data else "there is nothing here"
            raise UndefinedVariableError(
                f"there is no {str(name)!r} here", hint=f"did you mean {near!r}?" if near else known
            )
        return _wrap(self._data[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __str__(self) -> str:
        return str(dict(self._data))


def _wrap(value: object) -> object:
    if isinstance(value, dict):
        return _Node(value)
    if isinstance(value, list | tuple):
        return [_wrap(item) for item in value]
    return value


def _plain(key: str) -> str:
    return key.replace("-", "").replace("_", "").lower()
