"""Checks the clocks in each checkpoint of a simulated run."""

from collections.abc import Iterator, Mapping

from wallaroo.checkpoint.manifest import ClockShare, Manifest
from wallaroo.testing.store import Objects
from wallaroo.timing.clocks import Status
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.clock_graph import clock_graph
from wallaroo.topology.plan import Application


class Cuts:
    """The clocks of all checkpoints that were committed.

    At a cut all workers hold the same watermarks, since each is restored with what all had. Nothing
    counts as given that the clock has not reached, and no clock is behind the checkpoint before.
    """

    def __init__(self, objects: Objects, plan: Application) -> None:
        self._objects = objects
        self._delays_ns = {
            name: timing.firing.delay_ns if isinstance(timing, WindowSpec) else 0
            for name, state in plan.states.items()
            if (timing := state.timing) is not None and timing.needs_time
        }
        graph = clock_graph(plan)
        self._over_edges = {
            point.state
            for index, point in enumerate(graph.points)
            if all(way.edge is not None for way in graph.ways if way.end == index)
        }
        """States of which a checkpoint has all watermarks."""
        self._seen: dict[int, Manifest] = {}

    def look(self) -> list[str]:
        """Return what is wrong with the checkpoints since the last call."""
        if not self._delays_ns:
            return []
        new = self._objects.manifests_beside(self._seen)
        self._seen |= {manifest.number: manifest for manifest in new}
        return [problem for manifest in new for problem in self._problems(manifest)]

    def _problems(self, manifest: Manifest) -> Iterator[str]:
        where = f"checkpoint {manifest.number}"
        for state, delay_ns in self._delays_ns.items():
            shares = clocks_of(manifest, state)
            for worker, share in shares.items():
                if share.fired > max(share.clock - delay_ns, BEFORE_ALL) and share.clock < END:
                    yield f"{where}: {worker} has fired {state!r} beyond its clock: {share}"
            vectors = {worker: sorted(share.vector, key=str) for worker, share in shares.items()}
            if any(vector != first for first in vectors.values() for vector in vectors.values()):
                yield f"{where}: the watermarks of {state!r} differ: {vectors}"
            if state in self._over_edges:
                yield from _behind(where, state, shares)
            before = self._seen.get(manifest.base)
            if before is not None and _clock(manifest, state) < _clock(before, state) < END:
                yield f"{where}: the clock of {state!r} went back since checkpoint {before.number}"


def _behind(where: str, state: str, shares: Mapping[str, ClockShare]) -> Iterator[str]:
    for worker, share in shares.items():
        times = [time for _, _, time, status in share.vector if status == Status.ACTIVE]
        if len(times) == len(share.vector) and share.clock < min(times, default=share.clock):
            yield f"{where}: the clock of {state!r} on {worker} is behind its watermarks: {share}"


def clocks_of(manifest: Manifest, state: str) -> dict[str, ClockShare]:
    """Return what each worker has of the clock of a state."""
    return {
        worker: share.clocks[state]
        for worker, share in manifest.workers.items()
        if state in share.clocks
    }


def _clock(manifest: Manifest, state: str) -> int:
    """Return the highest clock of a state."""
    return max((each.clock for each in clocks_of(manifest, state).values()), default=BEFORE_ALL)
