"""A worker's share of a checkpoint: what it says of the barrier, and of how long records waited."""

from typing import Any

import wallaroo
from tests.wallaroo.operators.mesh import application, payloads, tcp_sink
from wallaroo.checkpoint.manifest import SinkShare, WorkerCheckpoint
from wallaroo.checkpoint.parts import read_chunks
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.share_writer import Limits, ShareWriter, SourcePositions
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions

ME = WorkerName("w1")
FIRST = CheckpointId(1)
SLOW_S = 0.25


class Slow:
    """A state that takes long to be pickled."""

    clock_s = 0.0

    def __reduce__(self) -> tuple[type["Slow"], tuple[()]]:
        Slow.clock_s += SLOW_S
        return Slow, ()


first_letter = wallaroo.partition(lambda word: word[0])


@wallaroo.state_computation("touch")
def touch(word: str, _state: Slow) -> tuple[str, bool]:
    return word, True


class Share:
    """One worker with one state, and what it saves."""

    def __init__(self) -> None:
        plan = (
            application()
            .to_state_partition(touch, Slow, "words", first_letter)
            .to_sink(tcp_sink())
            .build()
        )
        self.flow = Dataflow(plan, ME, DataflowOptions(tracks_changes=True))
        self.flow.bind((ME,), {each.state: each for each in initial_maps(plan, (ME,))})
        self.saving = ShareWriter(
            ME, Epoch(1), self.flow, lambda: Slow.clock_s, Limits(), StatePickler(), self
        )
        self.parts: dict[str, bytes] = {}
        self.saved: list[WorkerCheckpoint] = []

    def share_saved(self, content: WorkerCheckpoint) -> None:
        self.saved.append(content)

    def share_failed(self, error: WallarooError) -> None:
        raise error

    def part_written(self, name: str, data: bytes) -> None:
        self.parts[name] = data
        self.saving.part_stored(name, None)

    def feed(self, words: str) -> None:
        self.flow.run_source(0, payloads(words))

    def freeze(self) -> None:
        self.saving.freeze(FIRST, SourcePositions([], {}))

    def finish(self) -> WorkerCheckpoint:
        while self.saving.write_slice():
            pass
        self.saving.output_settled(FIRST, SinkShare())
        return self.saved[-1]

    def written(self) -> set[Any]:
        chunks = [chunk for name, data in self.parts.items() for chunk in read_chunks(data, name)]
        return set().union(*(chunk.keys() for chunk in chunks))


def test_a_share_counts_the_keys_that_were_there_at_the_barrier() -> None:
    share = Share()
    share.feed("apple pear")
    share.freeze()
    share.feed("cherry")
    assert share.finish().key_counts == {"words": 2}
    assert share.written() == {"a", "p"}


def test_a_share_says_how_long_a_slice_took() -> None:
    share = Share()
    share.feed("apple pear")
    share.freeze()
    assert share.finish().pause_s == 2 * SLOW_S


def test_copies_of_states_that_were_about_to_change_are_waited_for_too() -> None:
    share = Share()
    share.feed("apple pear cherry")
    share.freeze()
    share.feed("apricot plum citron")
    assert share.finish().pause_s == 3 * SLOW_S


def test_a_barrier_is_waited_for_until_sources_go_on() -> None:
    share = Share()
    share.saving.hold()
    Slow.clock_s += 1.0
    share.freeze()
    share.saving.resume()
    assert share.finish().pause_s == 1.0


def test_what_one_checkpoint_was_waited_for_is_not_said_of_the_next() -> None:
    share = Share()
    share.feed("apple")
    share.freeze()
    share.finish()
    share.saving.committed()
    share.freeze()
    assert share.finish().pause_s == 0.0
