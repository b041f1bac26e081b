import pytest

from wallaroo_cli.tools.blocks import Block, FixedBlock, FramedBlock

FIXED = FixedBlock(b"aabbccddee", 2)
FRAMED = FramedBlock([b"a", b"", b"ccc"])


@pytest.mark.parametrize("block", [FIXED, FRAMED])
def test_slices_of_a_block_make_up_the_block(block: Block) -> None:
    for cut in range(len(block) + 1):
        parts = [block[:cut], block[cut:]]
        assert sum(map(len, parts)) == len(block)
        assert b"".join(bytes(part.wire()) for part in parts) == bytes(block.wire())


@pytest.mark.parametrize("block", [FIXED, FRAMED])
@pytest.mark.parametrize("step", [1, 2, 3, 9])
def test_every_so_many_messages_are_a_block_too(block: Block, step: int) -> None:
    for start in range(len(block) + 1):
        assert list(block[start::step].payloads()) == list(block.payloads())[start::step]


def test_records_of_one_size_are_sent_as_they_are() -> None:
    assert bytes(FIXED.wire()) == b"aabbccddee"
    assert list(FIXED.payloads()) == [b"aa", b"bb", b"cc", b"dd", b"ee"]


def test_framed_messages_get_a_big_endian_length() -> None:
    assert FRAMED.wire() == b"\0\0\0\1a\0\0\0\0\0\0\0\3ccc"


@pytest.mark.parametrize("block", [FIXED, FRAMED])
def test_a_block_can_be_had_several_times_over(block: Block) -> None:
    assert bytes(block.times(3).wire()) == bytes(block.wire()) * 3


def test_only_whole_messages_count_within_a_part_of_the_wire() -> None:
    assert [FIXED.count_within(count) for count in (0, 1, 2, 9, 10)] == [0, 0, 1, 4, 5]
    assert [FRAMED.count_within(count) for count in (0, 4, 5, 8, 9, 15, 16)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
    ]
