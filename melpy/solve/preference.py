"""Which of several packages is taken for a name, and which name is decided first."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from melpy.apk.provider import Provider, compare_providers, parse_priority

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from melpy.solve.model import Offer
    from melpy.solve.universe import Answer, Universe

_LAST = 1_000


def rank_offers(name: str, universe: Universe, tags: AbstractSet[str], pin: str, *, strict: bool) -> list[Answer]:
    """Return the packages that may be taken for a name and the version they have it at, best first.

    Args:
        name: the name.
        universe: what there is.
        tags: tags of repositories that they may come from, beside those without one.
        pin: tag that is asked for by name.
        strict: leave out what is at odds with itself.
    """
    found = [
        (offer, version)
        for offer, version in universe.providers(name)
        if (not offer.tag or offer.tag in tags) and not offer.contradiction and not (strict and offer.is_at_odds)
    ]
    if len(found) < 2:
        return found
    # Least important first: sorting keeps the order of equals.
    found.sort(key=lambda answer: (answer[0].name != name, answer[0].name))
    found.sort(key=functools.cmp_to_key(_compare), reverse=True)
    found.sort(key=lambda answer: answer[0].tag == pin, reverse=True)
    return found


def urgency(name: str, universe: Universe) -> int:
    """Return how late a name is decided: the fewer choices the sooner, and what nobody gives by itself at last."""
    offers = universe.providers(name)
    if not any(is_selectable(name, offer, version) for offer, version in offers):
        return _LAST
    return 3 + min(len(offers), 50)


def is_selectable(name: str, offer: Offer, version: str) -> bool:
    """Tell whether apk takes a package for a name by itself: not for one that it provides without a version."""
    return bool(version) or offer.name == name or bool(_priority(offer))


def _compare(one: Answer, two: Answer) -> int:
    """Return how two answers to a name compare: greater is better."""
    return compare_providers(_describe(one), _describe(two))


def _describe(answer: Answer) -> Provider:
    offer, version = answer
    return Provider(offer.name, offer.version, version, _priority(offer))


def _priority(offer: Offer) -> int:
    return parse_priority(offer.entry.info.provider_priority)
