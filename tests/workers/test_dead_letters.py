"""Dead letters: every failure is kept whole, and logged at a bounded rate."""

import base64
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.workers.full_disk import full_from
from wallaroo.operators.failures import Failure
from wallaroo_workers import dead_letters
from wallaroo_workers.dead_letters import TOLD_EACH_S, DeadLetters


def failure(number: int = 0, key: object = "a", payload: bytes | None = b"\x00\xff") -> Failure:
    return Failure(
        pipeline="votes",
        step="add votes",
        key=key,
        error=f"ValueError: number {number}",
        traceback='Traceback ...\n  File "app.py", line 3, in add\nValueError\n',
        payload=payload,
        record="Vote('a', 5)",
        at="/srv/app.py:7",
    )


def letters(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.iterdir())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture
def _one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all of a test happen within one second."""
    moment = datetime.now(UTC)

    class OneMoment:
        @staticmethod
        def now(_zone: object) -> Any:
            return moment

    monkeypatch.setattr(dead_letters, "datetime", OneMoment)


def test_no_failure_makes_no_file(tmp_path: Path) -> None:
    DeadLetters(str(tmp_path / "kept"), "app", "w1").close()
    assert not (tmp_path / "kept").exists()


def test_a_failure_is_one_line_with_everything_in_it(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path / "some" / "where"), "my app/1", "w1")
    kept.add([failure()])
    (letter,) = letters(tmp_path / "some" / "where")
    assert letter.pop("time").endswith("+00:00")
    assert base64.b64decode(letter.pop("payload")) == b"\x00\xff"
    assert letter == {
        "pipeline": "votes",
        "step": "add votes",
        "key": "a",
        "error": "ValueError: number 0",
        "traceback": failure().traceback,
        "record": "Vote('a', 5)",
        "at": "/srv/app.py:7",
        "worker": "w1",
    }
    assert (tmp_path / "some" / "where" / "my-app-1-w1.jsonl").exists()
    kept.close()


@pytest.mark.parametrize(
    ("key", "shown"),
    [(None, None), (5, 5), (True, True), (b"\xff", "b'\\xff'"), (("a", b"b"), ["a", "b'b'"])],
)
def test_keys_of_all_types_are_shown(tmp_path: Path, key: object, shown: object) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1")
    kept.add([failure(key=key)])
    assert letters(tmp_path)[0]["key"] == shown
    kept.close()


def test_a_record_without_a_payload_has_none_in_its_letter(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1")
    kept.add([failure(payload=None)])
    assert letters(tmp_path)[0]["payload"] is None
    kept.close()


def test_letters_are_added_to_those_of_an_earlier_run(tmp_path: Path) -> None:
    for number in range(2):
        kept = DeadLetters(str(tmp_path), "app", "w1")
        kept.add([failure(number)])
        kept.close()
    assert [letter["error"][-1] for letter in letters(tmp_path)] == ["0", "1"]


@pytest.mark.usefixtures("_one_second")
def test_many_failures_are_all_kept_but_few_are_logged(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1")
    with capture_logs() as lines:
        for first in range(0, 1000, 10):
            kept.add([failure(number) for number in range(first, first + 10)])
        kept.close()
    assert len(letters(tmp_path)) == 1000
    assert kept.count_by_step == {"add votes": 1000}
    *told, counted = lines
    assert [line["error"] for line in told] == [
        f"ValueError: number {number}" for number in range(TOLD_EACH_S)
    ]
    assert counted["event"] == "records.failed"
    assert counted["record_count"] == 1000 - TOLD_EACH_S


@pytest.mark.usefixtures("_one_second")
def test_letters_that_cannot_be_written_are_told_at_a_bounded_rate_and_counted(
    tmp_path: Path,
) -> None:
    (tmp_path / "kept").write_text("a file in the folder's place")
    kept = DeadLetters(str(tmp_path / "kept"), "app", "w1")
    with capture_logs() as lines:
        for _ in range(100):
            kept.add([failure(), failure()])
        kept.close()
    lost = [line for line in lines if line["event"] == "dead_letters.write_failed"]
    assert [line["lost_count"] for line in lost] == [2, 198]
    assert all(line["log_level"] == "error" and "File exists" in line["reason"] for line in lost)


def test_letters_are_written_again_once_they_can_be(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file in the folder's place")
    kept = DeadLetters(str(tmp_path / "kept"), "app", "w1")
    kept.add([failure(1)])
    (tmp_path / "kept").unlink()
    kept.add([failure(2)])
    assert [letter["error"][-1] for letter in letters(tmp_path / "kept")] == ["2"]
    kept.close()


def test_a_failure_is_logged_with_the_line_of_the_users_code(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1")
    with capture_logs() as lines:
        kept.add([failure()])
    assert lines[0]["at"] == "/srv/app.py:7"
    assert "traceback" not in lines[0]
    kept.close()


def test_a_failure_is_logged_with_its_traceback_for_debugging(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1", shows_traceback=True)
    with capture_logs() as lines:
        kept.add([failure()])
    assert lines[0]["traceback"] == failure().traceback
    kept.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def errors(path: Path) -> list[str]:
    return [json.loads(line)["error"][-1] for line in path.read_text().splitlines()]


def test_a_file_that_is_full_is_followed_by_another_one(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1", file_bytes=800)
    with capture_logs() as lines:
        for number in range(5):
            kept.add([failure(number)])
    kept.close()
    assert names(tmp_path) == ["app-w1.2.jsonl", "app-w1.3.jsonl", "app-w1.jsonl"]
    assert errors(tmp_path / "app-w1.jsonl") == ["0", "1"]
    assert errors(tmp_path / "app-w1.2.jsonl") == ["2", "3"]
    assert errors(tmp_path / "app-w1.3.jsonl") == ["4"]
    assert lines[2]["dead_letters"] == str(tmp_path / "app-w1.2.jsonl")


def test_the_next_run_goes_on_with_the_newest_file(tmp_path: Path) -> None:
    for number in range(3):
        kept = DeadLetters(str(tmp_path), "app", "w1", file_bytes=800)
        kept.add([failure(number)])
        kept.close()
    assert names(tmp_path) == ["app-w1.2.jsonl", "app-w1.jsonl"]
    assert errors(tmp_path / "app-w1.2.jsonl") == ["2"]


def test_letters_that_are_longer_than_a_file_are_kept_whole(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1", file_bytes=10)
    kept.add([failure(1), failure(2)])
    kept.add([failure(3)])
    kept.close()
    assert errors(tmp_path / "app-w1.jsonl") == ["1", "2"]
    assert errors(tmp_path / "app-w1.2.jsonl") == ["3"]


def test_old_files_are_deleted_only_if_that_is_asked_for_and_only_ours(tmp_path: Path) -> None:
    others = ["app-w10.jsonl", "app-w1.x.jsonl", "other-w1.jsonl"]
    for name in others:
        (tmp_path / name).write_text("{}\n")
    kept = DeadLetters(str(tmp_path), "app", "w1", file_bytes=400, kept_max=2)
    with capture_logs() as lines:
        for number in range(5):
            kept.add([failure(number)])
    kept.close()
    assert names(tmp_path) == sorted([*others, "app-w1.4.jsonl", "app-w1.5.jsonl"])
    deleted = [line["path"] for line in lines if line["event"] == "dead_letters.deleted"]
    assert deleted == [str(tmp_path / f"app-w1{number}.jsonl") for number in ("", ".2", ".3")]


def test_two_workers_of_one_name_in_one_folder_have_a_file_each(tmp_path: Path) -> None:
    first, second = (DeadLetters(str(tmp_path), "app", "w1") for _ in range(2))
    for number, kept in enumerate([first, second, first, second]):
        kept.add([failure(number)])
    first.close()
    second.close()
    assert errors(tmp_path / "app-w1.jsonl") == ["0", "2"]
    assert errors(tmp_path / "app-w1.2.jsonl") == ["1", "3"]


def test_half_a_letter_that_a_crash_left_is_cut_off_and_reported(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1")
    kept.add([failure(1)])
    kept.close()
    path = tmp_path / "app-w1.jsonl"
    with path.open("ab") as file:
        file.write(path.read_bytes()[:100])
    kept = DeadLetters(str(tmp_path), "app", "w1")
    with capture_logs() as lines:
        kept.add([failure(2)])
    kept.close()
    assert errors(path) == ["1", "2"]
    (line,) = [line for line in lines if line["event"] == "dead_letters.truncated"]
    assert (line["path"], line["byte_count"]) == (str(path), 100)


def test_a_disk_that_becomes_full_within_a_batch_keeps_the_whole_letters(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path), "app", "w1")
    kept.add([failure(0)])
    path = tmp_path / "app-w1.jsonl"
    with capture_logs() as lines, full_from(path.stat().st_size * 5 // 2):
        kept.add([failure(1), failure(2), failure(3)])
    assert errors(path) == ["0", "1"]
    (line,) = [line for line in lines if line["event"] == "dead_letters.write_failed"]
    assert line["lost_count"] == 2
    kept.add([failure(4)])
    kept.close()
    assert errors(path) == ["0", "1", "4"]


def test_letters_behind_a_file_that_somebody_deleted_are_in_a_new_one(tmp_path: Path) -> None:
    kept = DeadLetters(str(tmp_path / "kept"), "app", "w1")
    path = tmp_path / "kept" / "app-w1.jsonl"
    kept.add([failure(0)])
    path.unlink()
    kept.add([failure(1)])
    shutil.rmtree(path.parent)
    kept.add([failure(2), failure(3)])
    kept.close()
    assert errors(path) == ["2", "3"]
