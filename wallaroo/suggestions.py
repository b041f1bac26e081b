"""Suggestions for misspelled names: options, commands, pipelines."""

from collections.abc import Iterable
from difflib import get_close_matches

SIMILARITY_MIN = 0.7
"""Of 1: below it a suggestion is more often wrong than right."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` most likely stands for, or ``None``.

    >>> nearest("--aplication-module", ["--application-module", "--workers"])
    '--application-module'
    """
    near = get_close_matches(name, list(known), 1, SIMILARITY_MIN)
    return near[0] if near else None
