"""Plants a bug and looks for a seed that shows it."""

from collections.abc import Callable, Iterable

import pytest

from wallaroo.testing import SimulationError

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def first_failure(
    plant: Plant,
    patch: Patch,
    seeds: Iterable[int],
    run: Callable[[int], object],
    errors: type[Exception] | tuple[type[Exception], ...] = SimulationError,
) -> tuple[int, Exception]:
    """Plant a bug; return the first of ``seeds`` that shows it, and how, or fail if none does."""
    plant(patch)
    count = 0
    for seed in seeds:
        try:
            run(seed)
        except errors as error:
            return seed, error
        count += 1
    pytest.fail(f"{count} seeds pass {plant.__doc__}")
