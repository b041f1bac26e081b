"""The sending end of a link: what goes over which connection, and what waits for the next one."""

from collections.abc import Coroutine
from typing import Any

import pytest

from tests.wallaroo.links.ends import (
    CHECKPOINT,
    E1,
    E2,
    EDGE,
    B,
    NotedConnection,
    batch,
    connected,
    content_of,
    hello_to,
    new_outgoing,
)
from wallaroo.errors import ProtocolError
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.dial_pauses import BACK_OFF_FIRST_S, BACK_OFF_MAX_S, DialPauses
from wallaroo.wire.data_frames import Ack, Barrier, BatchFrame, LinkWelcome
from wallaroo.wire.data_frames import Pressure as PressureFrame

FIRST = BatchFrame(1, EDGE, 1, 2, b"first", 5)
SECOND = BatchFrame(2, EDGE, 1, 2, b"second", 5)


def test_what_is_sent_before_a_connection_stands_goes_over_the_first_one() -> None:
    link = new_outgoing()
    link.send_batch(batch(b"first"))
    assert not link.connected.is_set()
    connection = connected(link)
    assert link.connected.is_set()
    link.send_batch(batch(b"second"))
    assert connection.frames == [FIRST, SECOND]


def test_a_barrier_goes_behind_all_batches() -> None:
    link = new_outgoing()
    connection = connected(link)
    link.send_batch(batch(b"first"))
    link.send_barrier(E1, CHECKPOINT, EDGE)
    assert connection.frames == [FIRST, Barrier(2, E1, CHECKPOINT, EDGE)]


def test_after_a_break_the_next_connection_begins_behind_what_the_receiver_has_processed() -> None:
    link = new_outgoing()
    connected(link)
    link.send_batch(batch(b"first"))
    link.send_batch(batch(b"second"))
    assert link.disconnected()
    assert connected(link, processed=1).frames == [SECOND]
    assert link.connection_count == 2


def test_a_backlog_is_what_the_receiver_has_not_processed() -> None:
    link = new_outgoing()
    connection = connected(link)
    assert link.backlog_bytes == 0
    link.send_batch(batch())
    assert link.backlog_bytes > 0
    link.received(connection, link.hello, content_of(Ack(1)))
    assert link.backlog_bytes == 0


def test_an_acknowledgement_of_what_was_never_sent_breaks_the_protocol() -> None:
    link = new_outgoing()
    connection = connected(link)
    with pytest.raises(ProtocolError, match="acknowledges frame 1"):
        link.received(connection, link.hello, content_of(Ack(1)))


def test_a_frame_for_the_listening_side_breaks_the_protocol() -> None:
    link = new_outgoing()
    with pytest.raises(ProtocolError, match="BatchFrame"):
        link.received(NotedConnection(), link.hello, content_of(FIRST))


def test_the_receivers_pressure_pauses_sources_here_until_it_ends() -> None:
    pressure = Pressure()
    link = new_outgoing(pressure)
    connection = connected(link, pressed=True)
    assert pressure.causes == [B]
    link.received(connection, link.hello, content_of(PressureFrame(is_under_pressure=False)))
    assert not pressure.must_pause


def test_a_worker_whose_link_is_lost_keeps_no_source_paused() -> None:
    pressure = Pressure()
    link = new_outgoing(pressure)
    connected(link, pressed=True)
    link.disconnected()
    assert not pressure.must_pause


def test_to_a_successor_everything_unprocessed_is_sent_again_from_number_one() -> None:
    link = new_outgoing()
    old = connected(link)
    link.send_batch(batch(b"processed"))
    link.send_batch(batch(b"first"))
    link.received(old, link.hello, content_of(Ack(1)))
    link.retarget(E2, "b:2")
    assert (link.address, link.hello) == ("b:2", hello_to(B, E2))
    assert old.aborted
    assert not link.connected.is_set()
    link.disconnected()
    assert connected(link).frames == [FIRST]


def test_the_same_incarnation_at_another_address_changes_nothing() -> None:
    link = new_outgoing()
    connection = connected(link)
    link.retarget(E1, "elsewhere:1")
    assert (link.address, connection.aborted) == ("b:1", "")


def test_a_welcome_of_the_process_before_the_restart_does_not_count() -> None:
    link = new_outgoing()
    before, hello = NotedConnection(), link.hello
    link.retarget(E2, "b:2")
    link.received(before, hello, content_of(LinkWelcome(0, False)))
    assert before.aborted
    assert not link.connected.is_set()


def test_a_closed_link_takes_no_connection_any_more() -> None:
    link = new_outgoing()
    connection = connected(link)
    link.close()
    assert connection.aborted
    late = connected(link)
    assert late.aborted
    assert late.frames == []


# Who dials


class Dialing:
    """Drives ``keep_connected`` by hand: what each attempt comes to, and the pauses between."""

    def __init__(self, *fails: bool) -> None:
        self.link = new_outgoing()
        self.pauses_s: list[float] = []
        self._fails = [*fails]

    async def dial(self) -> None:
        if not self._fails:
            self.link.close()
            raise OSError
        if self._fails.pop(0):
            raise OSError
        connected(self.link)
        self.link.disconnected()

    async def pause(self, delay_s: float) -> None:
        self.pauses_s.append(delay_s)

    def run(self) -> list[float]:
        finish(self.link.keep_connected(self.dial, self.pause, DialPauses(1, lambda: 1.0)))
        return self.pauses_s


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never has to wait."""
    with pytest.raises(StopIteration):
        work.send(None)


def test_a_worker_that_is_not_there_is_dialed_again_after_ever_longer_pauses() -> None:
    pauses_s = Dialing(*[True] * 10).run()
    assert pauses_s[:3] == [BACK_OFF_FIRST_S, 2 * BACK_OFF_FIRST_S, 4 * BACK_OFF_FIRST_S]
    assert max(pauses_s) == pauses_s[-1] == BACK_OFF_MAX_S


def test_after_a_connection_stood_pauses_begin_anew() -> None:
    assert Dialing(True, True, False).run()[2] == BACK_OFF_FIRST_S


def test_progress_is_told_for_every_acknowledgement_pressure_and_loss() -> None:
    told: list[str] = []
    link = new_outgoing(on_progress=lambda: told.append("progress"))
    connection = connected(link)
    link.send_batch(batch())
    link.received(connection, link.hello, content_of(Ack(1)))
    link.received(connection, link.hello, content_of(PressureFrame(is_under_pressure=True)))
    link.disconnected()
    assert len(told) == 4
