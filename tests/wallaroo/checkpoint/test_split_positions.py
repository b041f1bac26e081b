"""Positions of splits: as shares of a checkpoint have them, and of all shares together."""

import msgpack
import pytest

from wallaroo.checkpoint.split_positions import (
    INITIAL,
    NEW,
    SplitKind,
    SplitPosition,
    merged,
    split_values,
    to_share,
)

AT = SplitPosition(SplitKind.AT, [40, 2])
ENDED = SplitPosition(SplitKind.ENDED, "")


@pytest.mark.parametrize("position", [INITIAL, NEW, AT, ENDED])
def test_a_position_is_read_back_as_it_was_packed(position: SplitPosition) -> None:
    packed = msgpack.packb(position.to_wire())
    assert SplitPosition.from_wire(msgpack.unpackb(packed)) == position


@pytest.mark.parametrize("value", [None, [], ["at"], ["elsewhere", 1], {"at": 1}, ["at", 1, 2]])
def test_anything_else_is_not_a_position(value: object) -> None:
    with pytest.raises(ValueError, match=r"position of a split|is not a valid SplitKind"):
        SplitPosition.from_wire(value)


def test_splits_of_one_source_are_merged_over_all_shares() -> None:
    shares = [{0: to_share({"a": AT})}, {}, {0: to_share({"b": NEW, "c": ENDED})}]
    assert merged(shares) == {0: to_share({"a": AT, "b": NEW, "c": ENDED})}


def test_a_share_without_splits_hides_none_of_another_one() -> None:
    shares = [{0: to_share({"a": AT})}, {0: to_share({})}]
    assert merged(shares) == {0: to_share({"a": AT})}


def test_shares_stay_as_they_are_when_they_are_merged() -> None:
    shares = [{0: to_share({"a": AT})}, {0: to_share({"b": NEW})}]
    merged(shares)
    assert shares == [{0: to_share({"a": AT})}, {0: to_share({"b": NEW})}]


def test_the_position_of_a_source_without_splits_stays_what_it_is() -> None:
    assert merged([{0: [17, 3]}, {1: {"splits": 4, "n": 1}}]) == {
        0: [17, 3],
        1: {"splits": 4, "n": 1},
    }


@pytest.mark.parametrize("value", [None, 7, [1, 2], {"splits": [1]}, {"splits": {}, "more": 1}])
def test_only_a_dictionary_of_splits_has_splits(value: object) -> None:
    assert split_values(value) is None
