"""Where a worker begins to replay, and what its next checkpoint says of journals until then."""

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.checkpoint.lost_input import needed_positions, shortfall
from wallaroo.checkpoint.manifest import JournalPosition, Manifest, WorkerCheckpoint
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.worker.restoration import replay_start

ME = WorkerName("w2")
OLD, OWN = "w2-0000000002", "w2-0000000003"


def saved_before_its_turn(position: JournalPosition) -> JournalPosition:
    """Return what a start reads of a journal in a checkpoint that was cut before its replay."""
    progress = JournalProgress(position.journal, position.offset, position.done, position.end)
    own = JournalPosition(OWN, HEADER_BYTES, {}, HEADER_BYTES)
    share = WorkerCheckpoint(ME, [], [own, progress.position()], {}, [], {})
    manifest = Manifest(
        CheckpointId(2), Epoch(3), False, "app", [], [ME], [], {ME: share}, {}, 0.0, 0.0
    )
    return needed_positions(manifest)[1]


def test_a_journal_that_waits_for_its_replay_is_missed_when_it_is_lost() -> None:
    extent = JournalExtent(OLD, 0, 0, 400)
    start = replay_start(JournalPosition(OLD, 0, {}), extent, is_given_up=False)
    assert start == JournalPosition(OLD, 0, {}), "it is replayed from its start"
    needed = saved_before_its_turn(start)
    assert shortfall(needed, None, "folder") is not None
    assert shortfall(needed, extent, "folder") is None
    torn = JournalExtent(OLD, 0, 0, HEADER_BYTES)
    assert shortfall(needed, torn, "folder") is None, "what is torn is cut off before it is read"


def test_a_journal_without_a_whole_header_holds_nothing_and_may_go() -> None:
    start = replay_start(
        JournalPosition(OLD, 0, {}), JournalExtent(OLD, 0, 0, 0), is_given_up=False
    )
    assert shortfall(saved_before_its_turn(start), None, "folder") is None


def test_a_journal_that_was_given_up_is_not_missed_again() -> None:
    start = replay_start(
        JournalPosition(OLD, 50, {}), JournalExtent(OLD, 0, 0, 20), is_given_up=True
    )
    assert start.offset == 20
    assert start.end == 0
