"""Counts of the whole cluster, from the reports of its workers, across crashes and resizes.

A worker counts from the start of its process. Without checkpoints each process counts for itself,
and its last report before it ended stays valid. With checkpoints, counts go back to the checkpoint
together with the states, and replayed records count again, so after a recovery each accepted record
is counted exactly once. Until the counts of a node have caught up, the old ones are shown, so that
totals never decrease.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo.metrics.tally import IN, OUT, Counts, add_counts, copy_counts

NOTHING = (0, 0, 0, 0)


@dataclass(slots=True)
class _Claim:
    """The last report of one worker: its own counts, and those that it carries for others."""

    epoch: int
    counts: dict[str, Counts]


@dataclass(slots=True)
class Totals:
    """Counts by worker and node. ``is_durable`` says whether checkpoints are on."""

    is_durable: bool
    members: list[str] = field(default_factory=list)
    epoch: int = 0
    _claims: dict[str, _Claim] = field(default_factory=dict)
    """With checkpoints: the last report of each worker."""
    _processes: dict[str, dict[int, Counts]] = field(default_factory=dict)
    """Without checkpoints: counts of each process, by worker and by the epoch of its start."""
    _shown: dict[str, Counts] = field(default_factory=dict)

    def begin(self, kept: dict[str, Counts]) -> None:
        """Show the counts that an earlier run has saved, until the workers have restored them."""
        self._shown = copy_counts(kept)

    def set_members(self, members: Collection[str], epoch: int) -> None:
        """Set the members, whose counts make up the totals from now on."""
        self.members = list(members)
        self.epoch = epoch

    def reported(
        self, worker: str, incarnation: int, epoch: int, counts: dict[str, Counts]
    ) -> None:
        """Add the counts of a worker whose process was started at ``incarnation``."""
        if not self.is_durable:
            self._add_process(worker, incarnation, counts)
            return
        before = self._claims.get(worker)
        if before is None or epoch >= before.epoch:
            self._claims[worker] = _Claim(epoch, copy_counts(counts))

    def _add_process(self, worker: str, incarnation: int, counts: dict[str, Counts]) -> None:
        known = self._processes.setdefault(worker, {}).setdefault(incarnation, {})
        for node, four in counts.get(worker, {}).items():
            # The counts of a process never decrease, so an older report changes nothing.
            known[node] = list(map(max, known.get(node, four), four))

    def by_worker(self) -> dict[str, Counts]:
        """Return the counts to show: by worker, then node."""
        if not self.is_durable:
            return {name: sums(lives) for name, lives in self._processes.items()}
        if not self._is_settled():
            return self._shown
        counted = self._counted()
        self._keep_lagging_nodes(counted)
        self._shown = counted
        return counted

    def _is_settled(self) -> bool:
        """Return whether the reports of all members are of the current epoch."""
        claims = [self._claims.get(member) for member in self.members]
        return bool(claims) and all(
            claim is not None and claim.epoch >= self.epoch for claim in claims
        )

    def _counted(self) -> dict[str, Counts]:
        counted: dict[str, Counts] = {}
        # Ignore workers that have left: a member carries their counts. If all go back to a
        # checkpoint from before a worker left, its last report would count replayed records twice.
        for worker in self.members:
            for name, counts in self._claims[worker].counts.items():
                add_counts(counted.setdefault(name, {}), counts)
        return counted

    def _keep_lagging_nodes(self, counted: dict[str, Counts]) -> None:
        """Replace counts that are lower than the ones shown before."""
        shown, new = sums(self._shown), sums(counted)
        # Compare records out as well: replayed results count only when the sink has them again.
        lagging = {
            node
            for node, values in shown.items()
            if (current := new.get(node, NOTHING))[IN] < values[IN] or current[OUT] < values[OUT]
        }
        if not lagging:
            return
        for nodes in counted.values():
            for node in lagging:
                nodes.pop(node, None)
        for worker, nodes in self._shown.items():
            held = {node: list(values) for node, values in nodes.items() if node in lagging}
            counted.setdefault(worker, {}).update(held)


def sums(by_worker: Mapping[Any, Counts]) -> Counts:
    """Return the sum of the counts of all workers, or of all processes of one, by node."""
    total: Counts = {}
    for counts in by_worker.values():
        add_counts(total, counts)
    return total
