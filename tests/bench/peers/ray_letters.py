"""The work in Ray: COUNT. One actor holds the totals and is called with lists of 1,000 payloads.

Lists are the way Ray's documentation recommends for small tasks: a call for each record costs
hundreds of times the work. Some calls are in flight at a time, as in its pattern against too many
pending tasks (``ray.wait``); the driver fetches each list of lines with ``ray.get`` and counts.

Other than in Wallaroo's run, payloads come from memory and lines go back to the driver; neither is
a socket. The driver cuts frames and counts here, and its CPU is counted with that of the actor and
Ray's own services, which are part of what has to run.
"""

import sys
from typing import Any

import ray

from tests.bench.applications.letters import Bare
from tests.bench.peers.common import payload_batches, report

IN_FLIGHT_MAX = 8


class Letters:
    """The totals of all letters; runs the bare loop itself on each list."""

    def __init__(self) -> None:
        self._bare = Bare([])

    def process(self, payloads: list[bytes]) -> list[bytes]:
        """Return the lines of these payloads."""
        return self._bare.run(payloads)


def main() -> None:
    """Start Ray on this machine, call the actor, count what it returns."""
    ray.init(include_dashboard=False, num_cpus=1, log_to_driver=False)
    actor = ray.remote(Letters).remote()
    pending: list[Any] = []
    record_count = 0
    for payloads in payload_batches(int(sys.argv[1])):
        if len(pending) >= IN_FLIGHT_MAX:
            done, pending = ray.wait(pending, num_returns=1)
            record_count += sum(map(len, ray.get(done)))
        pending.append(actor.process.remote(payloads))
    record_count += sum(map(len, ray.get(pending)))
    report(record_count)
    ray.shutdown()


if __name__ == "__main__":
    main()
