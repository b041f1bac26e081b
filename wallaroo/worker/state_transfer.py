"""The states that move from one worker and to it during a resize.

Keys that move away are found while records go on, in slices, because a million keys take most of a
second. Keys that are created later are at the end of their dictionary. Their states are sent in
chunks of a few milliseconds.

Until the resize is committed, the worker keeps what it sends and stages what it receives, so that a
resize that is called off changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wallaroo.checkpoint.parts import PART_HEADER, Chunk, encode_chunk, read_chunks
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.store import Pause
from wallaroo.checkpoint.unpickling import Unreadable
from wallaroo.describing import error_text
from wallaroo.errors import ProtocolError, StateObjectError
from wallaroo.links.mesh import Mesh
from wallaroo.names import PartitionId, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.pacing import Pacer
from wallaroo.operators.saved_state import Moved, Progress, StateChunk
from wallaroo.routing.keys import display_key, short_repr
from wallaroo.routing.partition_map import PartitionMap, moves
from wallaroo.runtime.inbox import Link
from wallaroo.wire.data_frames import MovedStates, MovingFrame

FIND_KEYS_MIN = 500
"""A slice is never smaller, however slow the last one was. This many keys take less than a
millisecond; if other programs use the processor, a measured slice says little about their cost."""
CHUNK_KEYS_MAX = 2000
IN_FLIGHT_BYTES_MAX = 8 << 20
"""How much may be sent to one worker before it has processed any of it."""
POLL_S = 0.001

Maps = Mapping[str, PartitionMap]


class StateTransfer:
    """The states of one worker during one resize.

    ``owners`` and ``new_owners`` are the partition maps before and after it. A worker that joins
    has no ``owners``.
    """

    def __init__(
        self,
        number: int,
        me: WorkerName,
        dataflow: Dataflow,
        owners: Maps | None,
        new_owners: Maps,
        givers: Iterable[WorkerName],
        pickler: StatePickler,
    ) -> None:
        self.number = number
        self._me = me
        self._pickler = pickler
        self._dataflow = dataflow
        self._takers: dict[str, dict[PartitionId, WorkerName]] = {}
        for name, partition_map in new_owners.items() if owners is not None else ():
            assert owners is not None
            leaving = moves(owners[name], partition_map).items()
            self._takers[name] = {at: taker for at, (giver, taker) in leaving if giver == me}
        self._cursors = {
            name: dataflow.saved_states[name].cursor()
            for name, takers in self._takers.items()
            if takers
        }
        """The states of which keys move."""
        self._owners = owners
        self._new_owners = new_owners
        self._found: dict[str, dict[WorkerName, list[Any]]] = {name: {} for name in dataflow.states}
        self._missing = {giver for giver in givers if giver != me}
        self._is_over = False
        self._is_complete = False
        self._received_counts = dict.fromkeys(self._missing, 0)
        self._staged: dict[WorkerName, dict[str, list[StateChunk]]] = {}
        """By giver and state."""
        self._progress: dict[WorkerName, dict[str, Progress]] = {}
        """How far timed states are at each giver."""
        self.key_count = 0
        """How many keys were received."""
        self.byte_count = 0
        """How many bytes these were."""

    # Sending

    async def find(self, clock: Callable[[], float], pause: Pause) -> None:
        """Find the keys that move, while records go on."""
        pacer = Pacer()
        for name, cursor in self._cursors.items():
            while True:
                started = clock()
                wanted = max(pacer.record_count, FIND_KEYS_MIN)
                keys = cursor.read(wanted)
                self._sort(name, keys)
                pacer.observe(len(keys), clock() - started)
                await pause(0)
                if len(keys) < wanted:
                    break

    def _sort(self, name: str, keys: Iterable[Any]) -> None:
        partition_of, takers = self._new_owners[name].partition_of, self._takers[name]
        found = self._found[name]
        for key in keys:
            taker = takers.get(partition_of(key))
            if taker is not None:
                found.setdefault(taker, []).append(key)

    def _find_new_keys(self) -> None:
        """Find the keys that were created since ``find`` looked."""
        for name, cursor in self._cursors.items():
            self._sort(name, cursor.read(len(self._dataflow.saved_states[name])))

    async def give(
        self,
        takers: Iterable[WorkerName],
        mesh: Mesh,
        clock: Callable[[], float],
        pause: Pause,
    ) -> None:
        """Send the states that move away, then tell each new member that these were all.

        Raises ``StateObjectError`` if a state cannot be pickled or read back.
        """
        self._find_new_keys()
        given_count = dict.fromkeys((taker for taker in takers if taker != self._me), 0)
        pacer = Pacer()
        for index, (name, found) in enumerate(self._found.items()):
            for taker, keys in found.items():
                link = mesh.outgoing[taker]
                chunks = self._chunks(name, keys, lambda: min(pacer.record_count, CHUNK_KEYS_MAX))
                while True:
                    started = clock()
                    chunk = next(chunks, None)
                    if chunk is None:
                        break
                    if key_count := len(chunk.keys):
                        keys_and_values = chunk.keys, chunk.values
                        data = encode_chunk(*keys_and_values, name, self._pickler, chunk.tag)
                        link.send_states(self.number, index, PART_HEADER + data)
                        given_count[taker] += key_count
                    pacer.observe(key_count, clock() - started)
                    await pause(0)
                    while link.backlog_bytes > IN_FLIGHT_BYTES_MAX and not self._is_over:
                        await pause(POLL_S)
                    if self._is_over:
                        return
        progress = self._dataflow.progress()
        for taker, key_count in given_count.items():
            mesh.outgoing[taker].send_moved_all(self.number, key_count, progress)

    def _chunks(
        self, name: str, keys: list[Any], key_count: Callable[[], int]
    ) -> Iterator[StateChunk]:
        chunks = self._dataflow.saved_states[name].moving(keys, key_count)
        while True:
            try:
                chunk = next(chunks, None)
            except BaseException as error:
                raise StateObjectError(
                    f"state {name!r}: windows that move cannot be merged: {error_text(error)}",
                    hint="correct the function that merges two accumulators",
                ) from error
            if chunk is None:
                return
            yield chunk

    # Receiving

    def received(self, link: Link, frame: MovingFrame) -> bool:
        """Stage states of another worker; return whether everything has been received with them.

        Raises ``StateObjectError``, ``DamagedFileError`` or ``ProtocolError`` if they are not what
        was sent.
        """
        if isinstance(frame, MovedStates):
            name = [*self._found][frame.state]
            staged = self._staged.setdefault(link.worker, {}).setdefault(name, [])
            for chunk in read_chunks(frame.body, f"keys moved by {link.worker}"):
                staged.append(_readable(chunk, name))
                self._received_counts[link.worker] += chunk.key_count
                self.key_count += chunk.key_count
            self.byte_count += len(frame.body)
            return False
        if self._received_counts[link.worker] != frame.key_count:
            raise ProtocolError(
                f"{link.worker} moved {self._received_counts[link.worker]} keys but reports "
                f"{frame.key_count}"
            )
        self._missing.discard(link.worker)
        self._progress[link.worker] = {
            name: Progress(clock, fired) for name, (clock, fired) in frame.clocks.items()
        }
        return self.has_become_complete()

    def has_become_complete(self) -> bool:
        """Return ``True`` once: as soon as no worker has anything more to send."""
        if self._missing or self._is_complete:
            return False
        self._is_complete = True
        return True

    # The end

    def call_off(self) -> None:
        """Send nothing more, since the resize does not happen."""
        self._is_over = True

    def check(self) -> None:
        """Assert that a complete transfer misses nothing, and that every key is counted."""
        assert not (self._is_complete and self._missing), f"{self._missing} give more"
        assert sum(self._received_counts.values()) == self.key_count

    @property
    def gives(self) -> bool:
        """Whether any partition moves away from this worker, with keys or without."""
        return any(self._takers.values())

    def taken_partitions(self) -> dict[str, list[PartitionId]]:
        """Return the partitions that move to this worker, by state; none if it joins."""
        owners = self._owners or {}
        return {
            name: [
                at
                for at, (_, taker) in moves(partition_map, self._new_owners[name]).items()
                if taker == self._me
            ]
            for name, partition_map in owners.items()
        }

    def finish(self) -> None:
        """Drop the keys that moved away and install those received: the resize is committed."""
        for name, found in self._found.items():
            state = self._dataflow.saved_states[name]
            for keys in found.values():
                state.drop(keys)
            # In order of arrival: keys are written and listed in the order in which they came.
            state.take_in(
                Moved(progress.get(name, Progress()), self._staged.get(giver, {}).get(name, []))
                for giver, progress in self._progress.items()
            )


def _readable(chunk: Chunk, state: str) -> StateChunk:
    keys, states = chunk.keys(), chunk.states()
    # Keys that are done of a window have no objects.
    for key, value in zip(keys, states, strict=False):
        if type(value) is Unreadable:
            raise StateObjectError(
                f"state {state!r}: the object of key {short_repr(display_key(key))} cannot be "
                f"unpickled here: {value.error}",
                hint="make sure that its class unpickles what it pickles, in every process",
            )
    return StateChunk(keys, states, chunk.tag)
