"""The receiving ends of links: which workers may dial, and what the sender is told."""

import pytest

from tests.wallaroo.links.ends import (
    CHECKPOINT,
    E1,
    E2,
    EDGE,
    ME,
    A,
    B,
    NotedConnection,
    content_of,
    dialed,
    new_incoming,
)
from wallaroo.errors import ProtocolError
from wallaroo.links.incoming import IncomingLink
from wallaroo.wire.data_frames import (
    Ack,
    Barrier,
    BatchFrame,
    LinkHello,
    LinkWelcome,
    NumberedFrame,
)
from wallaroo.wire.data_frames import Pressure as PressureFrame
from wallaroo.wire.data_link import ACK_FRAMES_MAX


def frame(sequence: int) -> BatchFrame:
    return BatchFrame(sequence, EDGE, 1, 2, b"records")


def test_a_worker_that_dials_is_told_where_to_go_on_and_whether_to_pause() -> None:
    _, connection = dialed(new_incoming(pressed=True))
    assert connection.frames == [LinkWelcome(0, True)]


def test_a_frame_is_handed_on_once_however_often_it_arrives() -> None:
    got: list[NumberedFrame] = []
    links = new_incoming(lambda _, frame: got.append(frame))
    link, connection = dialed(links)
    for sequence in (1, 2, 2, 1, 3):
        links.received(link, connection, content_of(frame(sequence)))
    assert got == [frame(1), frame(2), frame(3)]


def test_a_frame_that_skips_one_breaks_the_protocol() -> None:
    links = new_incoming()
    link, connection = dialed(links)
    with pytest.raises(ProtocolError, match="frame 2 follows 0"):
        links.received(link, connection, content_of(frame(2)))


def test_a_link_that_dials_anew_goes_on_and_its_old_connection_ends() -> None:
    links = new_incoming()
    link, old = dialed(links)
    links.received(link, old, content_of(frame(1)))
    link.processed(frame(1))
    again, new = dialed(links)
    assert again is link
    assert old.aborted
    assert new.frames == [LinkWelcome(1, False)]


def test_the_loss_of_an_old_connection_does_not_touch_the_new_one() -> None:
    links = new_incoming()
    link, old = dialed(links)
    _, new = dialed(links)
    link.detach(old)
    link.send_pressure(is_under_pressure=True)
    assert new.frames[-1] == PressureFrame(is_under_pressure=True)


def test_without_a_connection_nothing_is_reported() -> None:
    link, connection = dialed(new_incoming())
    link.detach(connection)
    link.processed(frame(1))
    link.acknowledge()
    link.send_pressure(is_under_pressure=True)
    assert connection.frames == [LinkWelcome(0, False)]


def test_the_sender_hears_of_many_processed_frames_at_once() -> None:
    links = new_incoming()
    link, connection = dialed(links)
    for sequence in range(1, ACK_FRAMES_MAX):
        link.processed(frame(sequence))
    assert connection.taken() == [LinkWelcome(0, False)]
    link.processed(frame(ACK_FRAMES_MAX))
    assert connection.taken() == [Ack(ACK_FRAMES_MAX)]
    link.acknowledge()
    assert connection.taken() == [], "it has been told"


def test_few_processed_frames_are_told_when_somebody_asks() -> None:
    link, connection = dialed(new_incoming())
    connection.taken()
    link.processed(Barrier(1, E1, CHECKPOINT, EDGE))
    assert connection.taken() == []
    link.acknowledge()
    assert connection.taken() == [Ack(1)]


def test_a_worker_that_was_started_anew_begins_at_one() -> None:
    got: list[tuple[IncomingLink, NumberedFrame]] = []
    links = new_incoming(lambda link, frame: got.append((link, frame)))
    old, connection = dialed(links)
    links.received(old, connection, content_of(frame(1)))
    new, connection = dialed(links, incarnation=E2)
    links.received(new, connection, content_of(frame(1)))
    assert new is not old
    assert got == [(old, frame(1)), (new, frame(1))]
    assert links.all == [new]


def test_a_process_that_was_given_up_for_lost_is_refused() -> None:
    links = new_incoming()
    dialed(links, incarnation=E2)
    with pytest.raises(ProtocolError, match="replaced"):
        dialed(links, incarnation=E1)


@pytest.mark.parametrize(
    "hello", [LinkHello(A, E1, B, E1), LinkHello(A, E1, ME, E2)], ids=["other worker", "epoch"]
)
def test_a_worker_that_wants_somebody_else_is_refused(hello: LinkHello) -> None:
    with pytest.raises(ProtocolError, match="me of epoch 1"):
        new_incoming().received(None, NotedConnection(), content_of(hello))


def test_a_link_begins_with_its_hello_and_has_only_one() -> None:
    links = new_incoming()
    with pytest.raises(ProtocolError, match="not BatchFrame"):
        links.received(None, NotedConnection(), content_of(frame(1)))
    link, connection = dialed(links)
    with pytest.raises(ProtocolError, match="LinkHello"):
        links.received(link, connection, content_of(LinkHello(A, E1, ME, E1)))


def test_when_the_epoch_is_over_nothing_counts_and_nobody_gets_in() -> None:
    got: list[NumberedFrame] = []
    links = new_incoming(lambda _, frame: got.append(frame))
    link, connection = dialed(links)
    links.close()
    assert connection.aborted
    links.received(link, connection, content_of(frame(1)))
    assert got == []
    with pytest.raises(ProtocolError):
        dialed(links, B)
