"""Which hosts are accepted, which are lost, and for which a start waits."""

from collections.abc import Sequence

import pytest

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import journal_name
from wallaroo.coordinator.host_refusal import InputAtRisk, Refusal
from wallaroo.coordinator.host_registry import (
    BEAT_S,
    ORPHAN_LIVES_S,
    SUSPECTED_AFTER_S,
    Awaited,
    HostCounts,
    HostRegistry,
    HostRules,
    Join,
    JoinWaits,
    Leave,
    RunFacts,
)
from wallaroo.coordinator.pool import Assignment
from wallaroo.coordinator.starting_hosts import MembersBefore
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.agents import Offer, Prepared
from wallaroo.wire.requests import NO_EPOCH

A, B, C = (WorkerName(name) for name in "abc")
OUTLINE = ["pipeline x with source TCP", "sink TCP"]
SILENCE_S = 5.0
ABSENCE_S = 60.0


def new_registry(standby_max: int | None = None) -> HostRegistry:
    rules = HostRules(
        outline=OUTLINE, silence_s=SILENCE_S, absence_s=ABSENCE_S, standby_max=standby_max
    )
    return HostRegistry(rules)


def offer_of(
    name: str,
    *,
    host: str = "far",
    instance: str = "",
    outline: Sequence[str] = OUTLINE,
    together: int = 1,
) -> Offer:
    """Return an offer; the instance of an agent is its name unless it is given."""
    return Offer(NO_EPOCH, WorkerName(name), host, instance or name, [*outline], together, "a zone")


def run_of(*members: WorkerName, epoch: int = 3) -> RunFacts:
    return RunFacts(members=members, used=members, epoch=Epoch(epoch))


def prepared(newest: int = 0, records: int = 0) -> Prepared:
    """Return the report of a host with journals of these epochs, empty and with records."""
    journals = [
        [journal_name("x", epoch), end]
        for epoch, end in ((newest, HEADER_BYTES), (records, 99))
        if epoch
    ]
    return Prepared(NO_EPOCH, journals)


def arrive(
    registry: HostRegistry,
    worker: str,
    *,
    now_s: float = 0.0,
    run: RunFacts | None = None,
    instance: str = "",
    together: int = 1,
    records: int = 0,
) -> None:
    """Let a host offer and get ready; it gets a name if one is free."""
    offer = offer_of(worker, instance=instance, together=together)
    assert registry.offered(offer, now_s, run) is None
    registry.prepared(offer.instance, prepared(records, records))
    registry.assignments(now_s)


def start_on(registry: HostRegistry, *workers: WorkerName) -> None:
    """Let these hosts arrive, and a cluster start on them."""
    for worker in workers:
        arrive(registry, worker)
    assert registry.form(len(workers), (), (), MembersBefore(), 0.0) == [*workers]
    registry.assignments(0.0)


# Offers


def registry_of_pushed_input(*journalled: str) -> HostRegistry:
    return HostRegistry(
        HostRules(
            outline=OUTLINE,
            silence_s=SILENCE_S,
            absence_s=ABSENCE_S,
            own_host="near",
            journalled=journalled,
        )
    )


def offer_from(host: str, zone: str) -> Offer:
    return Offer(NO_EPOCH, A, host, "1", OUTLINE, 1, zone)


@pytest.mark.parametrize(("host", "zone"), [("far", "far"), ("near", "rack 2"), ("far", "near")])
def test_a_host_whose_disk_alone_would_hold_accepted_input_is_refused(host: str, zone: str) -> None:
    registry = registry_of_pushed_input("orders", "visits")
    assert registry.offered(offer_from(host, zone), 0.0, None) is None
    refusal = registry.prepared("1", Prepared(NO_EPOCH, [], are_local=True))
    assert isinstance(refusal, InputAtRisk)
    assert "input of 'orders', 'visits' could be lost with host" in refusal.what
    assert "--journal-dir" in refusal.hint
    assert registry.standby == []


@pytest.mark.parametrize(
    ("host", "journalled", "are_local"),
    [
        pytest.param("near", ["orders"], True, id="on the initializer's machine"),
        pytest.param("far", ["orders"], False, id="with a folder that was chosen"),
        pytest.param("far", [], True, id="with sources that can be read again"),
    ],
)
def test_nothing_is_asked_of_hosts_with_which_no_input_is_lost(
    host: str, journalled: list[str], are_local: bool
) -> None:
    registry = registry_of_pushed_input(*journalled)
    assert registry.offered(offer_from(host, host), 0.0, None) is None
    assert registry.prepared("1", Prepared(NO_EPOCH, [], are_local)) is None
    assert registry.standby == ["1"]


def test_a_host_is_present_once_it_is_prepared() -> None:
    registry = new_registry()
    assert registry.offered(offer_of(A), 0.0, None) is None
    assert registry.awaited(1, ()) == Awaited([], 1)
    registry.prepared(A, prepared())
    assert registry.awaited(1, ()) == Awaited([A], 0)
    assert registry.form(1, (), (), MembersBefore(), 0.0) == [A]
    assert registry.holder(A) is None
    assert registry.assignments(0.0) == [Assignment(A, A)]
    assert registry.holder(A) is not None
    assert registry.names == [A]


@pytest.mark.parametrize("name", ["a/b", ".hidden", "-x", "a b", "a\n", "x" * 65, "ä"])
def test_a_name_that_cannot_be_part_of_a_file_name_is_refused(name: str) -> None:
    refusal = new_registry().offered(offer_of(name), 0.0, None)
    assert refusal == Refusal(
        f"{name!r} is not a valid name of a worker",
        "give --name up to 64 letters, digits, dots, dashes and underscores",
    )


@pytest.mark.parametrize("name", ["a", "worker-1.local_x", "7", "x" * 64])
def test_a_name_of_letters_digits_and_a_few_marks_is_accepted(name: str) -> None:
    assert new_registry().offered(offer_of(name), 0.0, None) is None


def test_a_host_with_another_application_is_refused() -> None:
    refusal = new_registry().offered(offer_of(A, outline=[OUTLINE[0], "sink file"]), 0.0, None)
    assert refusal == Refusal(
        "it has another application than the initializer: "
        "the plans differ: here is [sink TCP], and there is [sink file]",
        "give both the same code and arguments, and build the application without chance or time "
        "in it",
    )


def test_a_name_belongs_to_the_host_that_offered_it_first() -> None:
    registry = new_registry()
    registry.offered(offer_of(A, host="first"), 0.0, None)
    refusal = registry.offered(offer_of(A, host="second", instance="2"), 0.0, None)
    assert refusal == Refusal(
        "the name a is taken by host first",
        "give another name with --name, or end that one first",
    )


def test_a_refused_host_leaves_no_trace() -> None:
    registry = new_registry()
    registry.offered(offer_of("a/b"), 0.0, None)
    assert registry.names == []
    assert registry.silent(SILENCE_S + 1) == []
    assert registry.awaited(1, ()) == Awaited([], 1)


def test_an_agent_that_connects_again_is_recognized_by_its_instance() -> None:
    registry = new_registry()
    assert not registry.is_redial(offer_of(A))
    registry.offered(offer_of(A, instance="1"), 0.0, None)
    assert registry.is_redial(offer_of(A, instance="1"))
    assert not registry.is_redial(offer_of(A, instance="2"))


# Offers to a cluster that has been formed


@pytest.mark.parametrize(
    ("run", "together", "what"),
    [
        (run_of(A), 1, "a is a worker of the initializer's own host"),
        (run_of(B), 0, "Joining worker must supply a worker count greater than 0."),
    ],
)
def test_a_new_name_that_cannot_join_is_refused_with_its_offer(
    run: RunFacts, together: int, what: str
) -> None:
    refusal = new_registry().offered(offer_of(A, together=together), 0.0, run)
    assert refusal == Refusal(what, "see docs/hosts.md")


def test_the_host_of_a_member_may_be_replaced() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 1.0, has_process=True)
    arrive(registry, A, now_s=5.0, run=run_of(A), instance="2")
    assert registry.holder(A) == "2"
    assert registry.arrived("2", run_of(A)) is None


def test_a_host_that_was_not_heard_may_have_been_replaced_already() -> None:
    registry = new_registry()
    start_on(registry, A)
    assert registry.offered(offer_of(A, instance="2"), SUSPECTED_AFTER_S, run_of(A)) is not None
    now_s = SUSPECTED_AFTER_S + 0.1
    arrive(registry, A, now_s=now_s, run=run_of(A), instance="2")
    # It waits until the first one is lost, and until nothing of it can be left.
    assert registry.arrived("2", run_of(A)) is None
    assert registry.holder(A) == A
    registry.lost(A, now_s, has_process=True)
    assert registry.assignments(now_s) == []
    assert registry.assignments(now_s + ORPHAN_LIVES_S) == [Assignment("2", A)]


def test_a_host_that_arrives_alone_joins_immediately() -> None:
    registry = new_registry()
    arrive(registry, A, run=run_of(B))
    assert registry.arrived(A, run_of(B)) == Join([A])


def test_hosts_that_arrive_together_join_in_one_resize() -> None:
    registry = new_registry()
    run = run_of(C)
    arrive(registry, B, run=run, together=2)
    assert registry.arrived(B, run) == JoinWaits([B], 1)
    arrive(registry, A, run=run, together=2)
    assert registry.arrived(A, run) == Join([B, A])


def test_hosts_that_arrive_together_must_agree_on_their_number() -> None:
    registry = new_registry()
    arrive(registry, A, run=run_of(C), together=3)
    registry.arrived(A, run_of(C))
    refusal = registry.offered(offer_of(B, together=2), 0.0, run_of(C))
    assert refusal is not None
    assert "Current pending count is 3. You supplied 2." in refusal.what


def test_whether_a_host_can_join_is_asked_again_once_it_is_prepared() -> None:
    registry = new_registry()
    arrive(registry, A, run=run_of(B))
    why = "a is a worker of the initializer's own host"
    assert registry.arrived(A, run_of(A, B)) == Refusal(why, "")


def test_a_host_with_records_that_the_cluster_has_not_read_cannot_join() -> None:
    registry = new_registry()
    arrive(registry, A, run=run_of(B), records=4)
    answer = registry.arrived(A, run_of(B, epoch=3))
    assert isinstance(answer, Refusal)
    assert answer.what == (
        "its folder of journals has records of epoch 4, which this cluster at epoch 3 "
        "knows nothing of"
    )
    assert "--expect-workers" in answer.hint
    assert registry.arrived(A, run_of(B, epoch=4)) == Join([A])


def test_empty_journals_of_a_newer_epoch_do_not_prevent_joining() -> None:
    registry = new_registry()
    registry.offered(offer_of(A), 0.0, run_of(B))
    registry.prepared(A, prepared(newest=9, records=0))
    assert registry.arrived(A, run_of(B)) == Join([A])


def test_a_host_that_is_lost_while_it_waits_for_others_is_not_counted() -> None:
    registry = new_registry()
    run = run_of(C)
    arrive(registry, A, run=run, together=2)
    registry.arrived(A, run)
    registry.lost(A, 1.0, has_process=False)
    assert not registry.knows(A)
    arrive(registry, B, run=run, together=2)
    assert registry.arrived(B, run) == JoinWaits([B], 1)
    arrive(registry, A, run=run, together=2)
    assert registry.arrived(A, run) == Join([B, A])


def test_a_host_that_leaves_while_it_waits_for_others_is_not_counted() -> None:
    registry = new_registry()
    run = run_of(C)
    arrive(registry, A, run=run, together=2)
    registry.arrived(A, run)
    registry.forget(A)
    arrive(registry, B, run=run, together=2)
    assert registry.arrived(B, run) == JoinWaits([B], 1)


def test_a_host_that_is_lost_before_it_is_prepared_is_new_when_it_offers_again() -> None:
    registry = new_registry()
    registry.offered(offer_of(A), 0.0, run_of(B))
    registry.lost(A, 1.0, has_process=False)
    assert registry.names == []
    arrive(registry, A, run=run_of(B))
    assert registry.arrived(A, run_of(B)) == Join([A])


def test_a_host_that_leaves_takes_its_worker_out_of_the_cluster_first() -> None:
    registry = new_registry()
    assert registry.leaving(A, run_of(A, B)) is Leave.RESIZE
    assert registry.leaving(A, run_of(A)) is Leave.STOP
    assert registry.leaving(A, run_of(B)) is Leave.NOTHING


def test_a_forgotten_name_is_free_and_its_host_is_not_watched_any_more() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.forget(A)
    assert not registry.knows(A)
    assert registry.holder(A) is None
    assert registry.silent(SILENCE_S + 1) == []
    arrive(registry, A, instance="2")


def test_after_the_run_no_host_is_watched() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.forget_hosts()
    assert registry.holder(A) is None
    assert registry.silent(SILENCE_S + 1) == []


# Silence and loss


def test_a_host_that_sends_no_heartbeat_is_reported_once() -> None:
    registry = new_registry()
    arrive(registry, A)
    arrive(registry, B)
    assert registry.silent(SILENCE_S) == []
    registry.heard(B, SILENCE_S)
    assert registry.silent(SILENCE_S + 1) == [(A, SILENCE_S + 1)]
    assert registry.silent(SILENCE_S + 2) == []


def test_nobody_is_silent_if_the_initializer_itself_was_held_up() -> None:
    registry = new_registry()
    arrive(registry, A)
    registry.silent(0.0)
    assert registry.silent(100.0) == []
    assert registry.silent(100.0 + BEAT_S) == []


def test_a_name_is_free_when_an_orphan_has_ended() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 10.0, has_process=True)
    arrive(registry, A, now_s=11.0, instance="2")
    assert registry.holder(A) is None
    assert registry.lease_left_s(A, 11.0) == ORPHAN_LIVES_S - 1
    ends_s = registry.lease_ends_s()
    assert ends_s == 10.0 + ORPHAN_LIVES_S
    assert registry.assignments(ends_s) == [Assignment("2", A)]


def test_a_name_is_free_later_if_the_lost_agent_may_still_hear_us() -> None:
    registry = new_registry()
    start_on(registry, A)
    now_s = SILENCE_S + 1
    assert registry.silent(now_s) == [(A, now_s)]
    registry.lost(A, now_s, has_process=True)
    assert registry.lease_ends_s() == now_s + SILENCE_S + 2 * BEAT_S


def test_an_agent_that_connects_again_has_ended_its_own_process() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 10.0, has_process=True)
    arrive(registry, A, now_s=10.0)
    assert registry.holder(A) is not None


def test_nothing_is_left_of_a_host_without_a_process() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 10.0, has_process=False)
    arrive(registry, A, now_s=10.0, instance="2")
    assert registry.holder(A) is not None


# Hosts that accept any name


def test_a_start_names_hosts_after_the_members_of_the_last_checkpoint() -> None:
    registry = new_registry()
    for instance in "123":
        arrive(registry, "", instance=instance)
    names = [WorkerName(f"w{number}") for number in (1, 4, 6)]
    before = MembersBefore(names)
    assert registry.form(3, (), (names[0],), before, 0.0) == [names[1], names[2], "w7"]


def test_a_start_names_hosts_that_accept_any_name_beside_others() -> None:
    registry = new_registry()
    arrive(registry, "", instance="1")
    arrive(registry, "w1")
    assert registry.form(2, (), (), MembersBefore(), 0.0) == ["w2", "w1"]
    assert registry.assignments(0.0) == [
        Assignment("w1", WorkerName("w1")),
        Assignment("1", WorkerName("w2")),
    ]


def test_a_host_that_accepts_any_name_stands_by() -> None:
    registry = new_registry()
    start_on(registry, A)
    arrive(registry, "", instance="2", run=run_of(A))
    assert registry.arrived("2", run_of(A)) is None
    assert registry.standby == ["2"]
    registry.lost(A, 1.0, has_process=False)
    assert registry.assignments(1.0) == [Assignment("2", A)]


def test_a_cluster_grows_by_hosts_if_enough_stand_by() -> None:
    registry = new_registry(standby_max=1)
    start_on(registry, A)
    arrive(registry, "", instance="2", run=run_of(A))
    assert registry.arrived("2", run_of(A)) is None
    arrive(registry, "", instance="3", run=run_of(A))
    assert registry.arrived("3", run_of(A)) == Join([WorkerName("w1")])


def test_a_cluster_does_not_grow_while_a_host_in_reserve_waits_for_the_name_of_a_lost_one() -> None:
    registry = new_registry(standby_max=1)
    run = run_of(A)
    start_on(registry, A)
    arrive(registry, "", instance="2", run=run)
    registry.lost(A, 1.0, has_process=True)
    arrive(registry, "", now_s=2.0, instance="3", run=run)
    assert registry.arrived("3", run) is None
    assert registry.assignments(10.0) == [Assignment("2", A)]
    assert registry.standby == ["3"]


# Presence


def test_a_worker_waits_for_another_host_from_the_loss_on() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 10.0, has_process=True)
    assert registry.holder(A) is None
    assert registry.knows(A)
    assert registry.absent_until_s(A, 30.0) == 10.0 + ABSENCE_S


def test_a_worker_that_no_host_has_offered_waits_from_now_on() -> None:
    assert new_registry().absent_until_s(A, 30.0) == 30.0 + ABSENCE_S


def test_the_replacement_of_a_host_may_be_lost_before_it_is_prepared() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 0.0, has_process=True)
    registry.offered(offer_of(A, instance="2"), 5.0, run_of(A))
    registry.lost("2", 10.0, has_process=False)
    assert registry.knows(A)
    assert registry.absent_until_s(A, 30.0) == ABSENCE_S


def test_the_time_of_a_loss_is_forgotten_once_the_host_is_back() -> None:
    registry = new_registry()
    start_on(registry, A)
    registry.lost(A, 10.0, has_process=True)
    arrive(registry, A, now_s=20.0)
    assert registry.absent_until_s(A, 50.0) == 50.0 + ABSENCE_S


def test_a_start_waits_for_prepared_hosts_in_the_order_of_their_offers() -> None:
    registry = new_registry()
    registry.offered(offer_of(C), 0.0, None)
    arrive(registry, B)
    assert registry.awaited(2, ()) == Awaited([B], 1)
    registry.prepared(C, prepared())
    assert registry.awaited(2, ()) == Awaited([C, B], 0)


def test_a_start_takes_no_more_hosts_than_it_expects() -> None:
    registry = new_registry()
    for worker in (C, B, A):
        arrive(registry, worker)
    assert registry.awaited(2, ()) == Awaited([C, B], 0)


def test_a_start_that_expects_names_counts_no_others() -> None:
    registry = new_registry()
    for worker in (C, A):
        arrive(registry, worker)
    assert registry.awaited(2, (A, B)) == Awaited([A], 1)


def test_a_lost_host_is_awaited_again() -> None:
    registry = new_registry()
    arrive(registry, A)
    registry.lost(A, 1.0, has_process=False)
    assert registry.awaited(1, ()) == Awaited([], 1)


def test_the_newest_epoch_is_that_of_any_journal_on_a_prepared_host() -> None:
    registry = new_registry()
    assert registry.newest_epoch == 0
    registry.offered(offer_of(A), 0.0, None)
    registry.offered(offer_of(B), 0.0, None)
    registry.prepared(A, prepared(newest=7))
    registry.prepared(B, prepared(newest=5, records=5))
    assert registry.newest_epoch == 7


def test_a_supervisor_keeps_as_many_hosts_as_are_wanted() -> None:
    registry = new_registry(standby_max=1)
    assert registry.counts(2) == HostCounts(wanted=3, here=0, standby=0, absent=[])
    start_on(registry, A, B)
    arrive(registry, "", instance="3", run=run_of(A, B))
    assert registry.counts(2) == HostCounts(wanted=3, here=2, standby=1, absent=[])
    registry.lost(A, 1.0, has_process=True)
    assert registry.counts(2) == HostCounts(wanted=3, here=1, standby=1, absent=[A])
    registry.want([C], 1.0)
    assert registry.counts(2).wanted == 4


def test_a_start_waits_for_all_hosts_whose_input_the_last_checkpoint_needs() -> None:
    registry = new_registry()
    before = MembersBefore([A, B, C], [A, B, C])
    arrive(registry, A)
    arrive(registry, B)
    assert registry.awaited(1, (), before.needed) == Awaited([A, B], 1, [C])
    arrive(registry, C)
    assert registry.awaited(1, (), before.needed) == Awaited([A, B, C], 0)
    assert registry.form(1, (), (), before, 0.0) == [A, B, C]


def test_hosts_that_accept_any_name_first_get_those_whose_input_is_needed() -> None:
    registry = new_registry()
    arrive(registry, "", instance="1")
    arrive(registry, "", instance="2")
    assert registry.form(1, (), (), MembersBefore([A, B, C], [C, B]), 0.0) == [C, B]
