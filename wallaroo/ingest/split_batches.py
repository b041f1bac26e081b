"""Batches of one split as the runtime keeps them, and the check of what a connector gave.

A batch knows the position after each of its records, in one of three ways:

* by ``offsets``: the position is the record's offset + 1, or that with the further items of the
  batch's position;
* by ``positions``, of records that were given one by one, each with its own;
* otherwise as a base and a count: the position before the batch, and how many of its records were
  taken. A restart reads from the base again and skips that many.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from wallaroo.connectors.source_classes import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batch
from wallaroo.describing import a_type, error_text, text_of, type_name
from wallaroo.errors import ClusterError

POSITION_SHOWN_CHARACTERS_MAX = 100


@dataclass(slots=True, eq=False)
class SplitBatch:
    """Records of one split, in their order."""

    records: list[Any]
    position: Any
    """After the last record."""
    offsets: Sequence[int] | None = None
    positions: Sequence[Any] | None = None
    keys: Sequence[Any] | None = None
    times: Sequence[float] | None = None
    is_caught_up: bool = False
    byte_count: int = 0
    """Bytes of the records, if they are bytes or text; otherwise 0."""
    read_ns: int = 0

    def position_after(self, taken_count: int, base: Any) -> tuple[Any, int]:
        """Return the position to read from, and how many records to skip from there.

        ``taken_count`` of these records are taken; ``base`` is the position before the first.
        """
        if taken_count == 0:
            return base, 0
        if taken_count == len(self.records):
            return self.position, 0
        if self.offsets is not None:
            return self._at(self.offsets[taken_count - 1] + 1), 0
        if self.positions is not None:
            return self.positions[taken_count - 1], 0
        return base, taken_count

    def _at(self, offset: int) -> Any:
        """Return the position with this offset."""
        is_list = type(self.position) is list and offset_of(self.position) is not None
        return [offset, *self.position[1:]] if is_list else offset


def offset_of(position: Any) -> int | None:
    """Return the offset in a position: an integer, or the first item of a list."""
    if type(position) is list and position:
        position = position[0]
    return position if type(position) is int else None


class Method:
    """A method of a connector's author, as errors name it."""

    def __init__(self, owner: object, name: str) -> None:
        self._owner = owner
        self._name = name

    @property
    def gives_keys(self) -> bool:
        """Whether the connector has said that its batches have keys."""
        return getattr(self._owner, "key", None) is not None

    def __str__(self) -> str:
        """Return class, name and line: ``Numbers.read (numbers.py:12)``."""
        name = f"{type_name(self._owner)}.{self._name}"
        code = getattr(inspect.unwrap(getattr(self._owner, self._name, _none)), "__code__", None)
        return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _none() -> None:
    """Stand for a method that does not exist."""


def plain_position(position: Any, method: Method, partition: str) -> Any:
    """Return ``position`` as a checkpoint would give it back: a tuple becomes a list.

    So a connector always gets its positions in one form. Raises ``ClusterError`` if msgpack cannot
    pack it.
    """
    if type(position) is int or position is None:
        if position is None or -(1 << 63) <= position < 1 << 64:
            return position
        problem = "the integer has more than 64 bits"
    else:
        try:
            return msgpack.unpackb(msgpack.packb(position), strict_map_key=False)
        except Exception as error:  # noqa: BLE001  the author's object may raise anything
            problem = error_text(error)
    shown = text_of(position, length_max=POSITION_SHOWN_CHARACTERS_MAX)
    raise ClusterError(
        f"{method} gave the position {shown} of partition {partition!r}, which msgpack cannot "
        f"pack: {problem}",
        hint="build positions of None, bool, int, float, str, bytes, list and dict: a checkpoint "
        "stores them",
    )


def checked_batch(given: Any, method: Method, partition: str, read_ns: int) -> SplitBatch:
    """Return what ``method`` gave as a batch. Raises ``ClusterError`` if it breaks a rule."""
    if not isinstance(given, Batch):
        raise ClusterError(
            f"{method} gave {a_type(given)} for partition {partition!r}",
            hint="give wallaroo.Batch(records, position); read may also yield a record with its "
            "position as a pair, or None",
        )
    records = given.records if type(given.records) is list else _listed(given, method, partition)
    count, offsets = len(records), given.offsets
    if count > BATCH_RECORDS_MAX:
        raise ClusterError(
            f"{method} gave a batch of {count:,} records of partition {partition!r}; at most "
            f"{BATCH_RECORDS_MAX:,} are allowed",
            hint="give smaller batches",
        )
    if method.gives_keys and given.keys is None and count:
        raise ClusterError(
            f"{method} gave a batch of partition {partition!r} without keys, though the source's "
            "key is set",
            hint="give keys=, one for each record, which may be None",
        )
    for name, values in (("keys", given.keys), ("times", given.times), ("offsets", offsets)):
        if values is not None and len(values) != count:
            raise ClusterError(
                f"{method} gave a batch of partition {partition!r} with {count:,} records and "
                f"{len(values):,} {name}",
                hint=f"give one item of {name} for each record, or no {name}",
            )
    if offsets:
        _check_rising(offsets, method, partition)
    position = given.position
    if position is None and offsets:
        position = _after_last(offsets, method, partition)
    if position is None and records:
        raise ClusterError(
            f"{method} gave a batch of partition {partition!r} without a position",
            hint="give wallaroo.Batch(records, position) the position after its last record, or "
            "offsets",
        )
    return SplitBatch(
        records,
        plain_position(position, method, partition),
        offsets=offsets or None,
        keys=given.keys,
        times=given.times,
        is_caught_up=given.is_caught_up,
        byte_count=_checked_bytes(records, method, partition),
        read_ns=read_ns,
    )


def _listed(given: Batch[Any], method: Method, partition: str) -> list[Any]:
    try:
        return list(given.records)
    except TypeError as error:
        raise ClusterError(
            f"{method} gave a batch of partition {partition!r} whose records are "
            f"{a_type(given.records)}",
            hint="give a list of records",
        ) from error


def _check_rising(offsets: Sequence[int], method: Method, partition: str) -> None:
    """Refuse offsets that cannot rise from the first to the last; each one is not looked at."""
    first, last = offsets[0], offsets[-1]
    if type(first) is int and type(last) is int and last - first < len(offsets) - 1:
        raise ClusterError(
            f"{method} gave a batch of partition {partition!r} whose {len(offsets):,} offsets go "
            f"from {first} to {last}, so they do not rise",
            hint="give each record an offset that is higher than the one before it, or positions "
            "without offsets",
        )


def check_follows(batch: SplitBatch, position: Any, method: Method, partition: str) -> None:
    """Refuse a batch with an offset before ``position``, behind which it was to be read.

    If the further items of positions differ, the offsets are of another log.
    """
    first, before = offset_of(batch.offsets[0] if batch.offsets else None), offset_of(position)
    if first is None or before is None or _log_of(position) != _log_of(batch.position):
        return
    if first < before:
        raise ClusterError(
            f"{method} gave a batch of partition {partition!r} that starts at offset {first}, "
            f"although everything before {before} was read",
            hint="give each record an offset that is higher than the one before it, also over "
            "batches, and start to read at the position that is given",
        )


def _log_of(position: Any) -> list[Any]:
    return position[1:] if type(position) is list else []


def _after_last(offsets: Sequence[int], method: Method, partition: str) -> int:
    last = offsets[-1]
    if type(last) is not int:
        raise ClusterError(
            f"{method} gave a batch of partition {partition!r} whose offsets are not integers "
            f"but {type_name(last)}",
            hint="give integers as offsets, or positions without offsets",
        )
    return last + 1


def _checked_bytes(records: list[Any], method: Method, partition: str) -> int:
    byte_count = bytes_of(records)
    if byte_count > BATCH_BYTES_MAX and len(records) > 1:
        raise ClusterError(
            f"{method} gave a batch of {byte_count:,} bytes of partition {partition!r}; at most "
            f"{BATCH_BYTES_MAX:,} are allowed, unless it has only one record",
            hint="give smaller batches",
        )
    return byte_count


def bytes_of(records: list[Any]) -> int:
    """Return how long the records are together, if they are bytes or text; otherwise 0."""
    kind = type(records[0]) if records else None
    try:
        # To join them and drop the result costs a tenth of asking each for its length.
        if kind is bytes:
            return len(b"".join(records))
        return len("".join(records)) if kind is str else 0
    except TypeError:
        # The first one is bytes or text, but others are not.
        return 0
