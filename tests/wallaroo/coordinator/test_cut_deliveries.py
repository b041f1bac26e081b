"""Results of several cuts are delivered cut by cut, and a run ends with nothing in doubt."""

from tests.wallaroo.coordinator.story import A, B, Story, assigned, committing, running
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import (
    Announce,
    EndCluster,
    ManifestNotWritten,
    Send,
    SettleManifest,
    StopRequested,
)
from wallaroo.names import CheckpointId, Epoch
from wallaroo.wire.control import Committed, Empty
from wallaroo.wire.outbox import CutDelivered, DeliverCut

E1, E2 = Epoch(1), Epoch(2)
CUTS = (CheckpointId(5), CheckpointId(8), CheckpointId(9))


def delivered(cut: int, epoch: Epoch = E1) -> CutDelivered:
    return CutDelivered(epoch, CheckpointId(cut))


def test_with_one_cut_nobody_is_asked() -> None:
    story = committing()
    [sent] = story.written(8, cuts=[9])
    assert isinstance(sent, Send)
    assert isinstance(sent.frame, Committed)
    assert sent.frame.cuts == [9]
    assert story.say(A, delivered(9)) == []


def test_a_cut_is_ordered_once_all_workers_have_delivered_the_one_before() -> None:
    story = committing()
    story.written(8, cuts=CUTS)
    assert story.say(A, delivered(5)) == []
    assert story.say(A, delivered(5)) == []
    assert story.say(B, delivered(5)) == [Send((A, B), DeliverCut(E1, CheckpointId(8)))]
    assert story.say(B, delivered(8)) == []
    assert story.say(A, delivered(8)) == [Send((A, B), DeliverCut(E1, CheckpointId(9)))]
    assert story.say(A, delivered(9)) == []


def test_a_late_report_of_a_lower_cut_counts_for_nothing() -> None:
    story = committing()
    story.written(8, cuts=CUTS)
    story.all_say(delivered(5))
    assert story.all_say(delivered(5)) == []


def test_a_recovery_delivers_the_cuts_of_its_checkpoint_in_order_before_it_is_ready() -> None:
    story = committing()
    story.written(8, cuts=CUTS)
    story.say(A, delivered(5))
    story.lose(B)
    assert assigned(story.join(A, B)).cuts == [*CUTS]
    assert story.say(A, delivered(5)) == []  # it was sent before the loss was known
    assert story.say(A, delivered(5, E2)) == []
    assert story.phase is Phase.CONNECTING
    assert story.say(B, delivered(5, E2)) == [Send((A, B), DeliverCut(E2, CheckpointId(8)))]


def test_a_start_has_the_cuts_and_the_lineage_of_its_checkpoint() -> None:
    story = Story(is_durable=True, manifest=7, outbox_cuts=CUTS, lineage="one")
    assign = assigned(story.join(A, B))
    assert (assign.cuts, assign.lineage) == ([*CUTS], "one")
    assert story.all_say(delivered(5)) == [Send((A, B), DeliverCut(E1, CheckpointId(8)))]


def test_a_resize_waits_until_all_cuts_but_the_last_are_delivered() -> None:
    """The members, and so the workers that report, stay the same meanwhile."""
    story = committing()
    story.written(8, cuts=CUTS[:2])
    story.ask_resize(leaving=[B])
    assert story.gather() == []
    story.say(A, delivered(5))
    ordered, empty = story.say(B, delivered(5))
    assert ordered == Send((A, B), DeliverCut(E1, CheckpointId(8)))
    assert isinstance(empty, Send)
    assert isinstance(empty.frame, Empty)


def test_cuts_are_delivered_while_the_cluster_drains() -> None:
    story = committing()
    story.written(8, cuts=CUTS[:2])
    story.step(StopRequested())
    assert story.phase is Phase.DRAINING
    assert story.all_say(delivered(5)) == [Send((A, B), DeliverCut(E1, CheckpointId(8)))]


def draining(*cuts: int, has_prepared: bool = False) -> Story:
    """Return a cluster whose last checkpoint is written, and all is delivered but for B."""
    story = running()
    story.step(StopRequested())
    story.save()
    story.written(8, cuts=cuts, has_prepared=has_prepared)
    story.drained(A)
    return story


def test_a_run_without_results_in_doubt_ends_with_its_last_checkpoint() -> None:
    assert isinstance(draining().drained(B)[-1], EndCluster)


def test_a_run_ends_with_a_checkpoint_that_says_that_all_is_delivered() -> None:
    story = draining(9)
    number = CheckpointId(story.checkpoint + 1)
    assert story.drained(B) == [SettleManifest(number, E1)]
    assert story.phase is Phase.DRAINING
    *_, end = story.written(9)
    assert end == EndCluster(None)


def test_a_run_ends_with_a_checkpoint_that_names_no_prepared_work() -> None:
    story = draining(has_prepared=True)
    assert story.drained(B) == [SettleManifest(CheckpointId(story.checkpoint + 1), E1)]
    *_, end = story.written(9)
    assert end == EndCluster(None)


def test_a_run_ends_well_though_that_cannot_be_written() -> None:
    story = draining(9)
    story.drained(B)
    effects = story.coordinator.step(ManifestNotWritten("the store is away"))
    assert isinstance(effects[0], Announce)
    assert effects[0].event == "checkpoint.not_settled"
    assert effects[-1] == EndCluster(None)
