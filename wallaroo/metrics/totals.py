"""Counts of the whole cluster, from what its workers report, across crashes and new members.

A worker counts since its process was started. Without checkpoints what an earlier process had
reported is kept and added. With checkpoints counts go back to the checkpoint together with the
states, and what is replayed counts again: so after a recovery each accepted record has counted
exactly once. Until the counts of a place have come as far as they were, the old ones are shown, so
that totals never go back.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from wallaroo.metrics.tally import IN, OUT, Counts, add_counts, copy_counts

NOTHING = (0, 0, 0, 0)


@dataclass(slots=True)
class _Claim:
    """What one worker says: its own counts, and those that it carries for others."""

    incarnation: int
    epoch: int
    counts: dict[str, Counts]


@dataclass(slots=True)
class Totals:
    """Counts by worker and node. ``is_durable`` says whether checkpoints are on."""

    is_durable: bool
    members: list[str] = field(default_factory=list)
    epoch: int = 0
    _claims: dict[str, _Claim] = field(default_factory=dict)
    _kept: dict[str, Counts] = field(default_factory=dict)
    """Without checkpoints: of processes that have ended, by worker."""
    _shown: dict[str, Counts] = field(default_factory=dict)

    def assigned(self, members: Collection[str], epoch: int) -> None:
        """These are the members from now on."""
        self.members = list(members)
        self.epoch = epoch

    def reported(
        self, worker: str, incarnation: int, epoch: int, counts: dict[str, Counts]
    ) -> None:
        """A worker says how far it has counted."""
        before = self._claims.get(worker)
        if before is not None and (incarnation, epoch) < (before.incarnation, before.epoch):
            return
        if before is not None and incarnation > before.incarnation and not self.is_durable:
            for name, ended in before.counts.items():
                add_counts(self._kept.setdefault(name, {}), ended)
        self._claims[worker] = _Claim(incarnation, epoch, copy_counts(counts))

    def by_worker(self) -> dict[str, Counts]:
        """Return the counts to show: by worker, then node."""
        if self.is_durable and not self._is_settled():
            return self._shown
        counted = self._counted()
        if self.is_durable:
            self._hold_what_is_behind(counted)
        self._shown = counted
        return counted

    def _is_settled(self) -> bool:
        """Whether all members speak of the same epoch; what they say of different ones differs."""
        claims = [self._claims.get(member) for member in self.members]
        return all(claim is not None and claim.epoch >= self.epoch for claim in claims)

    def _counted(self) -> dict[str, Counts]:
        counted = copy_counts(self._kept)
        there = [name for name in self._claims if name in self.members or not self.members]
        spoken_for = {name for worker in there for name in self._claims[worker].counts}
        # One that has left is counted by its last words, unless somebody carries its counts on.
        gone = [name for name in self._claims if name not in there and name not in spoken_for]
        for worker in there + gone:
            for name, counts in self._claims[worker].counts.items():
                add_counts(counted.setdefault(name, {}), counts)
        return counted

    def _hold_what_is_behind(self, counted: dict[str, Counts]) -> None:
        shown, new = sums(self._shown), sums(counted)
        # Out as well: what is replayed counts out of a sink only when that has taken it again.
        behind = {
            node
            for node, values in shown.items()
            if (now := new.get(node, NOTHING))[IN] < values[IN] or now[OUT] < values[OUT]
        }
        if not behind:
            return
        for nodes in counted.values():
            for node in behind:
                nodes.pop(node, None)
        for worker, nodes in self._shown.items():
            held = {node: list(values) for node, values in nodes.items() if node in behind}
            counted.setdefault(worker, {}).update(held)


def sums(by_worker: dict[str, Counts]) -> Counts:
    """Return the counts of all workers together, by node."""
    total: Counts = {}
    for counts in by_worker.values():
        add_counts(total, counts)
    return total
