"""The row of memory: what a key costs a worker over the user's own object.

One worker counts a million keys, each once. What is measured is the growth of its resident memory
(Rss of smaps_rollup) from ready, before the first record, until all results are out and the size
has stopped changing, divided by the number of keys; from it is taken the size of the user's object
alone (``sys.getsizeof`` of a ``Count``; its value is 1, an int that Python shares, so it takes no
memory of its own). The rest is counted in full: the key's string, its place in the dict, buffers,
what the allocator holds back, and code that is loaded with the first record.

A dict of Python with such strings as keys takes about 95 bytes a key by itself.
"""

import statistics
import sys
import time
from pathlib import Path

from tests.bench.applications.counters import Count
from tests.bench.cluster_run import feed
from tests.bench.processes import resident_bytes, running_cluster
from tests.bench.receiver import Receiver
from tests.bench.rows.row import Result
from tests.bench.scenarios import Scenario, make_sample

SETTLE_POLL_S = 0.2
SETTLE_TIMEOUT_S = 20.0

ONCE = Scenario(
    name="memory",
    module="counters",
    key_count=1_000_000,
    record_count=1_000_000,
    is_each_key_once=True,
)


class MemoryRow:
    """Bytes a key."""

    name = ONCE.name
    group = "one by one"

    def __init__(self) -> None:
        self._bytes_per_key: list[float] = []
        self._object_bytes = sys.getsizeof(Count())

    def measure(self, folder: Path) -> None:
        """Start a worker and fill it."""
        sample = make_sample(ONCE, folder)
        with (
            Receiver() as receiver,
            running_cluster(ONCE.module, 1, receiver.address) as cluster,
        ):
            [pid] = cluster.worker_pids
            before = resident_bytes(pid)
            feed(cluster, receiver, ONCE, sample)
            self._bytes_per_key.append((_settled_bytes(pid) - before) / ONCE.key_count)

    def result(self) -> Result:
        """Return what is over the user's object."""
        return Result(
            name=self.name,
            group=self.group,
            unit="bytes a key over the user's object, 1,000,000 keys, 1 worker",
            values=[grown - self._object_bytes for grown in self._bytes_per_key],
            target=200.0,
            more={
                "bytes_per_key_in_all": statistics.median(self._bytes_per_key),
                "object_bytes": self._object_bytes,
            },
        )


def _settled_bytes(pid: int) -> int:
    """Return the resident memory once two looks in a row find the same; there is no event."""
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    last, size = 0, resident_bytes(pid)
    while size != last and time.monotonic() < deadline_s:
        time.sleep(SETTLE_POLL_S)
        last, size = size, resident_bytes(pid)
    return size
