"""Unix sockets in folders with long names."""

import os
import socket
from pathlib import Path

import pytest

from wallaroo_workers.network.unix_paths import ADDRESS_BYTES_MAX, socket_path


def files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("length", [1, 60, 100, 240])
def test_a_socket_can_be_bound_and_reached_however_long_its_path_is(
    tmp_path: Path, length: int
) -> None:
    folder = tmp_path / ("x" * length)
    folder.mkdir()
    path = str(folder / "socket")
    before = files_open()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as line:
        with socket_path(path) as short:
            assert len(short) <= ADDRESS_BYTES_MAX
            listening.bind(short)
        listening.listen()
        assert Path(path).is_socket()
        with socket_path(path) as short:
            line.connect(short)
        accepted, _ = listening.accept()
        accepted.close()
    assert files_open() == before


def test_a_short_path_stays_as_it_is() -> None:
    with socket_path("/tmp/socket") as path:
        assert path == "/tmp/socket"


def test_a_missing_folder_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError), socket_path("/nonexistent/" + "x" * 200):
        pass
