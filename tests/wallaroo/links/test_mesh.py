"""Which workers a worker links to, and what it tells all of them."""

import pytest

from tests.wallaroo.links.ends import (
    CHECKPOINT,
    E1,
    E2,
    EDGE,
    ME,
    A,
    B,
    Links,
    batch,
    connected,
    dialed,
)
from wallaroo.links.back_pressure import Pressure
from wallaroo.wire.data_frames import Ack, Barrier, BatchFrame, LinkWelcome
from wallaroo.wire.data_frames import Pressure as PressureFrame

MYSELF = (ME, E1, "me:1")
TO_A, TO_B = (A, E1, "a:1"), (B, E1, "b:1")


def test_a_worker_dials_all_members_but_itself() -> None:
    links = Links()
    links.follow(MYSELF, TO_A, TO_B)
    assert links.dialed == [TO_A, TO_B]
    assert links.mesh.members == (A, B)


def test_a_link_knows_how_many_workers_dial_the_same_one() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    links.mesh.link([MYSELF, TO_B])
    assert links.dialer_counts == [1, 2]


def test_a_member_that_stays_is_not_dialed_again() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    links.follow(MYSELF, TO_A, TO_B)
    assert links.dialed == [TO_A, TO_B]


def test_the_link_to_a_restarted_member_goes_to_its_new_address() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    links.follow(MYSELF, (A, E2, "a:2"))
    link = links.mesh.outgoing[A]
    assert (link.address, link.hello.receiver_incarnation) == ("a:2", E2)
    assert links.dialed == [TO_A]


def test_the_link_to_a_member_that_left_is_closed() -> None:
    links = Links()
    links.follow(MYSELF, TO_A, TO_B)
    connection = connected(links.mesh.outgoing[B])
    links.follow(MYSELF, TO_A)
    assert connection.aborted
    assert links.mesh.outgoing.keys() == {A}


def test_workers_that_are_about_to_join_are_linked_to_and_get_no_barriers() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    links.mesh.link([MYSELF, TO_A, TO_B])
    to_a, to_b = (connected(links.mesh.outgoing[each]) for each in (A, B))
    links.mesh.send_barrier(E1, CHECKPOINT, EDGE)
    assert to_a.frames == [Barrier(1, E1, CHECKPOINT, EDGE)]
    assert to_b.frames == []


def test_when_a_resize_is_called_off_links_to_those_who_would_have_joined_are_closed() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    links.mesh.link([TO_B])
    connection = connected(links.mesh.outgoing[B])
    links.mesh.unlink()
    assert connection.aborted
    assert links.mesh.outgoing.keys() == {A}


def test_a_mesh_is_connected_once_every_link_stands() -> None:
    links = Links()
    links.follow(MYSELF, TO_A, TO_B)
    waiting = links.mesh.connected()
    waiting.send(None)
    connected(links.mesh.outgoing[B])
    connected(links.mesh.outgoing[A])
    with pytest.raises(StopIteration):
        waiting.send(None)


def test_the_backlog_is_that_of_all_links() -> None:
    links = Links()
    links.follow(MYSELF, TO_A, TO_B)
    for link in links.mesh.outgoing.values():
        link.send_batch(batch())
    first, second = (link.backlog_bytes for link in links.mesh.outgoing.values())
    assert links.mesh.backlog_bytes == first + second > 0


def test_the_begin_and_the_end_of_pressure_are_told_to_all_who_dialed_and_nothing_between() -> None:
    links = Links(Pressure(100, 50))
    connections = [dialed(links.mesh.incoming, each)[1] for each in (A, B)]
    for backlog_bytes in (10, 101, 200, 51, 50, 40):
        links.mesh.backlog_changed(backlog_bytes)
    for connection in connections:
        assert connection.frames == [
            LinkWelcome(0, False),
            PressureFrame(is_under_pressure=True),
            PressureFrame(is_under_pressure=False),
        ]


def test_who_dials_under_pressure_hears_of_it_at_once() -> None:
    links = Links(Pressure(100, 50))
    links.mesh.backlog_changed(101)
    _, connection = dialed(links.mesh.incoming)
    assert connection.frames == [LinkWelcome(0, True)]


def test_every_sender_hears_what_is_processed() -> None:
    links = Links()
    ends = [dialed(links.mesh.incoming, each) for each in (A, B)]
    ends[1][0].processed(BatchFrame(1, EDGE, 1, 2, b""))
    links.mesh.acknowledge()
    assert [connection.taken()[1:] for _, connection in ends] == [[], [Ack(1)]]


def test_the_end_of_an_epoch_closes_links_in_both_directions() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    to_a, (_, from_a) = connected(links.mesh.outgoing[A]), dialed(links.mesh.incoming)
    links.mesh.close()
    assert to_a.aborted
    assert from_a.aborted


def test_a_member_that_processes_something_lets_the_worker_look_at_its_backlog_again() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    connected(links.mesh.outgoing[A])
    assert links.progress_count == 1


def test_links_that_go_away_when_everything_is_through_are_no_loss() -> None:
    links = Links()
    links.follow(MYSELF, TO_A)
    links.mesh.end()
    assert links.mesh.outgoing[A].is_ending
    assert not connected(links.mesh.outgoing[A]).aborted, "it still takes what is on its way"
