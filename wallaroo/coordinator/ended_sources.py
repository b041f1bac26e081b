"""Counts the sources that have ended; once all have, no more records can arrive.

Only a source with an end reports one. So an application that also has an endless source, such as a
TCP source or a generator, runs until it is stopped.
"""

from collections.abc import Iterable

from wallaroo.coordinator.source_assignment import EVERY_WORKER, SourceAssignment
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName


class EndedSources:
    """The ended sources of one application, by the index of their pipeline."""

    def __init__(self, pipeline_count: int) -> None:
        self._pipeline_count = pipeline_count
        self._ended: set[int] = set()
        self._problems: dict[str, None] = {}
        self._ended_on: dict[WorkerName, frozenset[int]] = {}

    def begin_epoch(self) -> None:
        """Forget all reports: in a new epoch sources start again, and workers report anew."""
        self._ended.clear()
        self._problems.clear()
        self._ended_on.clear()

    def add(self, pipelines: Iterable[int], problems: Iterable[str]) -> None:
        """Add a worker's ended sources, and the problems of those that ended too early."""
        self._ended.update(pipelines)
        self._problems.update(dict.fromkeys(problems))

    def reported(
        self,
        worker: WorkerName,
        pipelines: Iterable[int],
        problems: Iterable[str],
        assignment: SourceAssignment,
        workers: Iterable[WorkerName],
    ) -> None:
        """Add what a worker reports. A source that all workers run has ended on each of them."""
        self._ended_on[worker] = frozenset(pipelines)
        ended_everywhere = frozenset.intersection(
            *(self._ended_on.get(each, frozenset()) for each in workers)
        )
        self.add(
            (
                pipeline
                for pipeline in self._ended_on[worker]
                if assignment.workers[pipeline] != EVERY_WORKER or pipeline in ended_everywhere
            ),
            problems,
        )

    @property
    def are_all(self) -> bool:
        """Whether all sources have ended."""
        return 0 < self._pipeline_count == len(self._ended)

    @property
    def error(self) -> ClusterError | None:
        """The error of the run: a sentence for each source that ended too early."""
        return ClusterError("\n".join(self._problems)) if self._problems else None
