"""One worker's decisions behind one boundary: all events enter here, and nowhere else.

    initializer --ordered--> +---------------+
    engine, links, sources,  | WorkerMachine | --WorkerPorts--> the process: tasks, logs, end
    sinks, hand-over ------> +---------------+

A real process and a simulated one build it in the same way. The machine makes its engine and asks
the process for sources, sinks and hand-over, and passes itself as the receiver of their events. So
nothing has to be connected afterwards.
"""

from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import ConnectionCopy, Offer
from wallaroo.links.incoming import IncomingLink
from wallaroo.links.mesh import Mesh
from wallaroo.names import Epoch, SinkId
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure
from wallaroo.routing.keys import Key
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.inbox import Link
from wallaroo.story import Story
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.data_frames import Barrier, MovingFrame, NumberedFrame
from wallaroo.worker.context import WorkerParts
from wallaroo.worker.lifecycle import Lifecycle
from wallaroo.worker.ports import WorkerPorts


class WorkerMachine:
    """One worker, from the start of its process on."""

    def __init__(
        self, ports: WorkerPorts, incarnation: Epoch, *, checks_itself: bool = False
    ) -> None:
        """With ``checks_itself`` the machine asserts its invariants after each step."""
        self._ports = ports
        self._checks_itself = checks_itself
        self._journal = None if ports.durable is None else ports.durable.journal
        self._story = Story()
        self._engine = Engine(
            ports.clock, ports.loop, self, ports.deliveries, ports.calls, ports.wall_ns
        )
        self._sinks = ports.new_sinks(self)
        parts = WorkerParts(
            ports=ports,
            engine=self._engine,
            sources=ports.new_sources(self._engine, self),
            sinks=self._sinks,
            hand_over=ports.new_hand_over(self),
            mesh_events=self,
            story=self._story,
        )
        self._lifecycle = Lifecycle(parts, incarnation)

    @property
    def epoch(self) -> Epoch:
        """The epoch that this worker puts into what it sends."""
        return self._lifecycle.worker.epoch

    @property
    def engine(self) -> Engine:
        """The engine that processes the records."""
        return self._engine

    @property
    def mesh(self) -> Mesh:
        """The links to and from all other workers."""
        return self._lifecycle.worker.mesh

    @property
    def dataflow(self) -> Dataflow:
        """The chains and states of this epoch."""
        return self._lifecycle.worker.dataflow

    @property
    def story(self) -> list[str]:
        """The last steps of this worker, oldest first."""
        return self._story.lines

    def _check(self) -> None:
        if self._checks_itself:
            self._lifecycle.check()

    # Called by the process

    async def join(self) -> None:
        """Accept links, and report to the initializer."""
        await self._lifecycle.join()

    def ordered(self, frame: ControlFrame) -> None:
        """Carry out an order of the initializer."""
        self._story.note("received", frame)
        self._lifecycle.ordered(frame)
        self._check()

    def delete_key(self, state: str, key: Key) -> bool:
        """Delete the state of a key between two records; return whether there was any."""
        self._story.note("deletes", state, key)
        return self._lifecycle.delete_key(state, key)

    def send_counts(self) -> None:
        """Send how many records were counted here."""
        self._lifecycle.worker.send_counts()

    def fail(self, what: str, hint: str, exit_code: int) -> None:
        """Report that the run cannot go on, and end the process."""
        self._lifecycle.fail(what, hint, exit_code)

    # Called by the engine

    @property
    def must_pause(self) -> bool:
        """Whether sources have to pause."""
        return self._lifecycle.worker.mesh.pressure.must_pause

    def flushing(self) -> None:
        """Make durable what was read, before anything that follows from it leaves this worker."""
        if self._journal is not None:
            self._journal.sync()

    def output_made(self, sink: SinkId, rows: list[Any]) -> int:
        """Write rows to a sink; return how many bytes they count as."""
        return self._sinks.write(sink, rows)

    def barrier_received(self, link: Link, barrier: Barrier) -> None:
        """Note a barrier of another worker. Everything before it has been processed."""
        self._story.note("barrier of", link.worker, barrier)
        self._lifecycle.barriers.received(link, barrier)
        self._check()

    def states_received(self, link: Link, frame: MovingFrame) -> None:
        """Stage states of another worker."""
        self._lifecycle.resize.received(link, frame)
        self._check()

    def records_failed(self, failures: list[Failure]) -> None:
        """Keep these records as dead letters."""
        self._ports.records_failed(failures)

    def engine_stopped(self, failure: Failure) -> None:
        """End the run because of a record that failed."""
        self._lifecycle.stop_on_error(failure)

    def turn_ended(self) -> None:
        """Look at the backlog, since a turn's results have been passed on."""
        self._lifecycle.worker.backlog_changed()
        self._check()

    # Called by links, sources, sinks and hand-over

    def frame_received(self, link: IncomingLink, frame: NumberedFrame) -> None:
        """Queue a frame of another worker."""
        self._engine.frame_arrived(link, frame)

    def source_ended(self) -> None:
        """Report which sources have ended."""
        self._lifecycle.source_ended()

    def split_ended(self, pipeline: int, split: str, problem: str) -> None:
        """Report that a split of a source has ended."""
        self._lifecycle.split_ended(pipeline, split, problem)

    def source_failed(self, error: WallarooError) -> None:
        """End the run because a source or a journal cannot be read on."""
        self._lifecycle.fail(error.what, error.hint, error.exit_code)

    def records_refused(self, sink: SinkId, failures: list[Failure]) -> None:
        """Count records that a sink refuses as failed, and keep them as dead letters."""
        dataflow = self._lifecycle.worker.dataflow
        dataflow.count_refused(sink, len(failures))
        if dataflow.stops_on_error:
            self._lifecycle.stop_on_error(failures[0])
        else:
            self._ports.records_failed(failures)

    def sink_failed(self, error: WallarooError) -> None:
        """End the run because a sink cannot be written."""
        self._lifecycle.fail(error.what, error.hint, error.exit_code)

    def backlog_changed(self) -> None:
        """Look at the backlog again."""
        self._lifecycle.worker.backlog_changed()

    def connections_offered(self, offer: Offer, copies: list[ConnectionCopy]) -> bool:
        """Stage connections of a worker that leaves; return whether they are staged."""
        are_staged = self._lifecycle.resize.offered(offer, copies)
        self._story.note(offer, "staged" if are_staged else "refused")
        self._check()
        return are_staged
