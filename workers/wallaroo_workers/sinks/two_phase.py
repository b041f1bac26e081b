"""Sinks of authors that prepare results at barriers, and commit them with their checkpoint.

    rows --> write, write, ... --barrier--> prepare --> token --manifest--> commit

The machine of the worker decides what is called next. Here one task makes the calls.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from wallaroo.checkpoint.manifest import Prepared, SinkShare
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.connectors.custom_sinks import Custom
from wallaroo.names import CheckpointId
from wallaroo.worker.sink_port import FinishCut, SinkContext
from wallaroo.worker.two_phases import (
    Abort,
    Call,
    Commit,
    ListPrepared,
    Open,
    Prepare,
    TwoPhases,
    Write,
)
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.author_sink import AuthorSink, SinkFailed
from wallaroo_workers.sinks.connector import ConnectorRunner
from wallaroo_workers.sinks.runner import ProcessSinkRunner, SinkWait, flush_queue, is_set_within
from wallaroo_workers.sinks.two_phase_at_once import (
    TwoPhasesAtOnce,
    checked_token,
    checked_tokens,
)

log = get_logger()

METHODS: dict[type[Call], str] = {
    Open: "open",
    ListPrepared: "prepared",
    Write: "write",
    Prepare: "prepare",
    Commit: "commit",
    Abort: "abort",
}


def new_runner(sink: Custom, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner of this sink; without checkpoints it is at least once."""
    address = sink.sink.identity()
    if context.store is None:
        return ConnectorRunner(TwoPhasesAtOnce(sink.sink, context, address), context, address)
    return TwoPhaseRunner(AuthorSink(sink.sink, context, address), context, address)


class TwoPhaseRunner:
    """This worker's rows and prepared work for one sink."""

    stream = None
    outbox = None
    """What is prepared is kept by the target, not in the store."""

    def __init__(self, author: AuthorSink, context: SinkContext, address: str) -> None:
        self.preparing = self
        self.name = context.name
        self.address = address
        self.connection_count = 0
        """How often a slot was opened."""
        self.is_connected = False
        """Whether a slot is open."""
        self._author = author
        self._context = context
        self._machine: TwoPhases | None = None
        self._slot_of: Callable[[str], str] = str
        self._settled_bytes = 0
        """Bytes of earlier machines, which were committed or given up."""
        self._is_closing = False
        self._changed = asyncio.Event()
        """Set when there may be a call to make, or the sink is to close."""
        self._progressed = asyncio.Event()
        """Set after each call."""
        self._discarded = asyncio.Event()
        self._is_idle, self._ended = asyncio.Event(), asyncio.Event()

    def begin(self, slot_of: Callable[[str], str], start: PreparedStart) -> None:
        """Begin with what a manifest names."""
        self._slot_of = slot_of
        self._machine = TwoPhases(self._context.worker, self._context.index)
        self._machine.begin(start)
        self._discarded.clear()
        self._is_idle.clear()
        self._changed.set()

    @property
    def _present(self) -> TwoPhases:
        assert self._machine is not None, "nothing was begun"
        return self._machine

    @property
    def queued_bytes(self) -> int:
        """How many bytes of results are not committed."""
        return self.written_bytes - self.settled_bytes

    @property
    def backlog_bytes(self) -> int:
        """How many bytes the sink was not given."""
        return 0 if self._machine is None else self._machine.backlog_bytes

    @property
    def written_bytes(self) -> int:
        """How many bytes were ever written."""
        return self._settled_bytes + (0 if self._machine is None else self._machine.added_bytes)

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes ever written are committed, or were given up."""
        return self._settled_bytes + (0 if self._machine is None else self._machine.settled_bytes)

    @property
    def wait(self) -> SinkWait | None:
        """For what the author's method waits."""
        return self._author.wait

    @property
    def batches(self) -> dict[str, Any]:
        """What the report says of the batches."""
        return self._author.facts()

    def write(self, rows: list[Any]) -> int:
        """Queue rows."""
        byte_count = self._present.add(rows)
        self._changed.set()
        return byte_count

    def settle(self) -> None:
        """Do nothing: answers arrive by themselves."""

    async def connected(self) -> None:
        """Wait until what the manifest names is committed, and the own slot is open."""
        await self._until(lambda: self._present.is_ready)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._progressed.clear()
            await self._progressed.wait()

    # The task

    async def run(self) -> None:
        """Make the calls that the machine wants, until the sink is closed or this is cancelled."""
        while not self._is_closing:
            self._changed.clear()
            while (machine := self._machine) is not None and (call := machine.next_call()):
                if not await self._make(machine, call):
                    break
            if machine is None:
                await self._close()
                self._is_idle.set()
            else:
                self._author.works()
            # The machine goes on without a call at the end of a cut.
            self._progress()
            await self._changed.wait()
        await self._close()
        await self._author.end()
        self._is_idle.set()
        self._ended.set()

    async def _make(self, machine: TwoPhases, call: Call) -> bool:
        """Make a call, which may fail; return whether the sink can go on."""
        try:
            result = await self._result_of(machine, call)
        except SinkFailed as error:
            self._author.end_run(error)
            self.close()
            return False
        except Exception as error:  # noqa: BLE001  the author's code may raise anything
            following = "the sink is closed and opened again; what is not prepared is written again"
            self._author.failed(METHODS[type(call)], error, self.queued_bytes, following)
            await self._close(is_broken=True)
            machine.failed(call)
            return True
        if machine is not self._machine:
            return True
        machine.done(call, result)
        if not machine.is_failing:
            match call:
                case Write():
                    self._author.wrote()
                case Prepare() | Commit() | Abort():
                    self._author.works()
        self._progress()
        return True

    async def _result_of(self, machine: TwoPhases, call: Call) -> Any:
        match call:
            case Open(slot, after_s):
                return await self._open(slot, after_s)
            case ListPrepared():
                return checked_tokens(await self._author.call("prepared"))
            case Write(rows):
                return await self._author.write(rows, keep=machine.refused)
            case Prepare():
                return checked_token(await self._author.call("prepare"))
            case Commit(token):
                return await self._author.call("commit", token)
            case Abort(token):
                return await self._author.call("abort", token)

    async def _open(self, slot: str, after_s: float) -> None:
        if await is_set_within(after_s, self._discarded):
            return
        await self._close()
        name = self._slot_of(slot)
        await self._author.call("open", name)
        self.is_connected = True
        self.connection_count += 1
        log.info("sink.connected", sink=self.name, slot=name, next="results are written")

    async def _close(self, *, is_broken: bool = False) -> None:
        self.is_connected = False
        await self._author.close(is_broken=is_broken)

    def _progress(self) -> None:
        self._progressed.set()
        self._context.events.backlog_changed()

    # For checkpoints, and at the end

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Prepare what is before the barrier."""
        machine = self._cut(checkpoint)

        async def finish() -> SinkShare:
            await self._until(lambda: machine.is_settled(checkpoint))
            return SinkShare(prepared=machine.uncommitted(checkpoint))

        return finish

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Prepare what is before the barrier: the successor of a worker that leaves commits it."""
        machine = self._cut(checkpoint)

        async def finish() -> SinkShare:
            await self._until(lambda: machine.is_prepared(checkpoint))
            return SinkShare(prepared=machine.leaving(checkpoint))

        return finish

    def _cut(self, checkpoint: CheckpointId) -> TwoPhases:
        machine = self._present
        machine.cut(checkpoint)
        self._changed.set()
        return machine

    def committed(self, checkpoint: CheckpointId) -> None:
        """Commit what was prepared for this checkpoint."""
        self._present.committed(checkpoint)
        self._changed.set()

    def inherit(self, prepared: Sequence[Prepared]) -> None:
        """List what a worker that has left has prepared in the next checkpoint."""
        self._present.inherit(prepared)

    def give_away(self) -> None:
        """Leave what no checkpoint names to the successor of this worker."""
        self._present.give_away()

    async def discard(self) -> None:
        """Drop what no manifest names, behind the call that is under way.

        What is prepared is aborted when the manifest is known.
        """
        machine, self._machine = self._machine, None
        if machine is None:
            return
        self._discarded.set()
        self._changed.set()
        await self._is_idle.wait()
        self._settled_bytes += machine.added_bytes

    async def flush(self) -> None:
        """Wait until everything is committed and the author's ``close`` has returned."""
        await flush_queue(self)
        await self._until(lambda: self._present.is_finished)
        self.close()
        await self._ended.wait()

    def close(self) -> None:
        """Let the task close the sink, which has everything."""
        self._is_closing = True
        self._changed.set()
