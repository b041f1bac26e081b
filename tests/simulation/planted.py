"""Looks for a seed that shows a planted bug."""

from collections.abc import Callable, Iterable

import pytest

from wallaroo.testing import SimulationError

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def first_failure(
    plant: Plant,
    seeds: Iterable[int],
    run: Callable[[int], object],
    errors: type[Exception] | tuple[type[Exception], ...] = SimulationError,
) -> tuple[int, Exception]:
    """Return the first of ``seeds`` that shows a bug, and how; fail if none of them does."""
    count = 0
    for seed in seeds:
        try:
            run(seed)
        except errors as error:
            return seed, error
        count += 1
    pytest.fail(f"{count} seeds pass {plant.__doc__}")
