"""What checkpoints, restores and moves ask of a state, whatever it keeps its objects in.

A checkpoint writes what has changed, as chunks of keys. The chunks of a plain state hold one object
for each key, and a later one replaces an earlier one. The chunks of windows that are stored by time
have a **tag** as well: which pane they belong to, and how they go with older chunks of that pane.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from wallaroo.operators.changes import StateWriter
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.pane_saving import ChunkKind


class PaneTag(NamedTuple):
    """What keys of a pane mean; see ``wallaroo.timing.pane_saving``."""

    kind: ChunkKind
    time: int


class StateChunk(NamedTuple):
    """Keys and their objects, as they travel and as a part file has them."""

    keys: Sequence[Any]
    values: Sequence[Any]
    """Empty if the keys are done of a half-fired window."""
    tag: PaneTag | None = None


WINDOWS_SHOWN_MAX = 1000
"""Of one key: sessions and sliding windows may be many."""


class Progress(NamedTuple):
    """How far a timed state is on one worker."""

    clock: int = BEFORE_ALL
    fired: int = BEFORE_ALL


@dataclass(frozen=True, slots=True)
class Moved:
    """What one worker gives of a state in a resize."""

    progress: Progress
    chunks: list[StateChunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that has not fired, as queries show it."""

    start: int
    end: int
    accumulator: Any


class Shown(NamedTuple):
    """What a query shows of a key."""

    value: object | None = None
    """Its object; ``None`` if this is a state of windows."""
    windows: Sequence[OpenWindow] = ()
    """The first that have not fired, at most ``WINDOWS_SHOWN_MAX``."""
    window_count: int = 0
    """How many windows have not fired."""


class Changes(Protocol):
    """What the next checkpoint has to write of a state, and what the running one still has to."""

    error: BaseException | None

    @property
    def is_writing(self) -> bool:
        """Whether something of the running checkpoint is still to be written."""
        ...

    def write_slice(self, key_count_max: int) -> int:
        """Write up to ``key_count_max`` keys; return how many were written."""
        ...

    def abandon(self) -> None:
        """Put what the running checkpoint should have written into the next one."""
        ...

    def committed(self) -> None:
        """Note that the running checkpoint is committed."""
        ...


class Cursor(Protocol):
    """Reads the keys of a state while records go on."""

    def at(self, first: int, count: int) -> list[Any]:
        """Return ``count`` keys from number ``first`` on; fewer if there are no more."""
        ...

    def is_at_end(self, position: int) -> bool:
        """Return whether no key has the number ``position``, or a higher one."""
        ...

    def read(self, count: int) -> list[Any]:
        """Return the next ``count`` keys; fewer if there are no more for now."""
        ...


class SavedState(Protocol):
    """A state of one worker as checkpoints and moves know it."""

    @property
    def changes(self) -> Changes | None:
        """What the next checkpoint has to write; ``None`` without checkpoints."""
        ...

    @property
    def progress(self) -> Progress | None:
        """Return how far it is in time; ``None`` if it has no time."""
        ...

    def __len__(self) -> int: ...

    # Requests

    def shown(self, key: Any) -> Shown | None:
        """Return what a query shows of a key; ``None`` if it is not here."""
        ...

    def delete(self, key: Any) -> bool:
        """Delete a key and what belongs to it; return whether it was here."""
        ...

    # Checkpoints

    def freeze(self, writer: StateWriter) -> None:
        """Freeze what changed: ``writer`` receives it as it is now."""
        ...

    def mark_all_changed(self) -> None:
        """Write every key in the next checkpoint."""
        ...

    def rewrite(self, keys: Sequence[Any], tag: PaneTag | None) -> bool:
        """Write what is left of a chunk again in the next checkpoint; return whether it is."""
        ...

    def tidy(self) -> Iterator[None]:
        """Make what is kept for checkpoints smaller, in small steps between which records run."""
        ...

    # Restores

    def begin_restore(self, saved: Sequence[Progress], mine: Sequence[Progress]) -> None:
        """Begin with nothing, as far as all workers had come; ``mine`` are those of the shares that
        chunks are from."""
        ...

    def fill(self, chunk: StateChunk, fired: int) -> Sequence[tuple[Any, BaseException]]:
        """Add a chunk of a checkpoint, whose worker had fired up to ``fired`` then.

        Return the keys that are lost, since the user's code failed.
        """
        ...

    def drop_restored(self, key: Any, tag: PaneTag | None) -> None:
        """Remove what older chunks have of a key, which cannot be read."""
        ...

    def convert(self, convert: Callable[[Any, Any], Any]) -> Iterator[None]:
        """Replace each object by what ``convert`` makes of its key and itself, one by one; ``None``
        drops the key. What is merged while it is restored has been converted before."""
        ...

    def end_restore(self) -> None:
        """Go on from what was restored."""
        ...

    # Moves

    def cursor(self) -> Cursor:
        """Return a cursor that reads the keys while records go on."""
        ...

    def moving(self, keys: Collection[Any], key_count: Callable[[], int]) -> Iterator[StateChunk]:
        """Yield what moves with these keys, ``key_count()`` keys at a time; they stay until
        ``drop``."""
        ...

    def drop(self, keys: Iterable[Any]) -> None:
        """Remove keys that another worker owns now."""
        ...

    def take_in(self, givers: Iterable[Moved]) -> None:
        """Add keys that this worker owns now; its checkpoints do not have them yet."""
        ...


def restart_of(saved: Iterable[Progress], delay_ns: int) -> Progress:
    """Return how far a state is that is restored from shares with this progress.

    The clock is the highest, so that no window can fire twice. A clock at its end starts anew,
    since the run may get more input. If windows were still firing then, it goes on from what had
    fired. What the worker that was furthest behind had not fired may be here now.
    """
    begun = [each for each in saved if each.fired != END]
    clocks = [
        each.clock if each.clock != END else min(each.fired + delay_ns, END - 1)
        for each in begun
        if each.clock != END or each.fired != BEFORE_ALL
    ]
    return Progress(
        max(clocks, default=BEFORE_ALL), min((each.fired for each in begun), default=BEFORE_ALL)
    )
