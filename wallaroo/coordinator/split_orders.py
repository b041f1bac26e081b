"""Decides, in the initializer, when workers get splits of sources, and when sources have ended.

    RUNNING: a worker asks its source --Discovered--> the ledger says who reads what is new
        --Splits--> the readers ask for the first positions --SplitsStarted, of all--> a checkpoint

The first positions of a source are often "now", so they must not be asked for a second time after a
crash. A checkpoint is therefore taken as soon as all of them are known, and not when the next one
is due. A crash before it loses nothing: of these splits nothing is in any checkpoint.

Splits are given only while the cluster runs and no resize has planned where they go. What is
discovered at another time waits. It is forgotten with the epoch, since every worker that opens its
sources in a new epoch asks them again.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from wallaroo.coordinator.cluster_state import ClusterState, Phase, given
from wallaroo.coordinator.events import Announce, Effect
from wallaroo.coordinator.splits import SplitShare
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.splits import Discovered, SplitsEnded, SplitsStarted


class SplitOrders:
    """The splits of one cluster, from their discovery to their end."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._epoch = state.epoch
        """The epoch of what is below."""
        self._arriving: defaultdict[int, list[str]] = defaultdict(list)
        """By pipeline: the first frames of an answer whose last one has not arrived."""
        self._found: defaultdict[int, list[str]] = defaultdict(list)
        """By pipeline: what was discovered and waits."""
        self._starting: set[tuple[int, WorkerName]] = set()
        """Workers that do not know the first positions yet, by pipeline."""
        self._wants_round = False

    def reported(self, worker: WorkerName, frame: Discovered | SplitsStarted | SplitsEnded) -> None:
        """Note a worker's report of the present epoch."""
        self._enter(self._state.epoch)
        match frame:
            case Discovered():
                self._arriving[frame.pipeline].extend(frame.splits)
                if frame.is_last:
                    self._found[frame.pipeline].extend(self._arriving.pop(frame.pipeline))
            case SplitsStarted():
                self._starting.discard((frame.pipeline, worker))
                self._wants_round |= not self._starting
            case SplitsEnded():
                self._state.splits.ended(frame.pipeline, frame.ended)
                self._note_ends(frame.ended.values())

    def _enter(self, epoch: Epoch) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._arriving.clear()
            self._found.clear()
            self._starting.clear()
            self._wants_round = False

    def _note_ends(self, problems: Iterable[str] = ()) -> None:
        state = self._state
        state.ended_sources.add(state.splits.ended_pipelines, filter(None, problems))

    def go_on(self, *, may_move: bool) -> list[Effect]:
        """Give out the splits that were discovered, unless a resize is about to move some."""
        state = self._state
        self._enter(state.epoch)
        if may_move or state.phase is not Phase.RUNNING or not self._found:
            return []
        effects: list[Effect] = []
        for pipeline, splits in self._found.items():
            shares = state.splits.discovered(pipeline, splits, state.workers)
            effects += self._announced(pipeline, shares)
            effects += given(state.epoch, shares)
            starting = (share for share in shares if share.asks_for_start)
            self._starting.update((pipeline, share.worker) for share in starting)
        self._found.clear()
        self._note_ends()
        return effects

    def _announced(self, pipeline: int, shares: Sequence[SplitShare]) -> list[Announce]:
        count = sum(len(share.splits) for share in shares)
        if not count:
            return []
        values = {"pipeline": self._state.begin.sources.pipelines[pipeline], "splits": count}
        is_first = any(share.asks_for_start for share in shares)
        start = "where the source says" if is_first else "at their beginning"
        return [Announce("source.discovered", values, f"they are read, and start {start}")]

    @property
    def are_started(self) -> bool:
        """Whether it is known of all splits where they are read from."""
        return self._state.splits.are_known and not self._starting

    @property
    def wants_round(self) -> bool:
        """Whether a checkpoint is needed now, so that first positions are not asked for again."""
        return self._wants_round and self._state.begin.is_durable

    def ordered_round(self) -> None:
        """Note that a checkpoint was ordered."""
        self._wants_round = False
