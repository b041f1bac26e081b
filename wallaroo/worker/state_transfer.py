"""What moves away from one worker and what moves to it, while the membership changes.

What moves away is found while records go on, in slices: a million keys take most of a second. Keys
that come later are at the end of their dictionary. It is given in chunks of some milliseconds, and
stays here all the same until the change is certain; so long, what came from others lies aside.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from wallaroo.checkpoint.parts import PART_HEADER, Chunk, encode_chunk, read_chunks
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.store import Pause
from wallaroo.checkpoint.unpickling import Unreadable
from wallaroo.errors import ProtocolError, StateObjectError
from wallaroo.links.mesh import Mesh
from wallaroo.names import PartitionId, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.pacing import Pacer
from wallaroo.routing.keys import display_key, short_repr
from wallaroo.routing.partition_map import PartitionMap, moves
from wallaroo.runtime.inbox import Link
from wallaroo.wire.data_frames import MovedStates, MovingFrame

FIND_KEYS_MIN = 500
"""Looked at in one go, though that may seem slow: so many take less than a millisecond, and where
other programs have the processor most of the time a slice says little about what keys cost."""
CHUNK_KEYS_MAX = 2000
ON_THE_WAY_BYTES_MAX = 8 << 20
"""Of what is sent, so much may wait to be received."""
LOOK_S = 0.001

Maps = Mapping[str, PartitionMap]


class StateTransfer:
    """The states of one worker, in one change of the members.

    ``now`` says who owns what before, and is ``None`` for a worker that joins.
    """

    def __init__(
        self,
        number: int,
        me: WorkerName,
        dataflow: Dataflow,
        now: Maps | None,
        then: Maps,
        givers: Iterable[WorkerName],
        pickler: StatePickler,
    ) -> None:
        self.number = number
        self._me = me
        self._pickler = pickler
        self._dataflow = dataflow
        self._takers: dict[str, dict[PartitionId, WorkerName]] = {}
        for name, partition_map in then.items() if now is not None else ():
            assert now is not None
            leaving = moves(now[name], partition_map).items()
            self._takers[name] = {at: taker for at, (giver, taker) in leaving if giver == me}
        self._then = then
        self._seen_count = dict.fromkeys(dataflow.states, 0)
        self._found: dict[str, dict[WorkerName, list[Any]]] = {name: {} for name in dataflow.states}
        self._missing = {giver for giver in givers if giver != me}
        self._is_over = False
        self._is_whole = False
        self._came_from = dict.fromkeys(self._missing, 0)
        self._staged: dict[str, dict[Any, Any]] = {name: {} for name in dataflow.states}
        self.key_count = 0
        """Keys that have come."""
        self.byte_count = 0
        """Bytes that these took."""

    # What moves away

    async def find(self, clock: Callable[[], float], pause: Pause) -> None:
        """Find the keys that move, while records go on."""
        pacer = Pacer()
        for name, states in self._dataflow.states.items():
            if not self._takers.get(name):
                continue
            keys = list(states)
            self._seen_count[name] = len(keys)
            position = 0
            while position < len(keys):
                started = clock()
                count = min(max(pacer.record_count, FIND_KEYS_MIN), len(keys) - position)
                self._sort(name, islice(keys, position, position + count))
                position += count
                pacer.observe(count, clock() - started)
                await pause(0)

    def _sort(self, name: str, keys: Iterable[Any]) -> None:
        partition_of, takers = self._then[name].partition_of, self._takers[name]
        found = self._found[name]
        for key in keys:
            taker = takers.get(partition_of(key))
            if taker is not None:
                found.setdefault(taker, []).append(key)

    def _find_the_late(self) -> None:
        """Find those that came since ``find`` looked; no key is ever removed meanwhile."""
        for name, states in self._dataflow.states.items():
            if self._takers.get(name):
                late = list(islice(reversed(states), len(states) - self._seen_count[name]))
                self._seen_count[name] = len(states)
                self._sort(name, reversed(late))

    async def give(
        self,
        takers: Iterable[WorkerName],
        mesh: Mesh,
        clock: Callable[[], float],
        pause: Pause,
    ) -> None:
        """Send what moves away, and to each of the new members that this was all.

        Raises ``StateObjectError`` if a state cannot be pickled, or not be read back.
        """
        self._find_the_late()
        given_count = dict.fromkeys((taker for taker in takers if taker != self._me), 0)
        pacer = Pacer()
        for index, (name, found) in enumerate(self._found.items()):
            states = self._dataflow.states[name]
            for taker, keys in found.items():
                link = mesh.outgoing[taker]
                position = 0
                while position < len(keys):
                    count = min(pacer.record_count, CHUNK_KEYS_MAX)
                    part = keys[position : position + count]
                    started = clock()
                    moving = [states[key] for key in part]
                    chunk = encode_chunk(part, moving, name, self._pickler)
                    pacer.observe(len(part), clock() - started)
                    link.send_states(self.number, index, PART_HEADER + chunk)
                    position += len(part)
                    await pause(0)
                    while link.backlog_bytes > ON_THE_WAY_BYTES_MAX and not self._is_over:
                        await pause(LOOK_S)
                    if self._is_over:
                        return
                given_count[taker] += len(keys)
        for taker, key_count in given_count.items():
            mesh.outgoing[taker].send_moved_all(self.number, key_count)

    # What comes

    def received(self, link: Link, frame: MovingFrame) -> bool:
        """Stage what another worker gives; return whether this was the last that was missing.

        Raises ``StateObjectError``, ``DamagedFileError`` or ``ProtocolError`` if it is not what was
        sent.
        """
        if isinstance(frame, MovedStates):
            name = [*self._staged][frame.state]
            staged = self._staged[name]
            for chunk in read_chunks(frame.body, f"keys moved by {link.worker}"):
                staged.update(_readable(chunk, name))
                self._came_from[link.worker] += chunk.key_count
                self.key_count += chunk.key_count
            self.byte_count += len(frame.body)
            return False
        if self._came_from[link.worker] != frame.key_count:
            raise ProtocolError(
                f"{link.worker} moved {self._came_from[link.worker]} keys but reports "
                f"{frame.key_count}"
            )
        self._missing.discard(link.worker)
        return self.has_become_whole()

    def has_become_whole(self) -> bool:
        """Return ``True`` once: when everything has come, or at once if nothing is to come."""
        if self._missing or self._is_whole:
            return False
        self._is_whole = True
        return True

    # The end

    def call_off(self) -> None:
        """Give nothing more: there will be no such change."""
        self._is_over = True

    def check(self) -> None:
        """Assert that everything is here once that was said, and that every key is counted."""
        assert not (self._is_whole and self._missing), f"{self._missing} give more"
        assert sum(self._came_from.values()) == self.key_count

    def finish(self) -> bool:
        """It is certain: drop what moved away, take in what came; say whether anything went."""
        has_given = False
        for name, found in self._found.items():
            for keys in found.values():
                has_given = True
                self._dataflow.drop_keys(name, keys)
        for name, states in self._staged.items():
            self._dataflow.install_keys(name, states)
        return has_given


def _readable(chunk: Chunk, state: str) -> dict[Any, Any]:
    keys, states = chunk.keys(), chunk.states()
    for key, value in zip(keys, states, strict=True):
        if type(value) is Unreadable:
            raise StateObjectError(
                f"state {state!r}: the object of key {short_repr(display_key(key))} cannot be "
                f"unpickled here: {value.error}",
                hint="make sure that its class unpickles what it pickles, in every process",
            )
    return dict(zip(keys, states, strict=True))
