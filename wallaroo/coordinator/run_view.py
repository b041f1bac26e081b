"""Follows the coordinator of a run, to answer requests about it.

The coordinator keeps only what it needs for its decisions. Requests also need the current members
and the outcome of the last checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wallaroo.coordinator.events import (
    Announce,
    Effect,
    EndWorker,
    Event,
    ManifestWritten,
    Received,
    Send,
    StartWorker,
    WriteManifest,
)
from wallaroo.names import Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.wire.control import Abandon, Assign, Checkpoint, Committed, Drain, Join, Rewind
from wallaroo.wire.requests import NO_EPOCH

Listener = Callable[[str, dict[str, Any]], None]
"""Gets the name and the values of an announcement."""


@dataclass(slots=True)
class RoundWatch:
    """The checkpoints of one run, by the numbers of their rounds."""

    last: int = 0
    """The round that started last."""
    is_under_way: bool = False
    committed: int = 0
    failed: int = 0
    reason: str = ""
    """Why the failed round failed."""
    _is_committing: bool = False

    def on_event(self, event: Event | None) -> None:
        """Follow an event of the coordinator."""
        if isinstance(event, ManifestWritten):
            self.is_under_way = False
            self.committed = self.last

    def on_effect(self, effect: Effect) -> None:
        """Follow an effect of the coordinator."""
        match effect:
            case Send(_, Checkpoint(_, number) | Drain(_, number)):
                self.last, self.is_under_way, self._is_committing = number, True, False
            case WriteManifest():
                self._is_committing = True
            case Announce("checkpoint.failed", values):
                self.is_under_way = False
                self.failed, self.reason = self.last, str(values["reason"])
            case Send(_, Abandon() | Rewind()) if not self._is_committing:
                self.is_under_way = False


@dataclass(slots=True)
class RunView:
    """Members, maps, rounds and announcements of one run, read from its events and effects."""

    joined: dict[WorkerName, Join] = field(default_factory=dict)
    """The last ``Join`` of each worker."""
    used_names: dict[WorkerName, None] = field(default_factory=dict)
    """The names of all present and former workers."""
    maps: list[PartitionMap] = field(default_factory=list)
    """The owners of partitions; empty until the first assignment."""
    rounds: RoundWatch = field(default_factory=RoundWatch)
    totals: dict[str, Any] = field(default_factory=dict)
    """Record and failure counts, once everything is drained."""
    listeners: list[Listener] = field(default_factory=list)
    """Called with each announcement."""
    replayed_in: Epoch = NO_EPOCH
    """The last epoch with a checkpoint that was taken after all replays of journals."""
    _members: dict[WorkerName, None] = field(default_factory=dict)

    @property
    def workers(self) -> list[WorkerName]:
        """The members, and the workers that are about to join."""
        return list(self._members)

    def on_step(self, event: Event | None, effects: Sequence[Effect]) -> None:
        """Follow one step: an event (``None``: the start) and its effects."""
        self.rounds.on_event(event)
        match event:
            case Received(worker, Join() as join):
                self.joined[worker] = join
        for effect in effects:
            self.rounds.on_effect(effect)
            match effect:
                case StartWorker(worker):
                    self._members[worker] = self.used_names[worker] = None
                case EndWorker(worker):
                    self._members.pop(worker, None)
                case Send(_, Assign() as assign):
                    self._members = dict.fromkeys(WorkerName(name) for name, *_ in assign.members)
                    self.maps = [PartitionMap.from_wire(each) for each in assign.partition_maps]
                case Send(_, Committed(epoch, is_replayed=True)):
                    self.replayed_in = epoch
                case Announce(what, values):
                    self._announced(what, values)

    def _announced(self, what: str, values: dict[str, Any]) -> None:
        if what == "cluster.drained":
            self.totals = values
        for listener in list(self.listeners):
            listener(what, values)
