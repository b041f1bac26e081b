"""Dead letters: every failure is kept whole, and told at a bounded rate."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

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
def test_many_failures_are_all_kept_but_few_are_told(tmp_path: Path) -> None:
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
    lost = [line for line in lines if line["event"] == "dead_letters.not_written"]
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
