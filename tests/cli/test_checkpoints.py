"""``wallaroo-checkpoints`` on real directories: what it shows, finds, deletes, and its status."""

import asyncio
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wallaroo.checkpoint.manifest import (
    JournalPosition,
    Manifest,
    OutboxBatch,
    PartRef,
    StagedOutput,
    WorkerCheckpoint,
    outbox_name,
    part_name,
)
from wallaroo.checkpoint.outbox_objects import OUTBOX_HEADER, encode_results
from wallaroo.checkpoint.parts import PART_HEADER, encode_chunk
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo_cli.checkpoints import main
from wallaroo_cli.tools.tables import age_text
from wallaroo_workers.storage.journal_files import JournalWriter
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store

PART = PART_HEADER + encode_chunk(["a", "b"], [1, 2], "totals", StatePickler())
STAGED = ".out.txt.w1-{:010}.staged"


def invoke(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)


def json_of(*arguments: object) -> Any:
    return json.loads(invoke(*arguments, "--json").stdout)


def manifest(number: int, journal: JournalPosition) -> Manifest:
    refs = [
        PartRef(part_name(one, "w1", 1, 0, 0), CheckpointId(one), 0, len(PART), 2)
        for one in range(max(1, number - 1), number + 1)
    ]
    share = WorkerCheckpoint(
        worker=WorkerName("w1"),
        parts=refs,
        journals=[journal],
        sources={2: {"file": "in.txt", "offset": 5, "mark": b"\x01"}},
        staged=[StagedOutput(1, STAGED.format(number), 3)],
        key_counts={"totals": 1234},
    )
    return Manifest(
        number=CheckpointId(number),
        epoch=Epoch(1),
        is_claim=False,
        application="letters",
        outline=["a line"],
        members=["w1"],
        partition_maps=[["totals", 1, [b"sa"], ["w1"], [0]]],
        workers={"w1": share},
        file_lengths={1: 77},
        taken_unix_s=time.time() - 125,
        duration_s=0.25,
        base=number - 1,
    )


async def fill(folder: Path) -> None:
    """Make checkpoints 1 to 3 and claim 4, and a journal of four entries."""
    store = open_store(str(folder))
    log = ManifestLog(store)
    journal = JournalWriter(folder / "journals", "w1", 1, "os")
    for number in range(1, 4):
        journal.append(0, 1, b"abc")
        await store.create(part_name(number, "w1", 1, 0, 0), PART)
        position = JournalPosition(journal.name, 10, {}, end=journal.offset)
        latest = await log.commit(manifest(number, position))
    journal.append(0, 1, b"abc")
    journal.close()
    await log.claim(latest, Epoch(2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "state"))
    return tmp_path / "state"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_list_has_a_line_for_each_newest_first(folder: Path) -> None:
    result = invoke("list", folder)
    assert result.exit_code == 0
    head, *lines = [line.split() for line in result.stdout.splitlines()]
    assert head[:5] == ["number", "kind", "age", "epoch", "workers"]
    assert [line[:2] for line in lines] == [
        ["4", "claim"],
        ["3", "checkpoint"],
        ["2", "checkpoint"],
        ["1", "checkpoint"],
    ]
    size = str(2 * len(PART))
    assert lines[1][2:] == ["2", "min", "1", "1", "1,234", size, "bytes", "0.25", "s"]


def test_the_list_for_programs_has_plain_numbers(folder: Path) -> None:
    newest, *_ = json_of("list", folder)
    assert 125 <= newest.pop("age_s") < 185
    newest.pop("taken_unix_s")
    assert newest == {
        "number": 4,
        "kind": "claim",
        "epoch": 2,
        "workers": 1,
        "keys": 1234,
        "part_bytes": 2 * len(PART),
        "duration_s": 0.25,
        "pause_s": 0.0,
    }


def test_a_damaged_manifest_is_listed_as_that_with_status_1(folder: Path) -> None:
    flip(folder / "manifests/0000000003", 40)
    result = invoke("list", folder)
    assert result.exit_code == 1
    assert "3       DAMAGED" in result.stdout
    assert "manifests/0000000003, byte 10: a block of" in result.stderr
    assert "hint: " in result.stderr
    rows = json_of("list", folder)
    assert [(row["number"], row["kind"]) for row in rows][1] == (3, "damaged")
    assert rows[1]["offset"] == 10


def test_an_empty_directory_has_no_checkpoints(tmp_path: Path) -> None:
    result = invoke("list", tmp_path)
    assert (result.exit_code, "no checkpoints" in result.stdout) == (0, True)
    assert json_of("list", tmp_path) == []


def test_show_tells_all_positions(folder: Path) -> None:
    result = invoke("show", folder, 3)
    assert result.exit_code == 0
    assert "Checkpoint 3 of 'letters', epoch 1" in result.stdout
    for fact in (
        "totals: 1,234",
        "parts/0000000002/w1-1-0-0",
        ".out.txt.w1-0000000003.staged",
        "journal w1-0000000001",
        "'offset': 5",
        "77 bytes",
    ):
        assert fact in result.stdout


def test_show_for_programs_is_the_whole_manifest(folder: Path) -> None:
    found = json_of("show", folder, 3)
    assert (found["number"], found["kind"], found["file_lengths"]) == (3, "checkpoint", {"1": 77})
    assert found["partition_maps"] == [["totals", 1, ["7361"], ["w1"], [0]]]
    worker = found["workers"]["w1"]
    assert worker["sources"] == {"2": {"file": "in.txt", "offset": 5, "mark": "01"}}
    (journal,) = worker["journals"]
    assert (journal["journal"], journal["offset"], journal["done"]) == ("w1-0000000001", 10, {})
    assert worker["parts"][0]["key_count"] == 2


OBJECT = OUTBOX_HEADER + encode_results([b"a", b"b"], StatePickler())


@pytest.fixture
def with_outbox(tmp_path: Path) -> Path:
    """A store whose checkpoint names a batch of results."""

    async def fill() -> None:
        store = open_store(str(tmp_path / "outbox"))
        log = ManifestLog(store)
        name = outbox_name(2, "w1", 1, 3, 0)
        batch = OutboxBatch(3, "w1", name, 7, 2, len(OBJECT), CheckpointId(2))
        share = WorkerCheckpoint(WorkerName("w1"), [], [], {}, [], {}, outbox=[batch])
        await store.create(name, OBJECT)
        journal = JournalPosition("w1-0000000001", 10, {})
        first = await log.claim(replace(manifest(1, journal), workers={}), Epoch(1))
        number = CheckpointId(2)
        await log.commit(replace(first, number=number, is_claim=False, workers={"w1": share}))

    asyncio.run(fill())
    return tmp_path / "outbox"


def test_show_tells_which_results_may_be_undelivered(with_outbox: Path) -> None:
    stdout = invoke("show", with_outbox, 2).stdout
    lineage = json_of("show", with_outbox, 2)["lineage"]
    assert f"Lineage {lineage}" in stdout
    row = ["3", "w1", "7", "2", str(len(OBJECT)), "2", "parts/0000000002/w1-1-out-3-0"]
    assert row in [line.split() for line in stdout.splitlines()]


def test_a_damaged_object_of_the_outbox_is_found(with_outbox: Path) -> None:
    assert json_of("verify", with_outbox)["whole"] == [2]
    flip(with_outbox / "parts/0000000002/w1-1-out-3-0", len(OBJECT) - 1)
    found = json_of("verify", with_outbox)
    assert [Path(one["file"]).name for one in found["problems"]] == ["w1-1-out-3-0"]
    assert found["whole"] == []


def test_what_is_whole_verifies(folder: Path) -> None:
    result = invoke("verify", folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Read 4 manifests, 3 objects and 1 journals with 4 entries" in result.stdout
    assert "No problems." in result.stdout
    assert json_of("verify", folder)["problems"] == []


def test_an_entry_that_a_crash_cut_short_is_not_damage(folder: Path) -> None:
    segment = folder / "journals/w1-0000000001/0000000000000000"
    os.truncate(segment, segment.stat().st_size - 1)
    result = invoke("verify", folder)
    assert result.exit_code == 0
    assert "never finished: fine" in result.stdout


def test_every_damage_is_found_with_its_place_and_remedy(folder: Path) -> None:
    part = folder / part_name(2, "w1", 1, 0, 0)
    flip(part, 30)
    (folder / part_name(1, "w1", 1, 0, 0)).unlink()
    flip(folder / "manifests/0000000001", 40)
    segment = folder / "journals/w1-0000000001/0000000000000000"
    flip(segment, 40)
    result = invoke("verify", folder)
    assert result.exit_code == 1
    problems = json_of("verify", folder)["problems"]
    assert {(Path(one["file"]).name, one["offset"]) for one in problems} == {
        ("0000000000000000", 35),
        ("0000000001", 10),
        ("w1-1-0-0", None),
        ("w1-1-0-0", 10),
    }
    assert all(one["hint"] for one in problems)
    assert result.stderr.count("Error: ") == result.stderr.count("hint: ") == 4
    assert "4 problems. No checkpoint is whole." in result.stdout
    assert f"truncate --size=35 {segment}" in result.stderr


def test_checkpoints_that_need_nothing_damaged_are_named(folder: Path) -> None:
    flip(folder / part_name(3, "w1", 1, 0, 0), 30)
    result = invoke("verify", folder)
    assert result.exit_code == 1
    assert "whole: 1, 2; choose one with --from-checkpoint" in result.stdout
    assert "verify tells which are whole" in result.stderr
    assert json_of("verify", folder)["whole"] == [1, 2]


def test_a_directory_without_checkpoints_is_not_called_well(tmp_path: Path) -> None:
    result = invoke("verify", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "There are no checkpoints here." in result.stdout


def test_a_journal_that_a_checkpoint_needs_and_is_not_there_is_found(
    folder: Path, tmp_path: Path
) -> None:
    result = invoke("verify", folder, "--journals", tmp_path)
    assert result.exit_code == 1
    assert "what was read from offset 10 on is missing" in result.stderr


def test_a_journal_that_is_shorter_than_a_checkpoint_says_is_found_with_both_lengths(
    folder: Path,
) -> None:
    segment = folder / "journals/w1-0000000001/0000000000000000"
    os.truncate(segment, 40)
    result = invoke("verify", folder)
    assert result.exit_code == 1
    assert f"Error: {segment}: it holds 40 bytes, and had at least 85\n" in result.stderr
    assert "--allow-lost-input" in result.stderr
    # The first one was taken when the journal was that short.
    assert json_of("verify", folder)["whole"] == [1]
    assert "fine" not in result.stdout


def test_a_journal_that_ends_with_zeros_counts_without_them(folder: Path) -> None:
    segment = folder / "journals/w1-0000000001/0000000000000000"
    length = segment.stat().st_size
    os.truncate(segment, 35)
    os.truncate(segment, length)
    result = invoke("verify", folder)
    assert result.exit_code == 1
    assert f"Error: {segment}: it holds 35 bytes, and had at least 85\n" in result.stderr


def test_prune_keeps_the_newest_and_asks_first(folder: Path) -> None:
    for answer in ("n\n", ""):
        declined = invoke("prune", folder, "--keep", 1, answer=answer)
        assert declined.exit_code == 1
        assert "nothing was deleted\nhint: answer y, or add --yes in a script" in declined.stderr
    assert len(json_of("list", folder)) == 4
    result = invoke("prune", folder, "--keep", 1, answer="y\n")
    assert result.exit_code == 0
    assert "Deleted 3 objects" in result.stdout
    assert [row["number"] for row in json_of("list", folder)] == [4, 3]
    assert invoke("verify", folder).exit_code == 0
    assert "Nothing to delete" in invoke("prune", folder, "--keep", 1).stdout


def test_prune_for_programs_names_what_went(folder: Path) -> None:
    result = invoke("prune", folder, "--keep", 2, "--yes", "--json")
    assert json.loads(result.stdout) == {"deleted": ["manifests/0000000001"]}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("list", "{tmp}/none"), "there is no directory"),
        (("list", "gs://x"), "gs:// is not supported"),
        (("list",), "Missing argument 'DIR'"),
        (("show", "{tmp}", "7"), "there is no checkpoint 7"),
        (("show", "{tmp}", "0"), "0 is not in the range"),
        (("prune", "{tmp}"), "Missing option '--keep'"),
        (("prune", "{tmp}", "--keep", "0"), "0 is not in the range"),
    ],
)
def test_a_mistake_on_the_command_line_has_status_2(
    arguments: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    result = invoke(*[argument.format(tmp=tmp_path) for argument in arguments])
    assert result.exit_code == 2
    assert problem in result.stderr


def test_a_store_out_of_reach_has_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setattr("wallaroo_workers.storage.store.RETRY", {"max_retries": 0})
    for command in (("list",), ("verify",), ("prune", "--keep", "1")):
        result = invoke(command[0], "s3://bucket/x", *command[1:])
        assert result.exit_code == 1
        assert "hint: check the store" in result.stderr


def test_a_damaged_manifest_is_not_shown(folder: Path) -> None:
    flip(folder / "manifests/0000000003", 40)
    result = invoke("show", folder, 3)
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize(
    ("age_s", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (90_000, "1 d")],
)
def test_ages_are_in_the_largest_unit_that_fits(age_s: float, text: str) -> None:
    assert age_text(age_s) == text
