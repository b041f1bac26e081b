"""The runner of a simulated sink that prepares results at barriers."""

from collections.abc import Callable, Sequence
from typing import Any

from wallaroo.checkpoint.manifest import Prepared, SinkShare
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.names import CheckpointId, SinkId, WorkerName
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process
from wallaroo.testing.prepared_targets import PreparedTargets
from wallaroo.testing.targets import Requests
from wallaroo.worker.sink_port import FinishCut
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

LOOK_S = 0.01


class TwoPhaseSink:
    """One sink of one simulated worker, as a ``SinkRunner`` that prepares."""

    stream = None
    outbox = None

    def __init__(
        self,
        worker: WorkerName,
        sink: SinkId,
        process: Process,
        targets: PreparedTargets,
        chaos: Chaos,
        on_progress: Callable[[], None],
        bytes_max: int,
    ) -> None:
        self.preparing = self
        self._worker = worker
        self._sink = sink
        self._process = process
        self._targets = targets
        self._on_progress = on_progress
        self._bytes_max = bytes_max
        self._requests = Requests(process, targets, chaos)
        self._slot_of: Callable[[str], str] = str
        self._machine: TwoPhases | None = None
        self._is_calling = False
        self._slot, self._fence = "", 0
        self._settled_bytes = 0

    def begin(self, slot_of: Callable[[str], str], start: PreparedStart) -> None:
        """Begin with what a manifest names."""
        self._slot_of = slot_of
        self._machine = TwoPhases(self._worker, self._sink, self._bytes_max)
        self._machine.begin(start)
        self._process.start(self._run(self._machine))

    @property
    def _present(self) -> TwoPhases:
        assert self._machine is not None, "nothing was begun"
        return self._machine

    @property
    def backlog_bytes(self) -> int:
        """Bytes that hold the sources back."""
        return 0 if self._machine is None else self._machine.backlog_bytes

    @property
    def settled_bytes(self) -> int:
        """Bytes of results that are committed, or were given up."""
        return self._settled_bytes + (0 if self._machine is None else self._machine.settled_bytes)

    def settle(self) -> None:
        """Do nothing: answers arrive by themselves."""

    def write(self, rows: list[Any]) -> int:
        """Queue rows."""
        return self._present.add([*rows])

    async def connected(self) -> None:
        """Wait until what the manifest names is committed, and the own slot is open."""
        await self._until(lambda: self._present.is_ready)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._process.pause(LOOK_S)

    # The calls

    async def _run(self, machine: TwoPhases) -> None:
        while machine is self._machine:
            call = machine.next_call()
            if call is None:
                await self._process.pause(LOOK_S)
                continue
            self._is_calling = True
            is_answered, result = await self._answer(call)
            self._is_calling = False
            if is_answered:
                machine.done(call, result)
            else:
                machine.failed(call)
            self._on_progress()

    async def _answer(self, call: Call) -> tuple[bool, Any]:
        """Make a call; return whether it was answered, and the answer."""
        if isinstance(call, Open):
            await self._process.pause(call.after_s)
        answers: list[Any] = []
        request = self._request(call)

        def arrive() -> None:
            try:
                answers.append(request())
            except PermissionError:
                pass  # an earlier opener gets no answer

        is_done = await self._requests.ask(arrive, may_linger=True)
        if not is_done or not answers or answers[0] is False:
            return False, None
        if isinstance(call, Open):
            self._slot, self._fence = self._slot_of(call.slot), answers[0]
        return True, answers[0]

    def _request(self, call: Call) -> Callable[[], Any]:
        targets, slot, fence = self._targets, self._slot, self._fence
        match call:
            case Open(name):
                opened = self._slot_of(name)
                return lambda: targets.open(opened)
            case ListPrepared():
                return lambda: targets.tokens(slot)
            case Write(rows):
                return lambda: targets.write(slot, fence, rows)
            case Prepare():
                return lambda: targets.prepare(slot, fence)
            case Commit(token):
                return lambda: targets.commit(self._sink, token)
            case Abort(token):
                return lambda: targets.abort(token)

    # For checkpoints, and at the end

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Prepare what is before the barrier."""
        machine = self._present
        machine.cut(checkpoint)

        async def finish() -> SinkShare:
            await self._until(lambda: machine.is_settled(checkpoint))
            return SinkShare(prepared=machine.uncommitted(checkpoint))

        return finish

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Prepare what is before the barrier: the successor of a worker that leaves commits it."""
        machine = self._present
        machine.cut(checkpoint)

        async def finish() -> SinkShare:
            await self._until(lambda: machine.is_prepared(checkpoint))
            return SinkShare(prepared=machine.leaving(checkpoint))

        return finish

    def committed(self, checkpoint: CheckpointId) -> None:
        """Commit what was prepared for this checkpoint."""
        self._present.committed(checkpoint)

    def inherit(self, prepared: Sequence[Prepared]) -> None:
        """List what a worker that has left has prepared in the next checkpoint."""
        self._present.inherit(prepared)

    def give_away(self) -> None:
        """Leave what no checkpoint names to the successor of this worker."""
        self._present.give_away()

    async def discard(self) -> None:
        """Drop what no manifest names, behind the call that is under way."""
        machine, self._machine = self._machine, None
        if machine is not None:
            await self._until(lambda: not self._is_calling)
            self._settled_bytes += machine.added_bytes

    async def flush(self) -> None:
        """Wait until everything is committed."""
        await self._until(lambda: self._present.is_finished)

    def close(self) -> None:
        """Do nothing: the target has everything."""
