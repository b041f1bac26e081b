"""Decides which worker runs each source that only one worker may run: a file, or a generator.

The choice follows from the pipeline's name and the members alone, so that sources spread over the
workers and every run with the same members makes the same choice. A source stays with its worker as
long as this is a member. If its worker leaves in a resize, the rule chooses among the new members.
A loss changes nothing: the process that replaces the lost one runs its sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wallaroo.connectors.base import Assignment
from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text
from wallaroo.topology.plan import Application

EVERY_WORKER = ""
_NOT_ASSIGNED = "not assigned"
"""Not a possible name of a worker, so it is never a member."""


@dataclass(frozen=True, slots=True)
class SourceAssignment:
    """The source of each pipeline, and the worker that runs it."""

    pipelines: tuple[str, ...]
    """The names of the pipelines."""
    workers: tuple[str, ...]
    """By pipeline; ``EVERY_WORKER`` if all workers run the source, as they do for TCP."""

    def among(self, members: Sequence[WorkerName]) -> "SourceAssignment":
        """Return the assignment for these members; sources of other workers are assigned anew."""
        workers = tuple(
            worker if worker == EVERY_WORKER or worker in members else _chosen(pipeline, members)
            for pipeline, worker in zip(self.pipelines, self.workers, strict=True)
        )
        return replace(self, workers=workers)


def initial_assignment(
    plan: Application, members: Sequence[WorkerName], preferred: str = ""
) -> SourceAssignment:
    """Return the assignment that a run starts with.

    If ``preferred`` names a worker, it runs all single-worker sources.
    """
    first = preferred or _NOT_ASSIGNED
    workers = (
        first if pipeline.source.assignment is Assignment.ONE_WORKER else EVERY_WORKER
        for pipeline in plan.pipelines
    )
    names = tuple(pipeline.name for pipeline in plan.pipelines)
    return SourceAssignment(names, tuple(workers)).among(members)


def _chosen(pipeline: str, members: Sequence[WorkerName]) -> WorkerName:
    return members[hash_text(f"source/{pipeline}") % len(members)]
