"""``wallaroo-dead-letters list`` and ``show`` on real folders."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.letters.kept import failure, invoke, json_of, keep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keep(tmp_path, [failure(1), failure(2, "encoder")])
    keep(tmp_path, [failure(3), failure(4, pipeline="others")], worker="w2")
    return tmp_path


def names(folder: Path, *arguments: str) -> list[str]:
    return [letter["letter"] for letter in json_of(folder, "list", *arguments)]


def test_letters_of_all_workers_are_listed_the_oldest_first(folder: Path) -> None:
    assert names(folder) == ["app-w1:1", "app-w1:2", "app-w2:1", "app-w2:2"]
    shown = invoke(folder, "list")
    assert shown.exit_code == 0
    heading, first, *_ = shown.stdout.splitlines()
    assert heading.split()[:4] == ["letter", "time", "pipeline", "step"]
    assert first.split()[0] == "app-w1:1"
    assert "ValueError: number 1" in first


def test_programs_get_everything_that_stands_in_a_letter(folder: Path) -> None:
    letter = json_of(folder, "list")[0]
    (line, _) = (folder / "app-w1.jsonl").read_text().splitlines()
    assert letter == {"letter": "app-w1:1", **json.loads(line), "replayed": "no"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--step", "encoder"], ["app-w1:2"]),
        (["--step", "encoder", "--step", "add"], ["app-w1:1", "app-w1:2", "app-w2:1", "app-w2:2"]),
        (["--pipeline", "others"], ["app-w2:2"]),
        (["--pipeline", "others", "--step", "encoder"], []),
        (["--since", "1h"], ["app-w1:1", "app-w1:2", "app-w2:1", "app-w2:2"]),
        (["--until", "1h"], []),
        (["--since", "2999-01-01"], []),
        (["--last", "1"], ["app-w2:2"]),
    ],
)
def test_letters_are_chosen_by_step_pipeline_and_time(
    folder: Path, options: list[str], found: list[str]
) -> None:
    assert names(folder, *options) == found


def test_a_time_without_an_offset_is_utc_and_bounds_are_included(folder: Path) -> None:
    time = json_of(folder, "list")[1]["time"]
    assert names(folder, "--since", time, "--until", time) == ["app-w1:2"]
    naive = time.removesuffix("+00:00")
    assert names(folder, "--since", naive, "--until", naive) == ["app-w1:2"]
    later = datetime.fromisoformat(time) + timedelta(hours=5)
    other_zone = later.replace(tzinfo=None).isoformat() + "+05:00"
    assert names(folder, "--since", other_zone, "--until", other_zone) == ["app-w1:2"]
    assert datetime.fromisoformat(time).tzinfo == UTC


def test_a_time_that_is_none_is_refused_with_examples(folder: Path) -> None:
    refused = invoke(folder, "list", "--since", "yesterday")
    assert refused.exit_code == 2
    assert "15min" in refused.stderr


def test_only_the_newest_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    keep(tmp_path, [failure(number) for number in range(120)])
    shown = invoke(tmp_path, "list")
    assert len(shown.stdout.splitlines()) == 1 + 100
    assert "The newest 100 of 120" in shown.stderr
    assert len(names(tmp_path)) == 120


def test_files_of_one_worker_are_read_in_order_of_their_numbers(tmp_path: Path) -> None:
    keep(tmp_path, [failure(1)])
    line = (tmp_path / "app-w1.jsonl").read_text()
    for number in (2, 10):  # the same time in all: only the order of the files decides
        (tmp_path / f"app-w1.{number}.jsonl").write_text(line)
    assert names(tmp_path) == ["app-w1:1", "app-w1.2:1", "app-w1.10:1"]


def test_half_a_letter_at_the_end_is_passed_by_and_other_lines_are_reported(folder: Path) -> None:
    path = folder / "app-w1.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + first[:50] + second + b'{"key": "lost"}\n' + second + second[:-1])
    shown = invoke(folder, "list", "--json")
    assert [letter["letter"] for letter in json.loads(shown.stdout)][:2] == ["app-w1:1", "app-w1:4"]
    for number in (2, 3):
        assert f"line {number} of {path} is not a dead letter" in shown.stderr
    assert shown.stderr.count("warning") == 2


def test_letters_of_earlier_releases_are_read(tmp_path: Path) -> None:
    keep(tmp_path, [failure(1)])
    path = tmp_path / "app-w1.jsonl"
    letter = json.loads(path.read_text())
    del letter["at"], letter["worker"]
    path.write_text(json.dumps(letter) + "\n")
    assert names(tmp_path) == ["app-w1:1"]
    assert "ValueError: 1" in invoke(tmp_path, "show", "1").stdout


def test_a_letter_is_shown_with_its_traceback_as_python_prints_it(folder: Path) -> None:
    shown = invoke(folder, "show", "app-w1:2")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert "step:      encoder" in lines
    assert "at:        /srv/app.py:7" in lines
    assert "payload:   9 bytes: b'payload 2'" in lines
    assert "replayed:  no" in lines
    assert lines[-3:] == ["Traceback (most recent call last):", '  File "app.py"', "ValueError: 2"]
    assert json_of(folder, "show", "app-w1:2")["letter"] == "app-w1:2"


def test_the_payload_is_written_byte_for_byte(tmp_path: Path) -> None:
    payload = bytes(range(256))
    keep(tmp_path, [failure(1, payload=payload)])
    assert invoke(tmp_path, "show", "1", "--payload").stdout_bytes == payload


def test_a_letter_without_a_payload_is_refused_with_a_sentence(tmp_path: Path) -> None:
    keep(tmp_path, [failure(1, payload=None)])
    refused = invoke(tmp_path, "show", "1", "--payload")
    assert refused.exit_code == 2
    assert "its source creates records itself" in refused.stderr


def test_control_characters_of_users_do_not_reach_the_terminal(tmp_path: Path) -> None:
    keep(tmp_path, [failure(1, step="\x1b[2Jstep")])
    for shown in (invoke(tmp_path, "list"), invoke(tmp_path, "show", "1")):
        assert "\x1b" not in shown.stdout
        assert "\\x1b[2Jstep" in shown.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("app-w1:9", "there is no dead letter app-w1:9"),
        ("app-w9:1", "there is no dead letter app-w9:1"),
        ("1", "1 may be any of app-w1:1, app-w2:1"),
        ("app-w1:1-2", "app-w1:1-2 names 2 letters"),
        ("app-w1", "'app-w1' does not name a dead letter"),
        ("app-w1:0", "'app-w1:0' does not name a dead letter"),
        ("app-w1:2-1", "'app-w1:2-1' does not name a dead letter"),
    ],
)
def test_a_name_that_is_not_of_one_letter_is_refused(folder: Path, name: str, said: str) -> None:
    refused = invoke(folder, "show", name)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_a_folder_that_is_not_there_is_a_mistake_with_a_remedy(tmp_path: Path) -> None:
    refused = invoke(tmp_path / "nowhere", "list")
    assert refused.exit_code == 2
    assert "--dead-letters" in refused.stderr
