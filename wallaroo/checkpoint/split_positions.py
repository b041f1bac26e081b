"""Where the splits of sources are: as checkpoints keep it, and as splits move between workers.

A source that is read by split, such as a topic with partitions, has a position for each split. In
a worker's share of a checkpoint ``sources[pipeline]`` is then
``{"splits": {name: [kind, position]}}``. A split is in the share of the worker that reads it, so
all shares together have each split once.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SPLITS = "splits"
"""The one key of the value that a share has for a pipeline that is read by split."""


class SplitKind(enum.StrEnum):
    """What is known of the place where a split is to be read on."""

    AT = "at"
    """``position`` says where."""
    INITIAL = "initial"
    """Nothing was read, and the source's ``start`` is still to be asked for the first position."""
    NEW = "new"
    """Nothing was read. It was found after the first discovery, so it starts at its beginning."""
    ENDED = "ended"
    """It has no more records. ``position`` is a list: why it broke off, empty if it did not, and
    where it ended. If it is a text, it says why alone, and nobody knows where."""
    EARLIER = "earlier"
    """An earlier run read it, and the source's ``resume`` is still to be asked where this run goes
    on. ``position`` is where it was, as ``to_wire`` gave it."""


@dataclass(frozen=True, slots=True)
class SplitPosition:
    """Where one split is to be read on."""

    kind: SplitKind
    position: Any = None
    """For ``AT`` what the source's runner needs, as msgpack packs it; see ``SplitKind``."""
    _wire: list[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Each barrier asks again for the positions of all splits, of which few have changed.
        object.__setattr__(self, "_wire", [self.kind.value, self.position])

    def to_wire(self) -> list[Any]:
        """Return the values as a list, as msgpack packs it; do not change it."""
        return self._wire

    @classmethod
    def from_wire(cls, value: object) -> "SplitPosition":
        """Return what ``to_wire`` gave; ``ValueError`` for anything else."""
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"the position of a split must be a list of 2 values, got {value!r}")
        return cls(SplitKind(value[0]), value[1])


INITIAL = SplitPosition(SplitKind.INITIAL)
NEW = SplitPosition(SplitKind.NEW)


def earlier(position: SplitPosition) -> SplitPosition:
    """Return the position of a split that an earlier run read, for a run that starts from there.

    A split that broke off stays as it is, and so does one of which nobody knows where it ended.
    """
    match position.kind, position.position:
        case (SplitKind.AT, _) | (SplitKind.ENDED, ["", _]):
            return SplitPosition(SplitKind.EARLIER, position.to_wire())
        case _:
            return position


def unasked(position: SplitPosition) -> SplitPosition:
    """Return the position of a split whose source is not asked where a run goes on."""
    if position.kind is not SplitKind.EARLIER:
        return position
    return SplitPosition.from_wire(position.position)


def end_of(position: Any) -> tuple[str, Any]:
    """Return why a split broke off, and where it ended, from the position of an ended one."""
    problem, place = position if isinstance(position, list) else (position, None)
    return problem or "", place


def to_share(positions: Mapping[str, SplitPosition]) -> dict[str, Any]:
    """Return the value that a share of a checkpoint has for one pipeline."""
    return {SPLITS: {split: position.to_wire() for split, position in positions.items()}}


def split_values(value: object) -> dict[str, Any] | None:
    """Return the packed positions by split in a share's value; ``None`` if it has no splits."""
    splits = value.get(SPLITS) if isinstance(value, dict) and len(value) == 1 else None
    return splits if isinstance(splits, dict) else None


def merged(shares: Iterable[Mapping[int, Any]]) -> dict[int, Any]:
    """Return the positions of all sources in these shares of one checkpoint, by pipeline.

    A source without splits is in one share only. Splits of one source are in several.
    """
    sources: dict[int, Any] = {}
    for share in shares:
        for pipeline, value in share.items():
            splits, known = split_values(value), split_values(sources.get(pipeline))
            if splits is not None and known is not None:
                known.update(splits)
            else:
                sources[pipeline] = value if splits is None else {SPLITS: dict(splits)}
    return sources
