"""Which parts of a journal must be there, and which may be missing."""

import pytest

from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.checkpoint.lost_input import holders_elsewhere, needed_positions, shortfall
from wallaroo.checkpoint.manifest import JournalPosition, Manifest, WorkerCheckpoint
from wallaroo.names import CheckpointId, Epoch, WorkerName

NAME = "w1-0000000001"
SEGMENT = f"/journals/{NAME}/0000000000000300"


def extent(begin: int, end: int) -> JournalExtent:
    return JournalExtent(NAME, begin, max(begin, 300), end)


@pytest.mark.parametrize(
    ("position", "there"),
    [
        (JournalPosition(NAME, 500, {}), extent(0, 500)),
        (JournalPosition(NAME, 500, {}), extent(500, 500)),
        (JournalPosition(NAME, 500, {600: 1}, end=700), extent(300, 700)),
        (JournalPosition(NAME, 10, {}), extent(0, 10)),
        (JournalPosition(NAME, 500, {}, is_finished=True), None),
        (JournalPosition(NAME, 300, {}, end=500, is_finished=True), extent(400, 500)),
    ],
)
def test_what_a_replay_needs_is_there(
    position: JournalPosition, there: JournalExtent | None
) -> None:
    assert shortfall(position, there, "/journals") is None


@pytest.mark.parametrize(
    ("position", "there", "file", "lengths", "what"),
    [
        (JournalPosition(NAME, 500, {}), None, f"/journals/{NAME}", (500, 0), "500 bytes"),
        (JournalPosition(NAME, 0, {}), None, f"/journals/{NAME}", (10, 0), "no such journal"),
        (JournalPosition(NAME, 500, {}), extent(0, 499), SEGMENT, (200, 199), "it holds 199"),
        (JournalPosition(NAME, 500, {}, end=700), extent(0, 600), SEGMENT, (400, 300), "least 400"),
        (JournalPosition(NAME, 10, {}), JournalExtent(NAME, 0, 0, 4),
         f"/journals/{NAME}/0000000000000000", (10, 4), "it holds 4 bytes"),
        (JournalPosition(NAME, 100, {}), extent(200, 700), f"/journals/{NAME}", (600, 500),
         "from offset 100 to 200 is missing"),
        (JournalPosition(NAME, 500, {}, is_finished=True), extent(0, 400), SEGMENT, (200, 100),
         "it holds 100"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_both_lengths(
    position: JournalPosition,
    there: JournalExtent | None,
    file: str,
    lengths: tuple[int, int],
    what: str,
) -> None:
    gap = shortfall(position, there, "/journals")
    assert gap is not None
    assert (gap.file, (gap.expected_bytes, gap.actual_bytes)) == (file, lengths)
    assert what in gap.what


@pytest.mark.parametrize(
    ("position", "there", "replayed"),
    [
        (JournalPosition(NAME, 500, {600: 1}, end=700), extent(0, 400), (400, {})),
        (JournalPosition(NAME, 500, {550: 2, 600: 1}, end=700), extent(0, 580), (500, {550: 2})),
        (JournalPosition(NAME, 100, {150: 1, 250: 2}), extent(200, 700), (200, {250: 2})),
    ],
)
def test_of_a_journal_that_is_given_up_what_is_there_is_replayed(
    position: JournalPosition, there: JournalExtent, replayed: tuple[int, dict[int, int]]
) -> None:
    found = there.from_here_on(position)
    assert found == JournalPosition(NAME, *replayed)
    assert shortfall(found, there, "") is None


def manifest_of(**journals: list[JournalPosition]) -> Manifest:
    """Return a manifest with a share of each worker."""
    names = map(WorkerName, journals)
    return Manifest(
        number=CheckpointId(1),
        epoch=Epoch(3),
        is_claim=False,
        application="letters",
        outline=[],
        members=[*journals],
        partition_maps=[],
        workers={name: WorkerCheckpoint(name, [], journals[name], {}, [], {}) for name in names},
        file_lengths={},
        taken_unix_s=0.0,
        duration_s=0.0,
    )


def lost_with_the_disk(worker: str, *positions: JournalPosition) -> list[str]:
    """The journals whose absence is a loss, given what a worker's share of a manifest says."""
    manifest = manifest_of(**{worker: [*positions]})
    return [each.journal for each in needed_positions(manifest) if shortfall(each, None, "")]


def test_what_an_earlier_release_may_have_deleted_is_not_missed() -> None:
    was = lost_with_the_disk(
        "w1",
        JournalPosition("w1-0000000003", 10, {}),
        JournalPosition("w1-0000000001", 500, {}),
        JournalPosition("w1-0000000002", 500, {600: 1}),
        JournalPosition("w2-0000000004", 0, {}),
    )
    # What was written then is not deleted, nor what was processed in part.
    assert was == ["w1-0000000003", "w1-0000000002"]


def test_what_is_not_finished_is_missed_if_its_end_is_known() -> None:
    was = lost_with_the_disk(
        "w1",
        JournalPosition("w1-0000000003", 10, {}, end=10),
        JournalPosition("w1-0000000001", 500, {}, end=700),
        JournalPosition("w1-0000000002", 500, {}, end=500, is_finished=True),
    )
    assert was == ["w1-0000000003", "w1-0000000001"]


def test_a_worker_has_needed_input_until_its_journal_is_finished_or_is_in_reach() -> None:
    manifest = manifest_of(
        w1=[JournalPosition("w1-0000000003", 10, {}, end=10)],
        w2=[JournalPosition("w2-0000000003", 10, {}, end=10, is_finished=True)],
        w3=[
            JournalPosition("w3-0000000003", 10, {}, end=10, is_finished=True),
            JournalPosition("w3-0000000002", 10, {}, end=90),
            JournalPosition("gone-0000000001", 10, {}, end=90),
        ],
        w4=[JournalPosition("w4-0000000003", 10, {}, end=90)],
    )
    assert holders_elsewhere(manifest, {"w4-0000000003"}) == ["w1", "w3"]
