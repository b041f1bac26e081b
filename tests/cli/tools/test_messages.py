import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from struct import pack

import pytest

from wallaroo.errors import ConfigError
from wallaroo_cli.tools.blocks import Block
from wallaroo_cli.tools.messages import MESSAGE_BYTES_MAX, REPEAT_BYTES_MAX, Messages

BLOCK_SIZES = [1, 2, 3, 7, 64, 4096]


def payloads_of(blocks: Iterable[Block]) -> list[bytes]:
    return [payload for block in blocks for payload in block.payloads()]


def read(messages: Messages, block_bytes: int = 4096) -> list[bytes]:
    warnings: list[str] = []
    payloads = payloads_of(messages.blocks(block_bytes, warnings.append))
    assert not warnings
    return payloads


def file_with(folder: Path, content: bytes) -> tuple[str]:
    path = folder / "input"
    path.write_bytes(content)
    return (str(path),)


def test_integers_begin_after_the_number_to_start_from() -> None:
    assert read(Messages(count=3)) == [b"1", b"2", b"3"]
    assert read(Messages(count=3, start_from=98)) == [b"99", b"100", b"101"]


@pytest.mark.parametrize("block_bytes", BLOCK_SIZES)
def test_integers_have_no_gaps_between_blocks(block_bytes: int) -> None:
    assert read(Messages(count=1000), block_bytes) == [b"%d" % number for number in range(1, 1001)]


def test_u64_messages_have_one_header_a_counter_and_the_partition() -> None:
    [block] = Messages(count=2, is_u64=True, partition="é").blocks(4096, pytest.fail)
    assert block.wire() == pack(">IQ2sIQ2s", 10, 1, "é".encode(), 10, 2, "é".encode())


@pytest.mark.parametrize("block_bytes", BLOCK_SIZES)
@pytest.mark.parametrize("content", [b"a\nbc\r\n\n\r\nd\re\n\nlast", b"a\nbc\nd\re\nlast\n\r\n"])
def test_lines_come_whole_and_empty_ones_not_at_all(
    tmp_path: Path, content: bytes, block_bytes: int
) -> None:
    messages = Messages(files=file_with(tmp_path, content))
    assert read(messages, block_bytes) == [b"a", b"bc", b"d\re", b"last"]


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    messages = Messages(files=file_with(tmp_path, b"x" * (MESSAGE_BYTES_MAX + 2)))
    with pytest.raises(ConfigError, match="has a line of more than"):
        read(messages, 1024 * 1024)


@pytest.mark.parametrize("block_bytes", BLOCK_SIZES)
def test_records_of_one_size_are_cut_where_they_end(tmp_path: Path, block_bytes: int) -> None:
    messages = Messages(files=file_with(tmp_path, b"abcdefghi"), is_binary=True, size=3)
    assert read(messages, block_bytes) == [b"abc", b"def", b"ghi"]


def test_a_short_last_record_is_sent_with_one_warning(tmp_path: Path) -> None:
    messages = Messages(
        files=file_with(tmp_path, b"abcde"), is_binary=True, size=3, is_repeated=True
    )
    warnings: list[str] = []
    blocks = messages.blocks(4096, warnings.append)
    assert payloads_of(islice(blocks, 4)) == [b"abc", b"de", b"abc", b"de"]
    [warning] = warnings
    assert "has 2 bytes instead of 3" in warning


@pytest.mark.parametrize("block_bytes", BLOCK_SIZES)
def test_records_with_a_header_are_sent_again_as_they_were(
    tmp_path: Path, block_bytes: int
) -> None:
    content = pack(">I3sI1sI5s", 3, b"abc", 1, b"d", 5, b"efghi")
    messages = Messages(files=file_with(tmp_path, content), is_binary=True, is_variable_size=True)
    blocks = [*messages.blocks(block_bytes, pytest.fail)]
    assert payloads_of(blocks) == [b"abc", b"d", b"efghi"]
    assert b"".join(bytes(block.wire()) for block in blocks) == content


@pytest.mark.parametrize("cut_off", [1, 4, 6])
def test_a_truncated_record_is_named_by_file_and_offset(tmp_path: Path, cut_off: int) -> None:
    content = pack(">I3sI5s", 3, b"abc", 5, b"defgh")[:-cut_off]
    messages = Messages(files=file_with(tmp_path, content), is_binary=True, is_variable_size=True)
    with pytest.raises(ConfigError, match=r"input' is cut off: the record at byte 7 is not whole"):
        read(messages)


def test_a_length_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    messages = Messages(
        files=file_with(tmp_path, b"this is text"), is_binary=True, is_variable_size=True
    )
    with pytest.raises(ConfigError, match="not made of records with a header"):
        read(messages)


def test_files_are_read_one_after_another(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f"{name}1\n{name}2")
    messages = Messages(files=(str(tmp_path / "a"), str(tmp_path / "b")))
    assert read(messages) == [b"a1", b"a2", b"b1", b"b2"]


def test_repeated_files_start_again_in_order(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f"{name}\n")
    messages = Messages(files=(str(tmp_path / "a"), str(tmp_path / "b")), is_repeated=True)
    blocks = messages.blocks(4096, pytest.fail)
    assert payloads_of(islice(blocks, 6)) == [b"a", b"b", b"a", b"b", b"a", b"b"]


def test_a_small_file_is_repeated_in_large_blocks(tmp_path: Path) -> None:
    messages = Messages(files=file_with(tmp_path, b"a\n"), is_repeated=True)
    blocks = messages.blocks(4096, pytest.fail)
    assert [len(block) for block in islice(blocks, 3)] == [1, 819, 819]


def test_files_too_large_to_keep_are_read_again(tmp_path: Path) -> None:
    content = bytes(REPEAT_BYTES_MAX + 8)
    messages = Messages(
        files=file_with(tmp_path, content), is_binary=True, size=8, is_repeated=True
    )
    blocks = messages.blocks(REPEAT_BYTES_MAX, pytest.fail)
    sizes = [len(block) for block in islice(blocks, 4)]
    assert sizes == [REPEAT_BYTES_MAX // 8, 1, REPEAT_BYTES_MAX // 8, 1]


def test_repeating_nothing_is_an_error_and_no_loop(tmp_path: Path) -> None:
    messages = Messages(files=file_with(tmp_path, b"\n\n"), is_repeated=True, count=5)
    with pytest.raises(ConfigError, match="hold no messages"):
        read(messages)


def test_a_pipe_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    blocks = Messages(files=(str(path),)).blocks(4096, pytest.fail)
    os.write(writer, b"now\n")
    assert list(next(iter(blocks)).payloads()) == [b"now"]
    os.close(writer)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (Messages(), "--messages is missing"),
        (Messages(files=(__file__,), is_repeated=True), "--messages is missing"),
        (Messages(files=("no/file",)), "'no/file' is not a readable file"),
        (Messages(files=("/",)), "'/' is not a readable file"),
        (Messages(files=(__file__,), is_binary=True), "--binary requires either"),
        (
            Messages(files=(__file__,), is_binary=True, size=4, is_variable_size=True),
            "cannot be used together",
        ),
        (Messages(files=(__file__,), size=4), "go with --binary"),
        (Messages(files=(__file__,), is_u64=True), "do not go with --file"),
        (Messages(count=1, is_repeated=True), "it needs --file"),
        (Messages(count=1, partition="x"), "goes with --u64"),
        (Messages(count=1, is_binary=True), "it needs --file"),
        (Messages(count=1, is_u64=True, is_binary=True, size=9), "has 12 bytes"),
        (Messages(count=1, is_u64=True, start_from=2**64 - 1), "count beyond"),
    ],
)
def test_settings_that_contradict_each_other_are_reported(messages: Messages, problem: str) -> None:
    assert any(problem in sentence for sentence in messages.problems())


@pytest.mark.parametrize(
    "messages",
    [
        Messages(count=1),
        Messages(files=(__file__,)),
        Messages(count=1, is_u64=True, is_binary=True, size=12),
        Messages(count=1, is_u64=True, is_binary=True),
    ],
)
def test_settings_that_make_sense_pass(messages: Messages) -> None:
    assert not [*messages.problems()]
