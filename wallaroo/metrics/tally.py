"""Counts of records on one worker, exact and almost free.

A chain counts only changes of the number of records: what a step filtered, what a multi computation
made, what failed, what time has caused at windows and timers, and what went into each branch but
the last. Everything else is derived: the input of a step is the output of the previous one, less
what was sent to other workers, plus what was received from them. The input of an inner pipeline is
what its feeds had at that point, and that of a sink is what all its pipelines had at their ends.
"""

from wallaroo.metrics.nodes import Node, Nodes
from wallaroo.names import EdgeId
from wallaroo.topology.plan import Application, Feed, InnerPipeline
from wallaroo.topology.ports import Port

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
        self._flows = plan.flows
        count = len(self.nodes.all)
        self.taken = [0] * len(plan.pipelines)
        """By pipeline: records from its source."""
        self.first_branch: list[int] = []
        """By pipeline: the place of its first branch in ``branched``."""
        branch_count = 0
        for flow in self._flows:
            self.first_branch.append(branch_count)
            branch_count += len(flow.branches)
        self.branched = [0] * branch_count
        """By branch that has a predicate: records that went into it."""
        self.filtered = [0] * count
        self.made = [0] * count
        """By node: records that a multi computation made."""
        self.fired = [0] * count
        """By node: results that time has caused there."""
        self.late = [0] * count
        """By node: late records that went on by themselves."""
        self.failed = [0] * count
        self.waiting = [0] * count
        """By node: records that wait at a step, less those that began to wait at another worker."""
        self.sent: dict[EdgeId, int] = dict.fromkeys(self.nodes.of_edge, 0)
        self.received: dict[EdgeId, int] = dict.fromkeys(self.nodes.of_edge, 0)

    def counts(self) -> Counts:
        """Return the counts; all batches and output must be flushed before."""
        if not self.counts_steps:
            return self._counts_of_failures()
        counts: Counts = {}
        fed: list[int] = []
        """By pipeline: records that it feeds to others."""
        to_sinks = dict.fromkeys(self.nodes.of_sink, 0)
        for index, (flow, nodes) in enumerate(
            zip(self._flows, self.nodes.by_pipeline, strict=True)
        ):
            if isinstance(flow, InnerPipeline):
                count = sum(self._through(feed, fed[feed.pipeline]) for feed in flow.feeds)
            else:
                count = self.taken[index]
            at_end = count
            for node in nodes:
                if node.kind == "sink":
                    break
                if node.edge is not None:
                    count += self.received[node.edge] - self.sent[node.edge]
                at_end = count
                out = self.made[node.index] if node.is_multi else None
                out = self.fired[node.index] if node.is_window else out
                count = self._count(counts, node, count, out)
            for sink in flow.sinks:
                to_sinks[sink] += at_end if flow.key is not None else count
            fed.append(count)
        for sink, count in to_sinks.items():
            self._count(counts, self.nodes.all[self.nodes.of_sink[sink]], count)
        return {node.id: counts[node.id] for node in self.nodes.all}

    def _count(self, counts: Counts, node: Node, count: int, out: int | None = None) -> int:
        """Add the counts of a node that ``count`` records have reached; return those that leave."""
        filtered, failed = self.filtered[node.index], self.failed[node.index]
        if out is None:
            out = count - filtered - failed - self.waiting[node.index]
        counts[node.id] = [count, out, filtered, failed]
        return out

    def _through(self, feed: Feed, fed: int) -> int:
        """Return how many of the records of a pipeline go through this feed."""
        if feed.port is not Port.END:
            last = self.nodes.last_step[feed.pipeline]
            return (self.fired if feed.port is Port.FIRED else self.late)[last]
        if feed.branch is None:
            return fed
        first = self.first_branch[feed.pipeline]
        branched = self.branched[first : first + len(self._flows[feed.pipeline].branches)]
        return branched[feed.branch] if feed.branch < len(branched) else fed - sum(branched)

    def _counts_of_failures(self) -> Counts:
        counts: Counts = {}
        taken = [*self.taken, *[0] * (len(self._flows) - len(self.taken))]
        for count, nodes in zip(taken, self.nodes.by_pipeline, strict=True):
            for node in nodes:
                failed = self.failed[node.index]
                entered = count if node.kind == "source" else failed
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
