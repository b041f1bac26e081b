"""What has become of a cluster, followed from outside of its coordinator, for whoever asks.

The coordinator decides and forgets; a request wants to know who is a member now, how the last
checkpoint ended, and when something it waits for has happened.
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
from wallaroo.names import WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.wire.control import Abandon, Assign, Checkpoint, Drain, Join, Rewind

Told = Callable[[str, dict[str, Any]], None]
"""Gets the name of what happened and its values."""


@dataclass(slots=True)
class RoundWatch:
    """The checkpoints of one run, by the numbers of their rounds."""

    last: int = 0
    """The round that was begun last."""
    is_under_way: bool = False
    committed: int = 0
    failed: int = 0
    reason: str = ""
    """Why the failed one failed."""
    _is_committing: bool = False

    def saw_event(self, event: Event | None) -> None:
        """Something happened."""
        if isinstance(event, ManifestWritten):
            self.is_under_way = False
            self.committed = self.last

    def saw_effect(self, effect: Effect) -> None:
        """Something was decided."""
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
    """Members, maps, rounds and announcements of one run, as its events and effects tell them."""

    joined: dict[WorkerName, Join] = field(default_factory=dict)
    """What each worker said of itself last."""
    used_names: dict[WorkerName, None] = field(default_factory=dict)
    """Of all workers that there are or were."""
    maps: list[PartitionMap] = field(default_factory=list)
    """Who owns what; empty until the first assignment."""
    rounds: RoundWatch = field(default_factory=RoundWatch)
    totals: dict[str, Any] = field(default_factory=dict)
    """Record and failure counts, once everything is drained."""
    listeners: list[Told] = field(default_factory=list)
    """Called with each announcement."""
    on_change: Callable[[], None] = lambda: None
    """Called after each step."""
    _members: dict[WorkerName, None] = field(default_factory=dict)

    @property
    def workers(self) -> list[WorkerName]:
        """The members, and those that are on their way to become one."""
        return list(self._members)

    def saw(self, event: Event | None, effects: Sequence[Effect]) -> None:
        """Something happened (``None``: the start), and this followed from it."""
        self.rounds.saw_event(event)
        match event:
            case Received(worker, Join() as join):
                self.joined[worker] = join
        for effect in effects:
            self.rounds.saw_effect(effect)
            match effect:
                case StartWorker(worker):
                    self._members[worker] = self.used_names[worker] = None
                case EndWorker(worker):
                    self._members.pop(worker, None)
                case Send(_, Assign() as assign):
                    self._members = dict.fromkeys(WorkerName(name) for name, *_ in assign.members)
                    self.maps = [PartitionMap.from_wire(each) for each in assign.partition_maps]
                case Announce(what, values):
                    self._announced(what, values)
        self.on_change()

    def _announced(self, what: str, values: dict[str, Any]) -> None:
        if what == "cluster.drained":
            self.totals = values
        for listener in list(self.listeners):
            listener(what, values)
