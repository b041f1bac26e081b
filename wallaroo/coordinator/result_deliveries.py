"""Decides, in the initializer, how long new results wait for older ones after a resize.

A key that moves leaves results behind in the queue of its old owner: bytes that a sink has not
acknowledged. Its new owner has a connection of its own to the same sink, so without care its
results could arrive first. At the barrier of the resize each worker reports the sinks to which it
still owes results (``Held``). What the new owners write to these sinks waits
(``Assign.held_sinks``) until the old owners have delivered what they owed (``Delivered``). Then it
is sent (``Release``).

    Held: no worker owes anything --> nothing is held: the usual case, which costs nothing
    Held: w1 owes sink 0 --> Assign holds sink 0 --> w1: Delivered --> Release

What is owed was written before the barrier, and nothing that was written before a barrier waits for
something written after it. So deliveries of several resizes may be under way, one after the other,
and no workers can wait for each other in a circle. A lost worker owes nothing: what it held is
either lost, or written again after a recovery.
"""

from collections.abc import Mapping, Sequence

from wallaroo.coordinator.cluster_state import ClusterState
from wallaroo.coordinator.events import Announce, Effect, Send
from wallaroo.names import WorkerName
from wallaroo.wire.control import Delivered, Release


class ResultDeliveries:
    """The results from before each resize that workers still owe to sinks."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._owed: dict[int, dict[WorkerName, set[int]]] = {}
        """By resize and worker: the sinks that lack results from before its barrier."""
        self._held: dict[int, list[int]] = {}
        """By resize: the sinks for which new owners hold results, as last announced."""

    def begin(self, resize: int, owed: Mapping[WorkerName, Sequence[int]]) -> list[int]:
        """Start after the commit of a resize; return the sinks whose output new owners hold."""
        debts = {worker: set(sinks) for worker, sinks in owed.items() if sinks}
        if not debts:
            return []
        self._owed[resize] = debts
        self._held[resize] = self._still_held(resize)
        return self._held[resize]

    def announced(self, resize: int) -> list[Effect]:
        """Announce which sinks are held, if any, and which workers they wait for."""
        if resize not in self._held:
            return []
        values = {"sinks": self._held[resize], "workers": ", ".join(sorted(self._owed[resize]))}
        following = "new results are sent once the sinks have all results from before the resize"
        return [Announce("results.held", values, following)]

    def delivered(self, worker: WorkerName, frame: Delivered) -> list[Effect]:
        """Handle a worker's report that it owes results to fewer sinks.

        The epoch of the report does not matter: without checkpoints the epoch may rise while
        results wait, and they must not wait for ever.
        """
        debts = self._owed.get(frame.resize, {})
        if worker not in debts:
            return []
        debts[worker] &= set(frame.owed_sinks)
        return self._changed(frame.resize)

    def settled(self, worker: WorkerName) -> list[Effect]:
        """Stop waiting for a worker: it has delivered everything, or it is lost."""
        effects: list[Effect] = []
        for resize in [each for each, debts in self._owed.items() if worker in debts]:
            self._owed[resize][worker].clear()
            effects += self._changed(resize)
        return effects

    def forget(self) -> None:
        """Forget everything: all workers go back to a checkpoint, and hold nothing any more."""
        self._owed.clear()
        self._held.clear()

    def _still_held(self, resize: int) -> list[int]:
        return sorted(set().union(*self._owed[resize].values()))

    def _changed(self, resize: int) -> list[Effect]:
        held = self._still_held(resize)
        if held == self._held[resize]:
            return []
        self._held[resize] = held
        if not held:
            del self._owed[resize], self._held[resize]
        return [Send(self._holders(), Release(self._state.epoch, resize, held))]

    def _holders(self) -> tuple[WorkerName, ...]:
        """Return the members, and the workers that left and may still hold results.

        Such a worker also owes what it holds, so it is included until it has delivered everything.
        """
        members = self._state.workers
        owing = {
            worker for debts in self._owed.values() for worker, sinks in debts.items() if sinks
        }
        return (*members, *sorted(owing.difference(members)))
