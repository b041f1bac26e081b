"""Listening sources of one worker: how a change of the members takes and brings connections."""

from typing import Any

import pytest

from tests.wallaroo.ingest.senders import (
    NotedListener,
    NotedReader,
    NotedStream,
    new_listening,
)
from wallaroo.ingest.connection_handover import ConnectionCopy

ADDRESSES = ["first:1", "second:2"]


async def no_pause(_: float) -> None:
    raise AssertionError("there is nothing to wait for")


async def test_all_listeners_listen_once_each_at_its_own_address() -> None:
    listeners = NotedListener(), NotedListener()
    sources, _ = new_listening(*listeners)
    await sources.listen(ADDRESSES)
    await sources.listen(["elsewhere:1", "elsewhere:2"])
    assert [each.address for each in listeners] == ADDRESSES


async def test_a_worker_that_closes_its_sources_may_listen_again() -> None:
    listener = NotedListener()
    sources, _ = new_listening(listener)
    await sources.listen(ADDRESSES)
    await sources.close()
    assert listener.done == ["drained"]
    await sources.listen(["again:1"])
    assert listener.address == "again:1"


async def test_before_connections_are_given_away_all_that_was_read_is_taken() -> None:
    listener = NotedListener()
    sources, intake = new_listening(listener)
    reader = NotedReader()
    intake.add(reader)
    intake.reserve(5)
    pauses = 0

    async def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        assert reader.is_paused(), "nothing more may be read meanwhile"
        if pauses == 3:
            intake.free(5)

    await sources.pause_reading(pause)
    assert pauses == 3
    assert listener.done == ["stopped accepting"]
    await sources.listen(ADDRESSES)
    assert listener.address == ADDRESSES[0], "it accepts again only if it is told to"
    sources.resume_reading()
    assert not reader.is_paused()


async def test_a_worker_that_goes_back_reads_the_connections_it_was_about_to_give_away() -> None:
    listener = NotedListener()
    sources, intake = new_listening(listener)
    reader = NotedReader()
    intake.add(reader)
    await sources.pause_reading(no_pause)
    sources.rewind()
    assert not reader.is_paused()
    assert listener.done[-1] == "rewound"


def new_copy(pipeline: int = 0, stream: Any = None) -> ConnectionCopy:
    return ConnectionCopy(pipeline, b"begin", stream or NotedStream())


def test_connections_that_were_taken_over_wait_until_they_may_be_read_on() -> None:
    listeners = NotedListener(), NotedListener()
    sources, _ = new_listening(*listeners)
    first, second = new_copy(0), new_copy(1)
    sources.take_over([first, second])
    assert [each.taken_over for each in listeners] == [[], []]
    sources.read_on()
    sources.read_on()
    assert [each.taken_over for each in listeners] == [[first], [second]]


def test_connections_that_wait_are_given_on_as_copies_with_those_that_are_read() -> None:
    own = new_copy()
    sources, _ = new_listening(NotedListener(own))
    stream = NotedStream()
    sources.take_over([new_copy(0, stream)])
    waiting, read = sources.copies()
    assert waiting == ConnectionCopy(0, b"begin", stream.copies[0])
    assert read is own


def test_if_one_connection_cannot_be_copied_the_copies_made_before_are_closed() -> None:
    sources, _ = new_listening(NotedListener())
    fine, full = NotedStream(), NotedStream(copies_max=0)
    sources.take_over([new_copy(0, fine), new_copy(0, full)])
    with pytest.raises(OSError, match="too many open files"):
        sources.copies()
    assert [each.is_closed for each in fine.copies] == [True]
    assert not fine.is_closed


@pytest.mark.parametrize("way", ["let go", "close"])
async def test_connections_that_were_never_read_on_are_closed_at_the_end(way: str) -> None:
    listener = NotedListener()
    sources, _ = new_listening(listener)
    stream = NotedStream()
    sources.take_over([new_copy(0, stream)])
    if way == "close":
        await sources.close()
    else:
        sources.detach()
    assert stream.is_closed
    sources.read_on()
    assert listener.taken_over == []


def test_a_worker_that_gave_its_connections_away_forgets_them() -> None:
    listener = NotedListener()
    sources, _ = new_listening(listener)
    sources.detach()
    assert listener.done == ["let go"]
