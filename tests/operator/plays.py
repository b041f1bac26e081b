"""What scripts play through: chains, growing, shrinking, crashes; each on a cluster of its own."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.operator.script import Script, check_marks, script
from wallaroo.wire.external import ExternalId

KINDS = ("to", "to_parallel", "to_stateful", "to_state_partition")
RESIZES = (1, -1, 4, -4)
CRASHES = ("worker", "initializer", "both", "all")
RECORDS = 200

Play = tuple[str, Callable[[Path], None]]
"""What it is called, and what plays it in an empty folder."""


def all_chains() -> list[tuple[str, ...]]:
    """Every sequence of one to three steps."""
    return [chain for length in (1, 2, 3) for chain in itertools.product(KINDS, repeat=length)]


def play_chain(folder: Path, chain: Sequence[str], worker_count: int) -> None:
    """Start, send, look at what comes out, ask everything, stop."""
    with script(folder, ",".join(chain)) as running:
        running.start(worker_count)
        running.send(RECORDS)
        running.wait_all_out()
        check_marks(running.lines_out, list(chain), RECORDS, is_exact=True)
        check_queries(running, chain)
        running.stop()


def play_resizes(folder: Path, steps: Sequence[int], chain: Sequence[str]) -> None:
    """Grow and shrink in this order, with records before, between and after; lose none of them."""
    # As many as it takes for every shrinking to leave one worker at least.
    lowest = min(itertools.accumulate(steps))
    with script(folder, ",".join(chain)) as running:
        running.start(max(1, 1 - lowest))
        running.send(RECORDS)
        running.wait_all_out()
        for step in steps:
            # These are on their way while the membership changes.
            running.send(RECORDS)
            if step > 0:
                running.grow(step)
            else:
                running.shrink(-step)
            running.send(RECORDS)
        running.wait_all_out()
        total = RECORDS * (1 + 2 * len(steps))
        check_marks(running.lines_out, list(chain), total, is_exact=True)
        check_queries(running, chain)
        running.stop()


def play_crashes(folder: Path, crashes: Sequence[str], grown_by: int = 0) -> None:
    """Kill processes and start them again by their old lines; nothing is lost."""
    chain = ("to_parallel", "to_state_partition", "to_stateful")
    with script(folder, ",".join(chain), "--run-with-resilience") as running:
        running.start(3)
        running.send(RECORDS)
        running.wait_all_out()
        if grown_by:
            running.grow(grown_by)
        for crash in crashes:
            running.send(RECORDS)
            # What a killed initializer had not read of its connections is lost with them.
            running.wait_all_out()
            crash_and_restart(running, crash)
        running.send(RECORDS)
        running.wait_all_out()
        total = RECORDS * (2 + len(crashes))
        check_marks(running.lines_out, list(chain), total, is_exact=False)
        running.stop()


def crash_and_restart(running: Script, crash: str) -> None:
    """Kill whom ``crash`` names, start them again, and wait until all is well."""
    first, last = running.workers[0], running.workers[-1]
    killed = {
        "worker": [last],
        "initializer": [first],
        "both": [last, first],
        "all": running.workers,
    }[crash]
    if first in killed:
        running.close_sender()
    for each in killed:
        each.kill()
    for each in killed:
        each.start()
    running.wait_ready()
    for each in killed:
        each.wait_line(r"^RESILIENCE: Replayed \d+ entries from recovery log file\.$")
        each.wait_line(re.escape("|~~ - Recovery COMPLETE - ~~|"))


def check_queries(running: Script, chain: Sequence[str]) -> None:
    """Ask everything that can be asked; the same is to come from all, and to fit the chain."""
    names = {worker.name for worker in running.workers}
    first, *others = running.workers
    partitions = first.query(ExternalId.PARTITION_QUERY)
    states = partitions["state_partitions"]
    for number, kind in enumerate(chain):
        if kind == "to_stateful":
            assert [len(ids) for ids in states[f"whole-{number}"].values()] == [1]
        elif kind == "to_state_partition":
            found = {worker: len(ids) for worker, ids in states[f"split-{number}"].items()}
            assert found == dict.fromkeys(names, 10)
    parallel = partitions["stateless_partitions"]
    assert bool(parallel) == ("to_parallel" in chain)
    assert all(set(by_worker) == names for by_worker in parallel.values())
    counts = first.query(ExternalId.PARTITION_COUNT_QUERY)
    assert counts["stateless_partitions"] == first.query(ExternalId.STATELESS_PARTITION_COUNT_QUERY)
    assert parallel == first.query(ExternalId.STATELESS_PARTITION_QUERY)
    assert len(first.query(ExternalId.SOURCE_IDS_QUERY)["source_ids"]) == 10
    for query in (
        ExternalId.PARTITION_QUERY,
        ExternalId.PARTITION_COUNT_QUERY,
        ExternalId.SOURCE_IDS_QUERY,
        ExternalId.CLUSTER_STATE_ENTITY_COUNT_QUERY,
    ):
        for other in others:
            assert other.query(query) == first.query(query)
    _check_keys(running)
    first.ask(ExternalId.PRINT, "hello")
    first.wait_line(re.escape("$$$ ExternalPrint: hello $$$"))


def _check_keys(running: Script) -> None:
    cluster = running.workers[0].query(ExternalId.CLUSTER_STATE_ENTITY_COUNT_QUERY)
    by_worker = [worker.query(ExternalId.STATE_ENTITY_COUNT_QUERY) for worker in running.workers]
    keys = running.keys()
    for state, count in cluster.items():
        assert count == len(keys[state]) == sum(counts[state] for counts in by_worker)
        assert count == (1 if state.startswith("whole") else 10)
        assert state.startswith("split") or set(keys[state]) == {"key"}


# All of them, for ``make operator-test``


def chain_plays() -> Iterator[Play]:
    """Every chain on one, two and three workers."""
    for chain, count in itertools.product(all_chains(), (1, 2, 3)):
        name = f"{' '.join(chain)} on {count}"
        yield name, partial(play_chain, chain=chain, worker_count=count)


def resize_plays(length_max: int) -> Iterator[Play]:
    """Every sequence of growing and shrinking by 1 and 4."""
    chain = ("to_parallel", "to_state_partition", "to_stateful")
    for length in range(1, length_max + 1):
        for steps in itertools.product(RESIZES, repeat=length):
            name = f"resize by {' '.join(f'{step:+}' for step in steps)}"
            yield name, partial(play_resizes, steps=steps, chain=chain)


def crash_plays(length_max: int) -> Iterator[Play]:
    """Every sequence of crashes, in a cluster as it began and in one that has grown."""
    for length in range(1, length_max + 1):
        for crashes in itertools.product(CRASHES, repeat=length):
            for grown_by in (0, 1):
                grown = " after growing" if grown_by else ""
                name = f"crash of {', then '.join(crashes)}{grown}"
                yield name, partial(play_crashes, crashes=crashes, grown_by=grown_by)
