"""All sinks of a worker's process."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

from wallaroo.checkpoint.store import ObjectStore
from wallaroo.errors import ClusterError
from wallaroo.names import SinkId, WorkerName
from wallaroo.topology.plan import Application
from wallaroo.worker.sink_port import SinkContext, SinkEvents
from wallaroo.worker.worker_sinks import WorkerSinks
from wallaroo_workers.giving_back import Refused
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.sinks.runner import ProcessSinkRunner, new_runner

GiveBack = Callable[[int, list[Any]], Refused]


class ProcessSinks(WorkerSinks):
    """The sinks of one process, with what it measures of them."""

    def __init__(
        self, plan: Application, runners: Sequence[ProcessSinkRunner], timeout_s: float | None
    ) -> None:
        """``timeout_s`` is for how long a sink may take nothing."""
        super().__init__(runners, run_together)
        self._plan = plan
        self._process_runners = runners
        self._timeout_s = timeout_s

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what keeps the sinks connected, to be run as tasks."""
        return [runner.run() for runner in self._process_runners]

    def facts(self) -> list[dict[str, Any]]:
        """Return of each sink what ``wallaroo.metrics.report`` says of it."""
        return [
            {
                "name": self._plan.sink_label(SinkId(index)),
                "address": runner.address,
                "bytes": runner.settled_bytes,
                "queued_bytes": runner.queued_bytes,
                "connections": runner.connection_count,
                "connected": runner.is_connected,
                "batches": runner.batches,
            }
            for index, runner in enumerate(self._process_runners)
        ]

    def undelivered(self) -> dict[str, int]:
        """Return the number and the size of batches that a checkpoint has and no target does."""
        of_sinks = [each for runner in self._process_runners if (each := runner.batches)]
        return {
            "undelivered_batches": sum(each["undelivered"] or 0 for each in of_sinks),
            "undelivered_bytes": sum(each["undelivered_bytes"] or 0 for each in of_sinks),
        }

    def timed_out(self) -> ClusterError | None:
        """Return what ends the run, if a sink has taken nothing for longer than allowed."""
        if (timeout_s := self._timeout_s) is None:
            return None
        now_s = asyncio.get_running_loop().time()
        for runner in self._process_runners:
            wait = runner.wait
            if wait is not None and now_s - wait.since_s > timeout_s:
                why = f": {wait.why}" if wait.why else ""
                return ClusterError(f"{wait.what} for {timeout_s:g} s{why}", hint=wait.hint)
        return None


def new_sinks(
    plan: Application,
    worker: WorkerName,
    options: RunOptions,
    stage: str | None,
    store: ObjectStore | None,
    events: SinkEvents,
    give_back: GiveBack | None = None,
) -> ProcessSinks:
    """Return all sinks of one worker; with a ``stage``, output to files is staged under that name.

    ``store`` is the store of checkpoints, if they are on. ``give_back`` gets the index of a sink
    and rows for the program that runs the cluster, if one does.
    """
    pipeline_of = {sink: each.name for each in reversed(plan.flows) for sink in each.sinks}
    runners = [
        new_runner(
            sink,
            SinkContext(
                index=SinkId(index),
                name=plan.sink_name(SinkId(index)),
                pipeline=pipeline_of[SinkId(index)],
                worker=worker,
                application=plan.name,
                events=events,
                folder=options.folder,
                stage=stage,
                store=store,
                give_back=None if give_back is None else partial(give_back, index),
            ),
        )
        for index, sink in enumerate(plan.sinks)
    ]
    return ProcessSinks(plan, runners, options.sink_timeout_s)


async def run_together(works: Iterable[Coroutine[Any, Any, None]], /) -> None:
    """Run these at the same time; return when the last one has ended."""
    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(work)
