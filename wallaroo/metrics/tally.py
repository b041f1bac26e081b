"""Counts of records on one worker, exact and almost free.

A chain counts only changes of the number of records: what a step filtered, what a multi computation
made, what failed. Everything else is derived: the input of a step is the output of the previous
one, less what was sent to other workers, plus what was received from them.
"""

from wallaroo.metrics.nodes import Nodes
from wallaroo.names import EdgeId
from wallaroo.topology.plan import Application

Counts = dict[str, list[int]]
"""Records in, out, filtered, failed, by node id.

A record is *filtered* if it leads to nothing: a step returned ``None``, or a multi computation an
empty list. Records in are the sum of out, filtered and failed, except for multi computations, which
change the number.
"""

IN, OUT, FILTERED, FAILED = range(4)


class Tally:
    """The counts of one worker since its dataflow was created.

    Without ``counts_steps`` chains count failures only. Then the counts have the records of each
    source, and the failures of each node.
    """

    def __init__(self, plan: Application, *, counts_steps: bool = True) -> None:
        self.counts_steps = counts_steps
        self.nodes = Nodes(plan)
        count = len(self.nodes.all)
        self.taken = [0] * len(plan.pipelines)
        """By pipeline: records from its source."""
        self.filtered = [0] * count
        self.made = [0] * count
        """By node: records that a multi computation made."""
        self.failed = [0] * count
        self.sent: dict[EdgeId, int] = dict.fromkeys(self.nodes.of_edge, 0)
        self.received: dict[EdgeId, int] = dict.fromkeys(self.nodes.of_edge, 0)

    def counts(self) -> Counts:
        """Return the counts; all batches and output must be flushed before."""
        if not self.counts_steps:
            return self._counts_of_failures()
        counts: Counts = {}
        for taken, nodes in zip(self.taken, self.nodes.by_pipeline, strict=True):
            flow = taken
            for node in nodes:
                if node.edge is not None:
                    flow += self.received[node.edge] - self.sent[node.edge]
                filtered, failed = self.filtered[node.index], self.failed[node.index]
                out = self.made[node.index] if node.is_multi else flow - filtered - failed
                counts[node.id] = [flow, out, filtered, failed]
                if node.kind != "sink":
                    flow = out
        return counts

    def _counts_of_failures(self) -> Counts:
        counts: Counts = {}
        for taken, nodes in zip(self.taken, self.nodes.by_pipeline, strict=True):
            for node in nodes:
                failed = self.failed[node.index]
                entered = taken if node.kind == "source" else failed
                counts[node.id] = [entered, entered - failed, 0, failed]
        return counts


def add_counts(total: Counts, more: Counts) -> None:
    """Add ``more`` to ``total``."""
    for node, values in more.items():
        so_far = total.get(node)
        total[node] = (
            list(values) if so_far is None else [a + b for a, b in zip(so_far, values, strict=True)]
        )


def copy_counts(counts: dict[str, Counts]) -> dict[str, Counts]:
    """Return a copy, by worker, that shares nothing with ``counts``."""
    return {
        worker: {node: list(values) for node, values in nodes.items()}
        for worker, nodes in counts.items()
    }
