import os
from pathlib import Path

import pytest

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_cli.tools.output import NoOutput, Output, open_output


def test_a_file_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    output = open_output(str(path), is_written=True)
    output.write([b"a", memoryview(b"b"), bytearray(b"c")])
    assert path.read_bytes() == b"abc", "nothing waits in a buffer"
    output.close()


def test_a_file_that_cannot_be_written_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write --output"):
        open_output(str(tmp_path), is_written=True)


def test_no_output_takes_anything() -> None:
    output = open_output(None, is_written=False)
    assert isinstance(output, NoOutput)
    output.write([b"x"])
    output.close()


def test_a_full_disk_is_reported() -> None:
    output = open_output("/dev/full", is_written=True)
    with pytest.raises(ClusterError, match="No space left"):
        output.write([b"x"])
    output.close()


def test_a_pipe_that_nobody_reads_is_told_apart() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    output = Output(writing, is_ours=True)
    with pytest.raises(BrokenPipeError):
        output.write([b"x"])
    output.close()
