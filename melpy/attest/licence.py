"""Licence expressions. Source: SPDX 2.3, annex D."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING

from license_expression import ExpressionError, get_spdx_licensing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from license_expression import Licensing

    from melpy.plan.model import Licence


@functools.cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


@functools.cache
def licence_id(text: str) -> str:
    """Return a licence as SPDX has it; what is no SPDX expression becomes a `LicenseRef-`."""
    if not text:
        return ""
    try:
        if not _licensing().unknown_license_keys(text):
            return str(_licensing().parse(text))
    except (ExpressionError, ValueError):
        pass
    kept = re.sub(r"[^A-Za-z0-9.-]", "", re.sub(r"[ _]", "-", text))
    return f"LicenseRef-{kept or hashlib.sha256(text.encode()).hexdigest()[:16]}"


def licence_expression(licences: Iterable[Licence]) -> str:
    """Return the expression that holds for all copyright entries together; empty without any."""
    parts = [licence_id(entry.license) for entry in licences if entry.license]
    compound = [f"({part})" if " OR " in part and len(parts) > 1 else part for part in parts]
    return " AND ".join(compound)
