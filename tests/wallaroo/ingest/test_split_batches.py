"""Batches of a split: the position after each record, and the rules for what connectors give."""

from typing import Any

import pytest

from wallaroo.connectors.source_classes import Batch
from wallaroo.errors import ClusterError
from wallaroo.ingest.split_batches import Method, SplitBatch, checked_batch, plain_position


class Numbers:
    """Stands for a source of an author."""

    def read(self) -> None:
        """Read nothing."""


READ = Method(Numbers(), "read")


def checked(batch: Any) -> SplitBatch:
    """Return the batch as the runtime keeps it."""
    return checked_batch(batch, READ, "p", 7)


def refusal(batch: Any) -> str:
    """Return the error of a batch that breaks a rule."""
    with pytest.raises(ClusterError) as caught:
        checked(batch)
    assert caught.value.exit_code == 1
    return f"{caught.value.what}; {caught.value.hint}"


def test_without_offsets_a_position_within_a_batch_is_its_base_and_a_count() -> None:
    batch = checked(Batch(["a", "b", "c"], position=30))
    assert [batch.position_after(count, 20) for count in range(4)] == [
        (20, 0),
        (20, 1),
        (20, 2),
        (30, 0),
    ]


def test_with_offsets_nothing_is_skipped_and_the_rest_of_a_position_stays() -> None:
    batch = checked(Batch(["a", "b", "c"], position=[40, 1], offsets=[21, 25, 39]))
    assert [batch.position_after(count, 20) for count in range(4)] == [
        (20, 0),
        ([22, 1], 0),
        ([26, 1], 0),
        ([40, 1], 0),
    ]


def test_with_offsets_and_a_position_in_another_form_the_offset_alone_is_kept() -> None:
    batch = checked(Batch(["a", "b"], position={"at": 22}, offsets=[20, 21]))
    assert batch.position_after(1, None) == (21, 0)


def test_the_last_offset_gives_the_position_if_the_batch_gives_none() -> None:
    assert checked(Batch(["a", "b"], offsets=[7, 9])).position == 10


def test_records_with_positions_of_their_own_are_not_skipped() -> None:
    batch = SplitBatch(["a", "b"], "y", positions=["x", "y"])
    assert batch.position_after(1, None) == ("x", 0)


def test_a_position_is_given_back_in_the_form_that_a_checkpoint_gives() -> None:
    assert checked(Batch([1], position=(3, {"a": (1,)}))).position == [3, {"a": [1]}]


@pytest.mark.parametrize("position", [object(), 1 << 64, -(1 << 63) - 1, {1, 2}, [1 << 70]])
def test_a_position_that_msgpack_cannot_pack_is_refused_by_class_and_method(position: Any) -> None:
    text = refusal(Batch([1], position=position))
    assert "Numbers.read (" in text
    assert "test_split_batches.py:" in text
    assert "msgpack cannot pack" in text
    assert "build positions of None, bool, int" in text


@pytest.mark.parametrize("position", [None, 0, -(1 << 63), (1 << 64) - 1])
def test_integers_of_64_bits_and_none_are_positions(position: Any) -> None:
    assert plain_position(position, READ, "p") == position


@pytest.mark.parametrize("column", ["keys", "times", "offsets"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    text = refusal(Batch(["a", "b"], position=2, **{column: [1]}))  # type: ignore[arg-type]
    assert f"2 records and 1 {column}" in text
    assert "Numbers.read (" in text


def test_a_batch_over_the_limits_is_refused() -> None:
    assert "2,001 records" in refusal(Batch(list(range(2001)), position=1))
    assert "1,048,578 bytes" in refusal(Batch([b"x" * 524289] * 2, position=1))


def test_a_single_record_may_be_longer_than_a_batch() -> None:
    assert checked(Batch([b"x" * (2 << 20)], position=1)).byte_count == 2 << 20


def test_a_batch_of_mixed_records_has_no_length() -> None:
    assert checked(Batch([b"x", 1], position=1)).byte_count == 0


def test_anything_but_a_batch_is_refused() -> None:
    assert "gave a str for partition 'p'" in refusal("no batch")
    assert "whose records are an int" in refusal(Batch(3, position=1))  # type: ignore[arg-type]
    assert "without a position" in refusal(Batch([1]))
    assert "not integers but str" in refusal(Batch([1], offsets=["1"]))  # type: ignore[list-item]


def test_records_may_be_any_sequence() -> None:
    assert checked(Batch((1, 2), position=1)).records == [1, 2]


def test_an_empty_batch_needs_no_position() -> None:
    batch = checked(Batch([], is_caught_up=True))
    assert batch.position is None
    assert batch.is_caught_up
