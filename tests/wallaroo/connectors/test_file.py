"""Names of staged output, and where it belongs in the sink's file."""

import pytest

from wallaroo.connectors.file import (
    FileSink,
    FileSource,
    StagedPart,
    is_staged,
    length_to_begin_with,
    staged_name,
)
from wallaroo.errors import ClusterError

A, B = StagedPart(".out.w1-1.0000000001.staged", 10), StagedPart(".out.w2-1.0000000001.staged", 5)
BOTH = {A.name: 10, B.name: 5}


def begin(length: int, *staged: StagedPart, found: dict[str, int]) -> int:
    return length_to_begin_with("out", length, 100, staged, found)


def test_they_tell_what_they_are() -> None:
    lines = FileSource("in.txt", "newline", 0, "", bytes)
    frames = FileSource("in.bin", "length", 4, ">I", bytes)
    assert lines.describe() == "file source from in.txt, lines"
    assert frames.describe() == "file source from in.bin, frames"
    assert FileSink("out.txt", str).describe() == "file sink to out.txt"


def test_a_staged_name_is_hidden_and_known_again() -> None:
    name = staged_name("folder/out.txt", "w1-3", 7)
    assert name == ".out.txt.w1-3.0000000007.staged"
    assert is_staged(name, "folder/out.txt")
    assert is_staged(name, "folder/out.txt", "w1-3")
    assert not is_staged(name, "folder/out.txt", "w1-30")
    assert not is_staged(name, "folder/out")


def test_sinks_with_similar_names_do_not_share_staged_names() -> None:
    name = staged_name("out.w1", "w1-3", 7)
    assert not is_staged(name, "out")
    assert not is_staged(staged_name("out", "w1-3", 7), "out.w1")
    assert not is_staged(staged_name("aXb", "w1-3", 7), "a.b")
    assert not is_staged("out.w1-3.0000000007.staged", "out")


@pytest.mark.parametrize("length", [100, 107, 115, 999])
def test_with_all_parts_there_output_begins_where_it_ended_before(length: int) -> None:
    assert begin(length, A, B, found=BOTH) == 100


@pytest.mark.parametrize("found", [{}, {A.name: 10}, {B.name: 5}])
def test_a_part_that_is_gone_says_that_all_are_written(found: dict[str, int]) -> None:
    assert begin(115, A, B, found=found) == 115
    assert begin(999, A, B, found=found) == 115


def test_without_parts_the_file_is_what_it_was() -> None:
    assert begin(100, found={}) == 100
    assert begin(120, found={}) == 100


def test_committed_output_that_is_gone_is_an_error() -> None:
    with pytest.raises(ClusterError, match="out has 99 bytes, but 100 were committed to it"):
        begin(99, A, B, found=BOTH)
    with pytest.raises(ClusterError, match="out has 114 bytes, but 115 were committed to it"):
        begin(114, A, B, found={A.name: 10})


def test_a_part_of_another_length_is_an_error() -> None:
    with pytest.raises(ClusterError, match="has 4 bytes, but 5 were committed"):
        begin(100, A, B, found={**BOTH, B.name: 4})
