"""Requests that delete keys of a simulated run, and what may be left of these keys at the end.

A key is deleted once its state is what a plain run ends with: all its records are processed, so
only a recovery from before the deletion can bring it back.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from random import Random
from typing import Any

from wallaroo.coordinator.cluster_state import Phase
from wallaroo.coordinator.deletion import delete_key
from wallaroo.coordinator.events import Event
from wallaroo.coordinator.run_driver import RunDriver
from wallaroo.coordinator.run_view import RunView
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo.routing.keys import Key
from wallaroo.testing.oracle import States, View, plain, state_differences
from wallaroo.testing.waiting import Waiting

AskOwner = Callable[[WorkerName, str, Key], Awaitable[bool]]
Told = Callable[[str, dict[str, Any]], None]


class SimulatedRequests:
    """Requests to one run of the command; as ``RequestedRun``."""

    def __init__(self, driver: RunDriver, ask_owner: AskOwner, *, is_durable: bool) -> None:
        self._driver = driver
        self._ask_owner = ask_owner
        self._is_durable = is_durable
        self._waiting: list[Waiting] = []

    @property
    def view(self) -> RunView:
        """What is known about the run from its events."""
        return self._driver.view

    @property
    def phase(self) -> Phase:
        """The phase of the cluster."""
        return self._driver.coordinator.phase

    @property
    def epoch(self) -> Epoch:
        """The current epoch."""
        return self._driver.coordinator.epoch

    @property
    def is_resizing(self) -> bool:
        """Whether a resize is under way."""
        return self._driver.is_resizing

    @property
    def is_durable(self) -> bool:
        """Whether checkpoints are on."""
        return self._is_durable

    def on_event(self, event: Event) -> None:
        """Carry out what follows from an event."""
        self._driver.on_event(event)

    async def change(self) -> None:
        """Wait for the next change."""
        if self.phase is Phase.STOPPED:
            raise ClusterError("the cluster has stopped")
        waiting = Waiting()
        self._waiting.append(waiting)
        await waiting

    def wake(self) -> None:
        """Wake every request that waits for a change."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.finish()

    async def delete(self, state: str, key: Key, deletions: "Deletions", tell: Told) -> None:
        """Ask for a deletion, and note what is answered."""

        async def ask_owner() -> bool:
            (map_,) = [each for each in self.view.maps if each.state == state]
            return await self._ask_owner(map_.owner_of(key), state, key)

        tell("delete", {"state": state, "key": key})
        deletions.asked(state, key)
        try:
            was_there = await delete_key(self, ask_owner)
        except ClusterError as error:
            tell("not deleted", {"key": key, "reason": error.what})
            deletions.refused()
        else:
            tell("deleted", {"key": key, "was_there": was_there})
            deletions.answered(state, key, was_there=was_there)


class Deletions:
    """The deletions of a whole simulation, over all runs of the command."""

    def __init__(self, expected: States, view: View, injected: Counter[str]) -> None:
        """``expected`` are the states at the end of a plain run; deletions count as injected."""
        self._expected = expected
        self._view = view
        self._injected = injected
        self._uncertain: set[tuple[str, Key]] = set()
        """Keys of which nobody knows whether they are deleted: there was no answer, or an error."""
        self._deleted: set[tuple[str, Key]] = set()
        self._waiting_count = 0
        """Requests without an answer."""

    @property
    def are_waiting(self) -> bool:
        """Whether a request has no answer yet."""
        return self._waiting_count > 0

    @property
    def are_many(self) -> bool:
        """Whether so many requests wait that there should be no other one yet."""
        return self._waiting_count > 1

    def choose(
        self, states: Mapping[str, Mapping[Key, Any]], random: Random
    ) -> tuple[str, Key] | None:
        """Return a state and a key in it that has no records to come; ``None`` if there is none."""
        final = [
            (name, key)
            for name, held in states.items()
            for key, value in held.items()
            if (name, key) not in self._deleted and self._is_final(name, key, value)
        ]
        return random.choice(final) if final else None

    def _is_final(self, state: str, key: Key, value: Any) -> bool:
        expected, view = self._expected.get(state, {}), self._view
        return key in expected and view(plain(value)) == view(plain(expected[key]))

    def run_started(self) -> None:
        """Note that nobody waits any more for an answer of an earlier run of the command."""
        self._waiting_count = 0

    def asked(self, state: str, key: Key) -> None:
        """Note that a key may be deleted from now on."""
        self._waiting_count += 1
        self._uncertain.add((state, key))

    def refused(self) -> None:
        """Note an error as the answer."""
        self._waiting_count -= 1

    def answered(self, state: str, key: Key, *, was_there: bool) -> None:
        """Note the answer to the last request."""
        self._waiting_count -= 1
        if was_there:
            self._deleted.add((state, key))
            self._injected["  deleted"] += 1

    def state_differences(self, found: States) -> list[str]:
        """Return a line for each key whose final state is wrong."""
        uncertain = self._uncertain - self._deleted
        wanted = _without(self._expected, self._uncertain)
        return state_differences(wanted, _without(found, uncertain), self._view)


def _without(states: States, left_out: Collection[tuple[str, Key]]) -> States:
    return {
        name: {key: value for key, value in held.items() if (name, key) not in left_out}
        for name, held in states.items()
    }
