from collections.abc import Iterable
from struct import pack

import pytest

from wallaroo_cli.tools.intake import (
    HELD_BYTES_MAX,
    FrameIntake,
    Intake,
    LineIntake,
    Piece,
    RawIntake,
)


def joined(pieces: Iterable[Piece]) -> bytes:
    return b"".join(map(bytes, pieces))


def feed(intake: Intake, *chunks: bytes) -> tuple[int, list[bytes]]:
    """Return the messages counted, and what was written for each chunk."""
    buffer = bytearray(b"\n" * 64)
    count = 0
    written = []
    for chunk in chunks:
        buffer[: len(chunk)] = chunk
        messages, pieces = intake.receive(buffer, len(chunk))
        count += messages
        written.append(joined(pieces))
    return count, written


def test_raw_bytes_are_written_as_they_come() -> None:
    assert feed(RawIntake(), b"a\nb", b"c", b"\n\n") == (3, [b"a\nb", b"c", b"\n\n"])


def test_an_unfinished_line_waits_for_its_end() -> None:
    intake = LineIntake()
    assert feed(intake, b"a\nb", b"c", b"d\ne") == (2, [b"a\n", b"", b"bcd\n"])
    assert joined(intake.receive_eof()) == b"e"
    assert joined(intake.receive_eof()) == b""


def test_no_cut_of_the_bytes_changes_what_is_written() -> None:
    text = b"one\n\ntwo\nthree"
    for cut in range(len(text) + 1):
        intake = LineIntake()
        count, written = feed(intake, text[:cut], text[cut:])
        assert (count, joined([*written, *intake.receive_eof()])) == (3, text)


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    intake = LineIntake()
    buffer = bytearray(HELD_BYTES_MAX)
    assert intake.receive(buffer, HELD_BYTES_MAX) == (0, [])
    _, pieces = intake.receive(buffer, 1)
    assert len(joined(pieces)) == HELD_BYTES_MAX + 1


def test_frames_become_lines() -> None:
    wire = pack(">I2sI1s", 2, b"ab", 1, b"c")
    for cut in range(len(wire) + 1):
        count, written = feed(FrameIntake(100), wire[:cut], wire[cut:])
        assert (count, joined(written)) == (2, b"ab\nc\n")


def test_a_frame_that_is_too_large_is_a_problem_and_what_was_before_it_counts() -> None:
    intake = FrameIntake(100)
    assert feed(intake, pack(">I2sI", 2, b"ab", 101)) == (1, [b"ab\n"])
    assert "101" in intake.problem()


@pytest.mark.parametrize("kept", [1, 4, 5])
def test_a_frame_that_is_cut_off_is_told_and_not_written(kept: int) -> None:
    intake = FrameIntake(100)
    assert feed(intake, pack(">I2s", 2, b"ab")[:kept]) == (0, [b""])
    assert intake.receive_eof() == []
    assert f"{kept} bytes of an unfinished frame" in intake.loss()
