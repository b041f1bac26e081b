"""The sinks of a simulated worker, by what they promise."""

from collections.abc import Callable, Mapping

from wallaroo.connectors.base import Promise, Sink
from wallaroo.names import SinkId
from wallaroo.testing.disk import Disk
from wallaroo.testing.faults import Chaos
from wallaroo.testing.file_sinks import AppendedSink, StagedSink
from wallaroo.testing.loop import Process
from wallaroo.testing.streams import Receivers, RowSink, StreamSink
from wallaroo.topology.plan import Application
from wallaroo.worker.sink_port import SinkEvents, SinkRunner
from wallaroo.worker.worker_sinks import WorkerSinks


def simulated_sinks(
    plan: Application,
    stage: str | None,
    process: Process,
    disk: Disk,
    receivers: Receivers,
    chaos: Chaos,
    events: SinkEvents,
    deferred: Mapping[Promise, Callable[[SinkId], SinkRunner]],
) -> WorkerSinks:
    """Return all sinks of one worker; without a ``stage`` it appends to files.

    ``deferred`` makes the sinks that show results after their checkpoint, by what they promise; it
    is empty if checkpoints are off.
    """

    def new_runner(index: int, sink: Sink) -> SinkRunner:
        if sink.promise is Promise.STAGED_FILE:
            assert sink.path is not None
            if stage is None:
                return AppendedSink(sink.path, process, disk)
            return StagedSink(index, sink.path, stage, process, disk)
        if sink.promise in deferred:
            return deferred[sink.promise](SinkId(index))
        kind = StreamSink if sink.takes_bytes else RowSink
        return kind(index, process, receivers, chaos, events.backlog_changed)

    runners = [new_runner(index, sink) for index, sink in enumerate(plan.sinks)]
    return WorkerSinks(runners, process.all_of)
