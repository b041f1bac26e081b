"""The files by which processes find each other, and successors their predecessors."""

import os
import stat
from pathlib import Path

import pytest

from wallaroo.errors import ClusterError
from wallaroo_cli.original.files import Files, Traces, runtime_folder

CONTROL = "127.0.0.1:20001"


def files(folder: Path, name: str = "initializer", module: str = "alphabet") -> Files:
    return Files(str(folder), module, name, CONTROL)


def test_the_others_find_the_secret_that_the_initializer_made(tmp_path: Path) -> None:
    assert files(tmp_path, "worker1").read_card() is None
    card = files(tmp_path).write_card(CONTROL)
    assert card.control == CONTROL
    assert len(bytes.fromhex(card.secret)) == 32
    assert files(tmp_path, "worker1").read_card() == card


def test_the_secret_stays_when_the_initializer_comes_again(tmp_path: Path) -> None:
    first = files(tmp_path).write_card(CONTROL)
    again = files(tmp_path).write_card("127.0.0.1:20009")
    assert (again.secret, again.control) == (first.secret, "127.0.0.1:20009")


def test_two_applications_share_a_folder(tmp_path: Path) -> None:
    one = files(tmp_path, module="one").write_card(CONTROL)
    other = files(tmp_path, module="other").write_card(CONTROL)
    assert one.secret != other.secret
    files(tmp_path, module="one").write_traces(Traces())
    assert files(tmp_path, module="other").read_traces() is None


def test_only_the_user_can_read_what_is_written(tmp_path: Path) -> None:
    files(tmp_path).write_card(CONTROL)
    files(tmp_path).write_traces(Traces(["initializer"]))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]
    assert modes == [0o600, 0o600]


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604])
def test_a_card_that_others_may_have_read_or_written_is_refused(tmp_path: Path, mode: int) -> None:
    files(tmp_path).write_card(CONTROL)
    (tmp_path / "alphabet.cluster").chmod(mode)
    with pytest.raises(ClusterError, match="others can read it"):
        files(tmp_path, "worker1").read_card()


def test_a_card_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch(0o600)
    (tmp_path / "alphabet.cluster").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match="cannot be read"):
        files(tmp_path).read_card()


def test_a_successor_finds_what_was_left(tmp_path: Path) -> None:
    assert files(tmp_path).read_traces() is None
    traces = Traces(["initializer", "worker1"], files(tmp_path).new_checkpoints())
    files(tmp_path).write_traces(traces)
    assert files(tmp_path).read_traces() == traces
    assert files(tmp_path, "worker1").read_traces() is None


def test_without_its_file_a_start_is_fresh_and_leaves_old_checkpoints_alone(tmp_path: Path) -> None:
    old, new = (files(tmp_path).new_checkpoints() for _ in range(2))
    assert old != new
    assert files(tmp_path).checkpoints(Traces([], old)) == tmp_path / old


def test_a_stop_in_order_leaves_nothing(tmp_path: Path) -> None:
    initializer, worker = files(tmp_path), files(tmp_path, "worker1")
    card = initializer.write_card(CONTROL)
    worker.copy_card(card, "127.0.0.1:20004")
    traces = Traces(["initializer", "worker1"], initializer.new_checkpoints())
    initializer.write_traces(traces)
    worker.write_traces(Traces())
    (initializer.checkpoints(traces) / "parts").mkdir(parents=True)
    worker.remove(None, ["127.0.0.1:20004"])
    assert len(list(tmp_path.iterdir())) == 3
    initializer.remove(traces)
    assert list(tmp_path.iterdir()) == []
    initializer.remove(traces)


def test_what_was_half_written_when_its_writer_was_killed_does_not_stay(tmp_path: Path) -> None:
    worker = files(tmp_path, "worker1")
    (tmp_path / ".alphabet-worker1.worker.draft").write_text("{")
    worker.remove(None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".alphabet-worker1.worker.draft").write_text("{")
    worker.write_traces(Traces())
    assert worker.read_traces() == Traces()


def test_without_a_folder_the_address_names_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    card = Files("", "alphabet", "initializer", CONTROL).write_card(CONTROL)
    worker = Files("", "alphabet", "worker1", CONTROL)
    assert worker.read_card() == card
    worker.copy_card(card, "127.0.0.1:20004")
    joining = Files("", "alphabet", "worker2", "127.0.0.1:20004")
    assert joining.read_card() == card
    assert stat.S_IMODE((tmp_path / "wallaroo").stat().st_mode) == 0o700


def test_a_runtime_folder_that_others_can_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    os.mkdir(tmp_path / "wallaroo", 0o755)
    with pytest.raises(ClusterError, match="others can read it"):
        runtime_folder()
