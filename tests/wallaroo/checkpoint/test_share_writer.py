"""A worker's share of a checkpoint: what it says of the barrier, and of how long records waited."""

from typing import Any

import wallaroo
from tests.wallaroo.operators.mesh import application, payloads, tcp_sink
from wallaroo.checkpoint.manifest import PartRef, SinkShare, WorkerCheckpoint
from wallaroo.checkpoint.parts import read_chunks
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.share_writer import Limits, ShareWriter, SourcePositions
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, PartitionId, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions

ME = WorkerName("w1")
FIRST = CheckpointId(1)
SEVENTH, NINTH = PartitionId(7), PartitionId(9)
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

    def __init__(self, limits: Limits | None = None) -> None:
        plan = (
            application()
            .to_state_partition(touch, Slow, "words", first_letter)
            .to_sink(tcp_sink())
            .build()
        )
        self.flow = Dataflow(plan, ME, DataflowOptions(tracks_changes=True))
        self.flow.bind((ME,), {each.state: each for each in initial_maps(plan, (ME,))})
        self.saving = ShareWriter(
            ME, Epoch(1), self.flow, lambda: Slow.clock_s, limits or Limits(), StatePickler(), self
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

    async def get(self, name: str) -> bytes:
        return self.parts[name]

    def describe(self, name: str) -> str:
        return name

    def feed(self, words: str) -> None:
        self.flow.run_source(0, payloads(words))

    def freeze(self) -> None:
        self.saving.freeze(FIRST, SourcePositions([], {}))

    def finish(self) -> WorkerCheckpoint:
        while self.saving.write_slice():
            pass
        self.saving.output_settled(FIRST, SinkShare())
        return self.saved[-1]

    def checkpoint(self, number: int) -> WorkerCheckpoint:
        """Take checkpoint ``number``, and commit it."""
        self.saving.freeze(CheckpointId(number), SourcePositions([], {}))
        while self.saving.write_slice():
            pass
        self.saving.output_settled(CheckpointId(number), SinkShare())
        self.saving.committed()
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


# Deleted keys


def restored(share: Share, content: WorkerCheckpoint) -> set[Any]:
    """Return the keys that the parts of a share hold, a later part instead of an earlier one."""
    found: dict[Any, Any] = {}
    for part in content.parts:
        for chunk in read_chunks(share.parts[part.name], part.name):
            found.update(zip(chunk.keys(), chunk.states(), strict=True))
    return {key for key, value in found.items() if value is not None}


async def at_once(_: float) -> None: ...


def test_deleted_keys_are_not_counted() -> None:
    share = Share()
    share.feed("apple pear")
    share.flow.states["words"].delete("a")
    assert share.checkpoint(1).key_counts == {"words": 1}


async def test_compaction_drops_a_tombstone_with_the_oldest_part_and_never_before() -> None:
    share = Share(Limits(copies_max=0, keys_spared=1))
    share.feed("apple pear")
    share.checkpoint(1)
    words = share.flow.states["words"]
    words.delete("a")
    share.checkpoint(2)
    for number in range(3, 8):
        await share.saving.compact(share, at_once)
        content = share.checkpoint(number)
        assert restored(share, content) == {"p"}
    assert {part.checkpoint for part in content.parts} & {1, 2} == set()
    assert sum(part.key_count for part in content.parts) < 3


def test_partitions_that_move_back_are_named_while_parts_from_before_are_listed() -> None:
    share = Share()
    share.feed("apple pear")
    share.checkpoint(1)
    share.saving.owners_changed(CheckpointId(2), gave=False, took={"words": [SEVENTH]})
    assert share.checkpoint(3).took == {}, "nothing has moved away that could come back"
    share.saving.owners_changed(CheckpointId(4), gave=True, took={"words": []})
    share.saving.owners_changed(CheckpointId(5), gave=False, took={"words": [SEVENTH, NINTH]})
    content = share.checkpoint(6)
    assert content.took == {"words": {5: [7, 9]}}
    assert content.gave_at == 4
    share.saving.mark_all_changed()
    assert share.checkpoint(7).took == {}


def test_a_new_life_goes_on_naming_partitions_that_moved_back() -> None:
    share = Share()
    part = PartRef("parts/0000000001/w1-1-0-0", FIRST, 0, 1, 1)
    share.saving.restored([part], CheckpointId(4), {"words": {5: [7]}})
    assert share.checkpoint(6).took == {"words": {5: [7]}}
