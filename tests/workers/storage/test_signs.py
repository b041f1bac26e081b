"""What a process shows of itself, and sees of others: by real processes, sockets and locks."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.harness import wait_until
from wallaroo.checkpoint.owner import Evidence, decode_owner
from wallaroo_workers.storage.signs import LOCK_NAME, Signs

SHOWN = """
import sys
from pathlib import Path
from wallaroo.checkpoint.owner import encode_owner
from wallaroo_workers.storage.signs import Signs

signs = Signs(Path(sys.argv[1]), "letters")
has_lock = signs.look(None).has_lock
print(encode_owner(signs.me).hex(), has_lock, flush=True)
sys.stdin.read()
"""


def test_a_living_process_is_seen_and_a_dead_one_is_not(tmp_path: Path) -> None:
    signs = Signs(tmp_path, "letters")
    with subprocess.Popen(
        [sys.executable, "-c", SHOWN, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        text, has_lock = process.stdout.readline().split()
        other = decode_owner(bytes.fromhex(text), "owner")
        assert (other.pid, has_lock) == (process.pid, "True")
        assert other.boot == signs.me.boot != ""
        assert other.token != signs.me.token
        assert signs.look(other) == Evidence(True, True, False)
        # Its process id was given to another one since.
        earlier = replace(other, started_ticks=other.started_ticks - 1, token="earlier")
        assert signs.look(earlier) == Evidence(False, False, False)
        process.kill()
        process.wait()
        assert signs.look(other) == Evidence(False, False, True)
    signs.close()


def test_a_process_that_nobody_has_waited_for_is_dead(tmp_path: Path) -> None:
    signs = Signs(None, "letters")
    with subprocess.Popen(
        [sys.executable, "-c", SHOWN, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        other = decode_owner(bytes.fromhex(process.stdout.readline().split()[0]), "owner")
        process.kill()
        assert process.stdout.read() == ""
        wait_until("it has ended", lambda: signs.look(other).process_lives is False)
        assert Path(f"/proc/{process.pid}").exists()
        assert signs.look(other).beacon_is_lit is False
    signs.close()


def test_the_lock_is_tried_again_at_each_look(tmp_path: Path) -> None:
    first, second = Signs(tmp_path, "letters"), Signs(tmp_path, "letters")
    assert first.look(None).has_lock is True
    assert first.look(None).has_lock is True
    assert second.look(None).has_lock is False
    first.close()
    assert second.look(None).has_lock is True
    second.close()
    assert (tmp_path / LOCK_NAME).stat().st_mode & 0o077 == 0


def test_a_store_that_is_not_a_folder_and_one_that_cannot_be_locked_have_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_lock(folder: Path | None) -> bool | None:
        signs = Signs(folder, "letters")
        try:
            return signs.look(None).has_lock
        finally:
            signs.close()

    assert has_lock(None) is None
    assert has_lock(tmp_path / "missing") is None

    def no_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert has_lock(tmp_path) is None
