"""Counts the records that a run accepted and that failed, for all views.

The page, ``/metrics``, ``wallaroo-cluster`` and the log take their numbers from here, so that they
cannot differ. With checkpoints the counts continue over all runs of the command; the failures that
decide the exit status are those of this run alone.
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
    """Records from its source, or from what feeds it."""
    failed: int
    passed: int | None
    """Records that reached the end or were filtered; ``None`` if they were not counted."""

    @property
    def have_all_failed(self) -> bool:
        """Whether there were records, and all of them failed."""
        return self.accepted > 0 and self.failed > 0 and self.passed == 0


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Records that one worker accepted and failed on, over all runs."""

    records: int
    failures: int


class RunCounts:
    """The counts of one run; ``totals`` receives the reports of workers.

    ``counts_steps`` is false with ``--no-metrics``: then only accepted and failed records are
    counted.
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
        """Continue from these counts, by worker: those of the checkpoint that the run starts
        from."""
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
        """Return the counts of all processes of one worker."""
        total = self.total(self.totals.by_worker().get(worker, {}))
        return WorkerCounts(total["in"], total["failed"])

    def total(self, counts: Counts) -> dict[str, int]:
        """Return the records of the whole application: in, out, filtered and failed."""
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
        """Return the counts of each pipeline since the start of the run."""
        current, before = sums(self.totals.by_worker()), sums(self._before)
        return [self._pipeline(nodes, current, before) for nodes in self._by_pipeline]

    def sums_of_this_run(self) -> tuple[int, int]:
        """Return the numbers of records that were accepted and that failed in this run."""
        pipelines = self.in_this_run()
        # Records of an inner pipeline were accepted by the source of one that feeds it.
        accepted = sum(
            each.accepted
            for each, nodes in zip(pipelines, self._by_pipeline, strict=True)
            if nodes[0].kind == "source"
        )
        return accepted, sum(each.failed for each in pipelines)

    def failed_pipelines(self) -> list[str]:
        """Return the pipelines all of whose records failed in this run."""
        return [each.pipeline for each in self.in_this_run() if each.have_all_failed]

    def failing_workers(self) -> list[str]:
        """Return the workers on which records failed in this run."""
        return [
            worker
            for worker, counts in self.totals.by_worker().items()
            if self.total(counts)["failed"] > self.total(self._before.get(worker, {}))["failed"]
        ]

    def _pipeline(self, nodes: Sequence[Node], current: Counts, before: Counts) -> PipelineCounts:
        def gained(node: Node, what: int) -> int:
            return current.get(node.id, _NONE)[what] - before.get(node.id, _NONE)[what]

        accepted = gained(nodes[0], IN)
        failed = sum(gained(node, FAILED) for node in nodes)
        passed: int | None = None
        if self.counts_steps:
            ends = [node for node in nodes if node.kind == "sink"] or [nodes[-1]]
            passed = sum(gained(node, FILTERED) for node in nodes)
            passed += sum(gained(node, OUT) for node in ends)
        elif not any(node.is_multi for node in nodes) and _sink_count(nodes) <= 1:
            # A record fails at most once, so all others have passed.
            passed = max(accepted - failed, 0)
        return PipelineCounts(nodes[0].pipeline, accepted, failed, passed)


_NONE = (0, 0, 0, 0)


def _sink_count(nodes: Sequence[Node]) -> int:
    return sum(node.kind == "sink" for node in nodes)
