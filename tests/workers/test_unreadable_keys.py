"""Keys that cannot be read end the run, or are listed before anything goes on without them."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from wallaroo.checkpoint.restorer import UnreadableKey
from wallaroo.errors import StateObjectError, StoreError
from wallaroo.routing.keys import canonical_key
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.unreadable_keys import UnreadableKeys

KEYS = [
    UnreadableKey("totals", "a", "ValueError: bad"),
    UnreadableKey("totals", canonical_key((1, b"x", True)), "KeyError: 'n'"),
]


def options(folder: Path, *, may_skip: bool) -> RunOptions:
    return RunOptions(dead_letters=str(folder / "kept"), skip_unreadable_keys=may_skip)


def test_without_leave_the_run_ends_and_nothing_is_written(tmp_path: Path) -> None:
    keys = UnreadableKeys(options(tmp_path, may_skip=False), "app", "w1")
    with pytest.raises(StateObjectError, match=r"key 'a' of state 'totals' .* 1 other key of"):
        keys.leave_out(7, KEYS)
    assert not (tmp_path / "kept").exists()


def test_with_leave_each_key_is_a_line_and_the_log_says_how_many(tmp_path: Path) -> None:
    keys = UnreadableKeys(options(tmp_path, may_skip=True), "my app/1", "w1")
    with capture_logs() as logs:
        keys.leave_out(7, KEYS)
        keys.leave_out(8, KEYS[:1])
    path = tmp_path / "kept" / "my-app-1-w1.unreadable-keys"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["checkpoint"], line["state"], line["problem"]) for line in lines] == [
        (7, "totals", "ValueError: bad"),
        (7, "totals", "KeyError: 'n'"),
        (8, "totals", "ValueError: bad"),
    ]
    assert (lines[0]["key_type"], lines[0]["key"]) == ("str", "a")
    assert lines[1]["key_type"] == "json"
    assert [(line["event"], line["key_count"], line["path"]) for line in logs] == [
        ("keys.skipped", 2, str(path)),
        ("keys.skipped", 1, str(path)),
    ]


def test_keys_that_cannot_be_listed_are_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"no folder")
    keys = UnreadableKeys(options(tmp_path, may_skip=True), "app", "w1")
    with pytest.raises(StoreError, match="cannot be listed"):
        keys.leave_out(7, KEYS)
