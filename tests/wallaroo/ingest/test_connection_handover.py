"""Who gets which connection of a worker that leaves, and what becomes of those given in vain."""

from wallaroo.ingest.connection_handover import ConnectionCopy, Offer, StagedConnections, distribute
from wallaroo.names import WorkerName

W1, W2 = WorkerName("w1"), WorkerName("w2")
RESIZE = 7


class Stream:
    """A connection that only knows whether it is closed."""

    is_closed = False

    def dup(self) -> "Stream":
        return Stream()

    def close(self) -> None:
        self.is_closed = True

    def fileno(self) -> int:
        return 0


def connections(count: int) -> tuple[list[ConnectionCopy], list[Stream]]:
    streams = [Stream() for _ in range(count)]
    return [ConnectionCopy(0, b"", stream) for stream in streams], streams


def test_each_taker_gets_as_many_as_can_be() -> None:
    copies, _ = connections(11)
    shares = distribute(W1, copies, ["a", "b", "c", "d"])
    assert sorted(map(len, shares.values())) == [2, 3, 3, 3]
    dealt = [each for share in shares.values() for each in share]
    assert sorted(map(id, dealt)) == sorted(map(id, copies))


def test_givers_of_one_connection_do_not_all_choose_the_same_taker() -> None:
    copies, _ = connections(1)
    chosen = {
        next(iter(distribute(WorkerName(f"w{n}"), copies, ["a", "b", "c"]))) for n in range(20)
    }
    assert chosen == {"a", "b", "c"}


def test_what_a_giver_kept_is_dropped_and_the_rest_taken() -> None:
    aside = StagedConnections()
    copies, streams = connections(2)
    in_vain, closed = connections(2)
    aside.stage(Offer(RESIZE, W1, 1), copies)
    aside.stage(Offer(RESIZE, W2, 1), in_vain)
    assert aside.take(W1, 1) == copies
    aside.drop()
    assert all(stream.is_closed for stream in closed)
    assert not any(stream.is_closed for stream in streams)
    assert aside.take(W2, 1) == []


def test_a_second_offer_of_one_giver_takes_the_place_of_the_first() -> None:
    aside = StagedConnections()
    first, closed = connections(1)
    second, _ = connections(1)
    aside.stage(Offer(RESIZE, W1, 1), first)
    aside.stage(Offer(RESIZE, W1, 2), second)
    assert [stream.is_closed for stream in closed] == [True]
    assert aside.take(W1, 2) == second


def test_what_came_by_an_attempt_that_others_did_not_take_is_not_taken() -> None:
    aside = StagedConnections()
    copies, streams = connections(1)
    aside.stage(Offer(RESIZE, W1, 1), copies)
    # The answer was lost: all went to others at the second attempt, or nobody got anything.
    assert aside.take(W1, 2) == aside.take(W1, 0) == []
    aside.drop()
    assert streams[0].is_closed
