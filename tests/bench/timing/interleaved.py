"""Measures variants of the same work in turn, chunk by chunk, so that their ratios hold on a busy
machine."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Run = Callable[[Any], None]


class Measured(NamedTuple):
    """One variant: what a unit of its work costs, and how that compares with the first variant."""

    name: str
    unit_ns: float
    ratio: float
    """What all chunks together cost, by what they cost the first variant."""


def interleave(
    variants: Mapping[str, Callable[[], Run]], chunks: Sequence[Sequence[Any]], rounds: int
) -> list[Measured]:
    """Return CPU time for each item of the chunks; each round begins with new state."""
    names = [*variants]
    took_ns = dict.fromkeys(names, 0)
    for number in range(rounds):
        runs = {name: make() for name, make in variants.items()}
        gc.collect()
        gc.freeze()
        gc.disable()
        for chunk in chunks:
            for name in names if number % 2 == 0 else reversed(names):
                began_ns = time.process_time_ns()
                runs[name](chunk)
                took_ns[name] += time.process_time_ns() - began_ns
        gc.enable()
        gc.unfreeze()
    item_count = rounds * sum(map(len, chunks))
    # Sums and not medians of chunks: windows fire in few of them, all at once.
    return [
        Measured(name, took / item_count, took / took_ns[names[0]])
        for name, took in took_ns.items()
    ]
