"""Counts of the whole cluster, from what its workers report, across crashes and new members.

A worker counts since its process was started. Without checkpoints each process counts for itself,
and what it had reported when it ended stays. With checkpoints counts go back to the checkpoint
together with the states, and what is replayed counts again: so after a recovery each accepted
record has counted exactly once. Until the counts of a place have come as far as they were, the old
ones are shown, so that totals never go back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo.metrics.tally import IN, OUT, Counts, add_counts, copy_counts

NOTHING = (0, 0, 0, 0)


@dataclass(slots=True)
class _Claim:
    """What one worker says: its own counts, and those that it carries for others."""

    epoch: int
    counts: dict[str, Counts]


@dataclass(slots=True)
class Totals:
    """Counts by worker and node. ``is_durable`` says whether checkpoints are on."""

    is_durable: bool
    members: list[str] = field(default_factory=list)
    epoch: int = 0
    _claims: dict[str, _Claim] = field(default_factory=dict)
    """With checkpoints: what each worker said last."""
    _processes: dict[str, dict[int, Counts]] = field(default_factory=dict)
    """Without: what each process has counted, by worker and by the epoch it was started at."""
    _shown: dict[str, Counts] = field(default_factory=dict)

    def begin(self, kept: dict[str, Counts]) -> None:
        """Show these counts, which an earlier run has saved, until the workers have restored them.

        What they count then is never less.
        """
        self._shown = copy_counts(kept)

    def assigned(self, members: Collection[str], epoch: int) -> None:
        """These are the members from now on."""
        self.members = list(members)
        self.epoch = epoch

    def reported(
        self, worker: str, incarnation: int, epoch: int, counts: dict[str, Counts]
    ) -> None:
        """A worker says how far it has counted; its process was started at ``incarnation``."""
        if not self.is_durable:
            self._add_process(worker, incarnation, counts)
            return
        before = self._claims.get(worker)
        if before is None or epoch >= before.epoch:
            self._claims[worker] = _Claim(epoch, copy_counts(counts))

    def _add_process(self, worker: str, incarnation: int, counts: dict[str, Counts]) -> None:
        for name, told in counts.items():
            processes = self._processes.setdefault(name, {})
            # What it carries for another one is of that one's last process, which has left.
            process = incarnation if name == worker else max(processes, default=0)
            known = processes.setdefault(process, {})
            for node, four in told.items():
                # A process never counts backwards, so an older report changes nothing.
                known[node] = list(map(max, known.get(node, four), four))

    def by_worker(self) -> dict[str, Counts]:
        """Return the counts to show: by worker, then node."""
        if not self.is_durable:
            return {name: sums(lives) for name, lives in self._processes.items()}
        if not self._is_settled():
            return self._shown
        counted = self._counted()
        self._hold_what_is_behind(counted)
        self._shown = counted
        return counted

    def _is_settled(self) -> bool:
        """Whether all members speak of the same epoch; what they say of different ones differs."""
        claims = [self._claims.get(member) for member in self.members]
        return bool(claims) and all(
            claim is not None and claim.epoch >= self.epoch for claim in claims
        )

    def _counted(self) -> dict[str, Counts]:
        counted: dict[str, Counts] = {}
        # A worker that has left is not asked: a member carries its counts. Its last words would
        # count twice what is replayed when all go back to a checkpoint from before it left.
        for worker in self.members:
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


def sums(by_worker: Mapping[Any, Counts]) -> Counts:
    """Return the counts of all workers (or of all processes of one) together, by node."""
    total: Counts = {}
    for counts in by_worker.values():
        add_counts(total, counts)
    return total
