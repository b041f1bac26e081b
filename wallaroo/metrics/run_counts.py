"""How many records a run accepted and how many of them failed: the one number that all views show.

Page, ``/metrics``, ``wallaroo-cluster`` and the log take their numbers from here, so that they
cannot differ. With checkpoints the counts go on over all runs of the command; what is judged at the
end of a run, its failures, is of this run alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wallaroo.metrics.nodes import Node
from wallaroo.metrics.tally import FAILED, FILTERED, IN, OUT, Counts
from wallaroo.metrics.totals import Totals, sums


@dataclass(frozen=True, slots=True)
class PipelineCounts:
    """Records of one pipeline in this run."""

    pipeline: str
    accepted: int
    failed: int
    passed: int | None
    """Records that got to the end or were filtered; ``None`` if nobody counted them."""

    @property
    def have_all_failed(self) -> bool:
        """Whether records came, and nothing but failures became of them."""
        return self.accepted > 0 and self.failed > 0 and self.passed == 0


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Records that one worker accepted and failed on, over all runs."""

    records: int
    failures: int


class RunCounts:
    """Of one run; ``totals`` is fed with what workers say.

    ``counts_steps`` is false with ``--no-metrics``: accepted and failed records are counted then,
    but not what became of the others.
    """

    def __init__(
        self,
        by_pipeline: Sequence[Sequence[Node]],
        *,
        is_durable: bool,
        counts_steps: bool = True,
    ) -> None:
        self._by_pipeline = by_pipeline
        self._nodes = [node for nodes in by_pipeline for node in nodes]
        self.counts_steps = counts_steps
        self.totals = Totals(is_durable)
        self._before: dict[str, Counts] = {}

    def begin(self, kept: dict[str, Counts]) -> None:
        """Go on from these counts, by worker: those of the checkpoint that the run begins with."""
        self._before = kept
        self.totals.begin(kept)

    # Over all runs

    @property
    def record_count(self) -> int:
        """Records that the sources accepted."""
        return self.total(sums(self.totals.by_worker()))["in"]

    @property
    def failure_count(self) -> int:
        """Records that became dead letters."""
        return self.total(sums(self.totals.by_worker()))["failed"]

    def of_worker(self, worker: str) -> WorkerCounts:
        """Return the part of one worker, in all its lives."""
        total = self.total(self.totals.by_worker().get(worker, {}))
        return WorkerCounts(total["in"], total["failed"])

    def total(self, counts: Counts) -> dict[str, int]:
        """Return the records of the whole application: into it, out of it, and in between."""
        result = {"in": 0, "out": 0, "filtered": 0, "failed": 0}
        for node in self._nodes:
            four = counts.get(node.id)
            if four is None:
                continue
            result["in"] += four[IN] if node.kind == "source" else 0
            result["out"] += four[OUT] if node.kind == "sink" else 0
            result["filtered"] += four[FILTERED]
            result["failed"] += four[FAILED]
        return result

    # In this run

    def in_this_run(self) -> list[PipelineCounts]:
        """Return what became of the records of each pipeline since the run began."""
        now, before = sums(self.totals.by_worker()), sums(self._before)
        return [self._pipeline(nodes, now, before) for nodes in self._by_pipeline]

    def sums_of_this_run(self) -> tuple[int, int]:
        """Return how many records this run has accepted, and how many have failed in it."""
        pipelines = self.in_this_run()
        return sum(each.accepted for each in pipelines), sum(each.failed for each in pipelines)

    def failed_pipelines(self) -> list[str]:
        """Return the pipelines of which every record has failed in this run."""
        return [each.pipeline for each in self.in_this_run() if each.have_all_failed]

    def failing_workers(self) -> list[str]:
        """Return the workers on which records failed in this run."""
        return [
            worker
            for worker, counts in self.totals.by_worker().items()
            if self.total(counts)["failed"] > self.total(self._before.get(worker, {}))["failed"]
        ]

    def _pipeline(self, nodes: Sequence[Node], now: Counts, before: Counts) -> PipelineCounts:
        def gained(node: Node, what: int) -> int:
            return now.get(node.id, _NONE)[what] - before.get(node.id, _NONE)[what]

        accepted = gained(nodes[0], IN)
        failed = sum(gained(node, FAILED) for node in nodes)
        passed: int | None = None
        if self.counts_steps:
            ends = [node for node in nodes if node.kind == "sink"] or [nodes[-1]]
            passed = sum(gained(node, FILTERED) for node in nodes)
            passed += sum(gained(node, OUT) for node in ends)
        elif not any(node.is_multi for node in nodes) and _sink_count(nodes) <= 1:
            # Each record fails once at most, so the others have passed.
            passed = max(accepted - failed, 0)
        return PipelineCounts(nodes[0].pipeline, accepted, failed, passed)


_NONE = (0, 0, 0, 0)


def _sink_count(nodes: Sequence[Node]) -> int:
    return sum(node.kind == "sink" for node in nodes)
