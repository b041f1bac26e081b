"""Windows over a file, in real processes: the run ends by itself, with all its windows fired."""

import importlib
import json
import random
from collections import Counter
from pathlib import Path

import pytest

import wallaroo
from tests.cluster.harness import APPLICATIONS, application_options, run_to_end
from wallaroo.testing.model import TimedRecord, fixed_windows, session_windows

pytestmark = pytest.mark.cluster

MS = 1_000_000
SIZE, EVERY, GAP = 10_000 * MS, 4_000 * MS, 150 * MS
COUNT = 7
"""Those of the application."""


def words() -> list[tuple[str, int]]:
    """Return words that are out of order by less than the application allows."""
    chance = random.Random(1)
    return [(f"w{chance.randrange(20)}", 5 * n + chance.randrange(3000)) for n in range(12_000)]


WORDS = words()
TIMED = [TimedRecord(word, at * MS, 1) for word, at in WORDS]


def line_of(key: str, start: int, end: int, value: int) -> str:
    return json.dumps([key, start, end, value]) + "\n"


def counts_of_windows(kind: str) -> Counter[str]:
    """Return the lines by definition."""
    if kind == "sessions":
        contents = session_windows(TIMED, GAP)
    else:
        contents = fixed_windows(TIMED, SIZE, EVERY if kind == "sliding" else SIZE)
    lines = (line_of(each.key, each.start, each.end, len(held)) for each, held in contents.items())
    if kind != "chained":
        return Counter(lines)
    totals: Counter[tuple[int, int]] = Counter()
    for each, held in contents.items():
        totals[each.start, each.end] += len(held)
    return Counter(line_of("key", *window, total) for window, total in totals.items())


def written(folder: Path, kind: str, *options: str) -> Counter[str]:
    (folder / "in").write_text("".join(f"{word} {at}\n" for word, at in WORDS))
    ended = run_to_end(folder, *application_options("windows_of_file"), kind, *options)
    assert ended.returncode == 0, ended.stderr
    return Counter((folder / "out").read_text().splitlines(keepends=True))


@pytest.mark.parametrize("kind", ["tumbling", "sliding", "sessions", "chained"])
def test_a_file_gives_the_windows_of_the_model_on_three_workers(kind: str, tmp_path: Path) -> None:
    assert written(tmp_path, kind, "--workers", "3") == counts_of_windows(kind)


def test_count_windows_give_what_is_left_at_the_end(tmp_path: Path) -> None:
    lines = written(tmp_path, "counts", "--workers", "2")
    found: Counter[str] = Counter()
    for line in lines.elements():
        key, _, _, value = line.strip("[]\n").split(", ")
        assert 0 < int(value) <= COUNT
        found[key.strip('"')] += int(value)
    assert found == Counter(word for word, _ in WORDS)


def test_with_checkpoints_a_file_gives_the_same(tmp_path: Path) -> None:
    options = ("--workers", "2", "--resilience-dir", str(tmp_path / "state"))
    assert written(tmp_path, "sliding", *options) == counts_of_windows("sliding")


def test_windows_run_in_the_calling_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(APPLICATIONS))
    application = importlib.import_module("windows_of_file")
    (tmp_path / "in").write_text("".join(f"{word} {at}\n" for word, at in WORDS))
    for kind in ("tumbling", "chained"):
        wallaroo.run(application.application_setup([kind]), workers=0)
        lines = Counter((tmp_path / "out").read_text().splitlines(keepends=True))
        assert lines == counts_of_windows(kind)
