"""Suggestions for misspelled names: options, commands, pipelines."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

SIMILARITY_MIN = 0.7
"""Lowest similarity, of 1: below it a suggestion is more often wrong than right."""


def nearest(name: str, known: Iterable[str], similarity: float = SIMILARITY_MIN) -> str | None:
    """Return the known name that ``name`` most likely means, or ``None``.

    Upper and lower case are equal, and so are ``_`` and ``-``.

    >>> nearest("--aplication-module", ["--application-module", "--workers"])
    '--application-module'
    """
    by_plain = {_plain(each): each for each in known}
    near = get_close_matches(_plain(name), list(by_plain), 1, similarity)
    return by_plain[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], show: Callable[[str], str] = repr) -> str:
    """Return a question that begins a hint, with a space behind it; ``""`` if nothing is near.

    >>> did_you_mean("ordrs", ["orders", "users"]) + "there are two topics"
    "did you mean 'orders'? there are two topics"
    """
    near = nearest(name, known)
    return f"did you mean {show(near)}? " if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
