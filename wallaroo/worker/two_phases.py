"""Decides what is asked of a sink that prepares results at barriers: one call at a time.

    begin: open the slot, commit what the manifest names, abort what else is prepared --> ready
    add --> write, write, ... --> cut: prepare --> token, listed in the worker's share
    committed: the manifest names the token --> commit
    failed: open again after a pause, abort what is not known, write again what is not prepared

**What can go wrong**

* *Results become visible that no checkpoint holds.* After a crash the same records are processed
  again. So a token is committed only when a manifest names it.
* *The worker dies between the manifest and the commit.* Its successor commits every token that the
  manifest names, before any record. A token may be committed before, so this can be repeated.
* *The answer to a prepare is lost.* Its token is unknown, and its results are written again. So
  after each ``open`` the sink is asked for what is prepared, and what is not known is aborted.
* *A later manifest does not name an earlier token.* A recovery would abort it. So a share is
  complete only when all tokens of earlier manifests are committed.
* *A worker leaves.* Its tokens go to its successor, those that it still has to commit included.

**Invariants**

1. Rows are written in the order in which they were added, and kept until they are prepared.
2. A token is committed only if a manifest names it.
3. What is prepared is aborted only if neither this worker nor the manifest that it began with knows
   the token.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from wallaroo.checkpoint.manifest import Prepared
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.connectors.row_queue import RowQueue
from wallaroo.names import NO_BARRIER, CheckpointId, SinkId, WorkerName
from wallaroo.worker.retries import retry_pause_s

PREPARED_BYTES_MAX = 64 << 20
"""So much is prepared before the barrier, since rows stay in memory until they are prepared."""


@dataclass(frozen=True, slots=True)
class Open:
    """Close the slot that is open, if any; open the slot of this worker after a pause."""

    slot: str
    after_s: float


@dataclass(frozen=True, slots=True)
class ListPrepared:
    """Ask for the tokens of the open slot; the result is these."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write these rows. Rows that the target refuses are left out, see ``refused``."""

    rows: list[Any]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Prepare what was written; the result is its token, or ``None``."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Make this visible."""

    token: bytes


@dataclass(frozen=True, slots=True)
class Abort:
    """Give this up."""

    token: bytes


Call: TypeAlias = Open | ListPrepared | Write | Prepare | Commit | Abort


@dataclass(slots=True)
class _Segment:
    """Rows that follow each other, and the barrier behind them, if there is one yet."""

    queue: RowQueue = field(default_factory=RowQueue)
    barrier: CheckpointId = NO_BARRIER

    def end(self, barrier: CheckpointId) -> None:
        """Note the barrier that follows its last row."""
        self.barrier = barrier


@dataclass(slots=True)
class _Written:
    """Rows that were handed out, until they are prepared."""

    rows: list[Any]
    byte_count: int

    def replace(self, rows: list[Any]) -> None:
        """Keep these rows only: the target refuses the others."""
        self.rows = rows


@dataclass(frozen=True, slots=True)
class _Token:
    content: Prepared
    byte_count: int


class TwoPhases:
    """The prepared work of one worker for one sink, from one rewind to the next."""

    def __init__(
        self, worker: WorkerName, sink: SinkId, bytes_max: int = PREPARED_BYTES_MAX
    ) -> None:
        self._worker = worker
        self._sink = sink
        self._bytes_max = bytes_max
        self._segments = deque([_Segment()])
        self._kept: list[_Written] = []
        self._written_count = 0
        """How many of the kept batches the sink has, since it was opened."""
        self._uncommitted: list[_Token] = []
        """In no manifest; those that no barrier follows yet have no cut."""
        self._owed: deque[_Token] = deque()
        """In a manifest, and not committed."""
        self._named: frozenset[bytes] = frozenset()
        self._recovering: deque[str] = deque()
        """The slots that are opened only to abort what is left in them."""
        self._slot = ""
        """The slot that is open; empty for none."""
        self._is_listed = False
        self._left: list[bytes] = []
        """What is to be aborted in the open slot."""
        self._failure_count = 0
        self._failed_call: tuple[type[Call], int] | None = None
        self._spares = False
        self.is_ready = False
        """Whether everything that the manifest names is committed, and the own slot is open."""
        self.added_bytes = 0
        self.settled_bytes = 0
        """Of these, what is committed or was given up."""

    def begin(self, start: PreparedStart) -> None:
        """Commit what a manifest names and is this worker's; abort what no manifest names."""
        self._owed.extend(_Token(each, 0) for each in start.mine)
        self._named = frozenset(each.token for each in start.named)
        self._recovering.extend(start.slots)
        self._spares = start.spares

    # Rows

    def add(self, rows: list[Any]) -> int:
        """Add rows behind all others; return how many bytes they count as."""
        byte_count = self._segments[-1].queue.append(rows)
        self.added_bytes += byte_count
        return byte_count

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the sink was not given since it was opened."""
        kept = sum(each.byte_count for each in self._kept[self._written_count :])
        return kept + sum(segment.queue.queued_bytes for segment in self._segments)

    @property
    def is_finished(self) -> bool:
        """Whether everything that was added is committed or given up."""
        return not (self._owed or self._uncommitted or self._kept) and not self.backlog_bytes

    # Checkpoints

    def cut(self, barrier: CheckpointId) -> None:
        """Prepare what was added until now for this barrier."""
        self._segments[-1].end(barrier)
        self._segments.append(_Segment())

    def is_prepared(self, barrier: CheckpointId) -> bool:
        """Return whether everything before this barrier is prepared."""
        return not any(NO_BARRIER < segment.barrier <= barrier for segment in self._segments)

    def is_settled(self, barrier: CheckpointId) -> bool:
        """Return whether the share is complete: no token of an earlier one is to be committed."""
        return self.is_prepared(barrier) and not self._owed

    def uncommitted(self, barrier: CheckpointId) -> list[Prepared]:
        """Return what was prepared before this barrier and is in no manifest."""
        return [each.content for each in self._uncommitted if _is_cut(each, barrier)]

    def leaving(self, barrier: CheckpointId) -> list[Prepared]:
        """Return what a successor has to commit: the same, and what is not committed yet."""
        return [each.content for each in self._owed] + self.uncommitted(barrier)

    def inherit(self, prepared: Sequence[Prepared]) -> None:
        """List what a worker that has left has prepared in the next share."""
        self._uncommitted[:0] = [_Token(each, 0) for each in prepared]

    def give_away(self) -> None:
        """Forget what no manifest names: this worker leaves, and its successor commits it."""
        self.settled_bytes += sum(each.byte_count for each in self._uncommitted)
        self._named |= {each.content.token for each in self._uncommitted}
        self._uncommitted = []

    def committed(self, barrier: CheckpointId) -> None:
        """Commit what was cut for this checkpoint, as a manifest names it now."""
        self._owed += [each for each in self._uncommitted if _is_cut(each, barrier)]
        self._uncommitted = [each for each in self._uncommitted if not _is_cut(each, barrier)]

    # Calls

    def next_call(self) -> Call | None:
        """Return what is to be called now; the answer is ``done`` or ``failed``."""
        while True:
            slot = self._recovering[0] if self._recovering else self._worker
            if slot != self._slot:
                return Open(slot, retry_pause_s(self._failure_count))
            if self._owed:
                return Commit(self._owed[0].content.token)
            if not self._is_listed:
                return ListPrepared()
            if self._left:
                return Abort(self._left[0])
            if not self._recovering:
                break
            self._recovering.popleft()
        self.is_ready = True
        call = self._next_of_rows()
        if call is None:
            self._failure_count = 0
        return call

    def _next_of_rows(self) -> Write | Prepare | None:
        while True:
            if self._written_count < len(self._kept):
                return Write(self._kept[self._written_count].rows)
            segment = self._segments[0]
            is_full = sum(each.byte_count for each in self._kept) >= self._bytes_max
            if segment.queue.has_waiting and not is_full:
                self._take(segment.queue)
            elif self._kept and (is_full or segment.barrier):
                return Prepare()
            elif segment.barrier:
                self._end_segment()
            else:
                return None

    def _take(self, queue: RowQueue) -> None:
        before = queue.queued_bytes
        rows = queue.take()
        queue.written()
        self._kept.append(_Written(rows, before - queue.queued_bytes))

    def _end_segment(self) -> None:
        barrier = self._segments.popleft().barrier
        self._uncommitted = [
            each if each.content.cut else replace(each, content=replace(each.content, cut=barrier))
            for each in self._uncommitted
        ]

    @property
    def is_failing(self) -> bool:
        """Whether the call that failed last has not succeeded since."""
        return self._failure_count > 0

    def done(self, call: Call, result: Any = None) -> None:
        """The call has returned."""
        # What was written before is written again first, and that is not progress.
        if self._place_of(call) == self._failed_call:
            self._failure_count, self._failed_call = 0, None
        match call:
            case Open(slot):
                self._slot, self._is_listed, self._written_count = slot, False, 0
            case ListPrepared():
                self._listed(result)
            case Write():
                self._written()
            case Prepare():
                self._prepared(result)
            case Commit():
                self.settled_bytes += self._owed.popleft().byte_count
            case Abort():
                del self._left[0]

    def _place_of(self, call: Call) -> tuple[type[Call], int]:
        return type(call), self._written_count if isinstance(call, Write) else 0

    def _listed(self, tokens: list[bytes]) -> None:
        self._is_listed = True
        if self._spares:
            self._spares = False
            self._named |= {*tokens}
        # Orders arrive while a call is under way, so these may be committed or given away by now.
        made = {each.content.token for each in (*self._uncommitted, *self._owed)}
        self._left = [each for each in tokens if each not in self._named | made]

    def _written(self) -> None:
        batch = self._kept[self._written_count]
        if batch.rows:
            self._written_count += 1
        else:
            del self._kept[self._written_count]
            self.settled_bytes += batch.byte_count

    def _prepared(self, token: bytes | None) -> None:
        byte_count = sum(each.byte_count for each in self._kept)
        self._kept, self._written_count = [], 0
        if token is None:
            self.settled_bytes += byte_count
        else:
            content = Prepared(self._sink, token, NO_BARRIER)
            self._uncommitted.append(_Token(content, byte_count))

    def refused(self, rows: list[Any]) -> None:
        """Of the rows that are to be written now, only these are not refused."""
        self._kept[self._written_count].replace(rows)

    def failed(self, call: Call) -> None:
        """The call has raised, and it is not known what it did: open the slot again."""
        self._failure_count += 1
        self._failed_call = self._place_of(call)
        self._slot, self._written_count = "", 0


def _is_cut(token: _Token, barrier: CheckpointId) -> bool:
    return NO_BARRIER < token.content.cut <= barrier
