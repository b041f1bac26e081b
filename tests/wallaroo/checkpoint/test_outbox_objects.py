"""Objects of an outbox: results come back whole, and damage is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.outbox_objects import (
    OUTBOX_HEADER,
    check_batch,
    encode_results,
    read_results,
)
from wallaroo.checkpoint.parts import PART_HEADER
from wallaroo.checkpoint.pickling import NotReadableError, StatePickler
from wallaroo.errors import DamagedFileError
from wallaroo.names import CheckpointId

results = st.lists(st.none() | st.binary(max_size=5) | st.text(max_size=5) | st.integers())


class Unread:
    """Pickles, and fails when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, ("no number",)


def object_of(*blocks: list[object]) -> tuple[bytes, OutboxBatch]:
    pickler = StatePickler()
    data = OUTBOX_HEADER + b"".join(encode_results(block, pickler) for block in blocks)
    count = sum(map(len, blocks))
    return data, OutboxBatch(0, "w1", "o", 1, count, len(data), CheckpointId(1))


@given(st.lists(results, max_size=4))
def test_results_come_back_in_their_order(blocks: list[list[object]]) -> None:
    data, batch = object_of(*blocks)
    assert read_results(data, batch, "o") == [each for block in blocks for each in block]
    check_batch(data, batch, "o")


@given(results, st.integers(0, 200), st.integers(0, 7))
def test_a_changed_bit_is_damage(block: list[object], at: int, bit: int) -> None:
    data, batch = object_of(block, [1])
    changed = bytearray(data)
    changed[at % len(data)] ^= 1 << bit
    with pytest.raises(DamagedFileError):
        check_batch(bytes(changed), batch, "o")
    with pytest.raises(DamagedFileError):
        read_results(bytes(changed), batch, "o")


def test_an_object_that_lacks_a_block_is_damaged() -> None:
    data, batch = object_of([1, 2], [3])
    short, _ = object_of([1, 2])
    assert data.startswith(short)
    with pytest.raises(DamagedFileError, match=r"it has 2 results in \d+ bytes, written were 3"):
        check_batch(short, batch, "o")


def test_another_file_is_refused() -> None:
    _, batch = object_of()
    with pytest.raises(DamagedFileError, match="not an outbox"):
        check_batch(PART_HEADER, batch, "o")


def test_a_result_that_could_not_be_read_again_is_refused_when_it_is_written() -> None:
    with pytest.raises(NotReadableError, match="no number"):
        encode_results([b"a", Unread()], StatePickler())
