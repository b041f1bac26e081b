"""Manifests: there and back whole, and anything else refused with the place."""

from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.blocks import FileKind, encode_block, encode_header
from wallaroo.checkpoint.manifest import (
    ClockShare,
    JournalPosition,
    Manifest,
    OutboxBatch,
    PartRef,
    Prepared,
    StagedOutput,
    WorkerCheckpoint,
    decode_manifest,
    encode_manifest,
    manifest_name,
    manifest_number,
    outbox_name,
    part_name,
)
from wallaroo.errors import DamagedFileError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.timing.instants import END, Instant

counts = st.integers(0, 2**60)
texts = st.text("aZ0-é\ud800", max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**63) | texts | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def positions(draw: st.DrawFn) -> JournalPosition:
    offset = draw(counts)
    behind = st.integers(offset, offset + 999)
    return JournalPosition(draw(texts), offset, draw(st.dictionaries(behind, counts, max_size=3)))


def shares(name: str) -> st.SearchStrategy[WorkerCheckpoint]:
    parts = st.builds(PartRef, texts, st.integers(1, 7).map(CheckpointId), counts, counts, counts)
    barriers = st.integers(1, 7).map(CheckpointId)
    batches = st.builds(OutboxBatch, counts, texts, texts, counts, counts, counts, barriers)
    return st.builds(
        WorkerCheckpoint,
        worker=st.just(WorkerName(name)),
        parts=st.lists(parts, max_size=3),
        journals=st.lists(positions(), max_size=2),
        sources=st.dictionaries(counts, values, max_size=2),
        staged=st.lists(st.builds(StagedOutput, counts, texts, counts), max_size=2),
        key_counts=st.dictionaries(texts, counts, max_size=2),
        outbox=st.lists(batches, max_size=2),
        prepared=st.lists(st.builds(Prepared, counts, st.binary(max_size=4), barriers), max_size=2),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    members = draw(st.lists(texts, unique=True, max_size=3))
    return Manifest(
        number=CheckpointId(draw(st.integers(7, 2**33))),
        epoch=Epoch(draw(counts)),
        is_claim=draw(st.booleans()),
        application=draw(texts),
        outline=draw(st.lists(texts, max_size=3)),
        members=members,
        partition_maps=[PartitionMap.initial("s", 8, (("k", True),), [WorkerName("w")]).to_wire()],
        workers={name: draw(shares(name)) for name in members},
        file_lengths=draw(st.dictionaries(counts, counts, max_size=2)),
        taken_unix_s=draw(st.floats(0, 2e9)),
        duration_s=draw(st.floats(0, 60)),
        writer=draw(texts),
        lineage=draw(texts),
    )


PART = PartRef("parts/1", CheckpointId(1), 0, 10, 1)


def small() -> Manifest:
    part = PartRef(part_name(1, "w1", 1, 0, 0), CheckpointId(1), 0, 10, 1)
    share = WorkerCheckpoint(
        worker=WorkerName("w1"),
        parts=[part],
        journals=[JournalPosition("w1-0000000001", 10, {10: 3})],
        sources={1: "there"},
        staged=[StagedOutput(0, "staged/0000000001/w1-0", 5)],
        key_counts={"totals": 1},
    )
    return Manifest(
        number=CheckpointId(1),
        epoch=Epoch(1),
        is_claim=False,
        application="letters",
        outline=["a line"],
        members=["w1"],
        partition_maps=[],
        workers={"w1": share},
        file_lengths={0: 7},
        taken_unix_s=1.5,
        duration_s=0.25,
    )


@given(manifests())
def test_a_manifest_comes_back_as_it_was(manifest: Manifest) -> None:
    assert decode_manifest(encode_manifest(manifest), "m") == manifest


@given(shares("w1"))
def test_a_workers_share_comes_back_through_msgpack(share: WorkerCheckpoint) -> None:
    packed = msgpack.packb(share.to_wire(), unicode_errors="surrogatepass")
    value = msgpack.unpackb(packed, strict_map_key=False, unicode_errors="surrogatepass")
    assert WorkerCheckpoint.from_wire(value) == share


def changed(value: Any, path: list[int | str], new: object) -> Any:
    """Return `value`, in which what stands at `path` is `new`."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


SHARE: list[int | str] = [7, "w1"]


@pytest.mark.parametrize(
    ("path", "new", "problem"),
    [
        ([], 5, "Manifest must be a list of 15 values"),
        ([], [1], "Manifest must be a list of 15 values"),
        ([0], 0, "the first is 1"),
        ([0], True, "Manifest.number must be int, got bool"),
        ([1], -1, "Manifest.epoch must not be -1"),
        ([2], 1, "Manifest.is_claim must be bool, got int"),
        ([4], ["a", 1], "Manifest.outline must be str, got int"),
        ([5], {}, "Manifest.members must be list, got dict"),
        ([8], {"0": 1}, "Manifest.file_lengths must be int, got str"),
        ([9], float("nan"), "Manifest.taken_unix_s must not be nan"),
        ([9], 3, "Manifest.taken_unix_s must be float, got int"),
        (SHARE, [], "WorkerCheckpoint must be a list of 14 values"),
        ([*SHARE, 0], "w2", "worker 'w1' is given the share of 'w2'"),
        ([*SHARE, 1, 0, 3], None, "PartRef.byte_count must be int, got NoneType"),
        ([*SHARE, 2, 0, 1], 11, "processed up to 11"),
        ([*SHARE, 2, 0, 2], {10: "x"}, "JournalPosition.done must be int, got str"),
        ([*SHARE, 3], {"x": 1}, "WorkerCheckpoint.sources must be int, got str"),
        ([*SHARE, 4, 0], [0, "n"], "StagedOutput must be a list of 4 values"),
        ([*SHARE, 9], [[0, "w1"]], "OutboxBatch must be a list of 7 values"),
        ([*SHARE, 10], [[0, "token", 1]], "Prepared.token must be bytes, got str"),
    ],
)
def test_whatever_else_is_refused_by_its_field(
    path: list[int | str], new: object, problem: str
) -> None:
    value = changed(small().to_wire(), path, new)
    with pytest.raises(ValueError, match=problem):
        Manifest.from_wire(value)


@given(st.binary(max_size=60))
def test_a_body_that_is_not_a_manifest_is_damage_and_nothing_else(body: bytes) -> None:
    data = encode_header(FileKind.MANIFEST) + encode_block(body)
    with pytest.raises(DamagedFileError, match="not a manifest"):
        decode_manifest(data, "m")


def test_a_manifest_with_something_behind_it_is_damaged() -> None:
    with pytest.raises(DamagedFileError, match="2 blocks"):
        decode_manifest(encode_manifest(small()) + encode_block(b""), "m")


def test_names_sort_as_their_numbers_do_and_only_they_are_read_as_such() -> None:
    numbers = [1, 9, 10, 123456789]
    assert sorted(map(manifest_name, numbers)) == [manifest_name(number) for number in numbers]
    assert [manifest_number(manifest_name(number)) for number in numbers] == numbers
    for name in ("manifests/1", "manifests/000000000x", "0000000001", "manifests/١٢٣٤٥٦٧٨٩٠"):
        assert manifest_number(name) is None


def test_a_manifest_needs_its_parts() -> None:
    assert small().object_names() == {"parts/0000000001/w1-1-0-0"}
    assert [position.offset for position in small().journal_positions()] == [10]


def with_outbox(*batches: OutboxBatch) -> Manifest:
    share = replace(small().workers["w1"], outbox=[*batches])
    return replace(small(), workers={"w1": share})


def batch(sink: int, number: int, cut: int) -> OutboxBatch:
    name = outbox_name(cut, "w1", 2, sink, number)
    return OutboxBatch(sink, "w1", name, number, 3, 100, CheckpointId(cut))


def test_a_manifest_needs_the_objects_of_its_outbox() -> None:
    manifest = with_outbox(batch(1, 0, 9))
    assert manifest.object_names() == {"parts/0000000001/w1-1-0-0", "parts/0000000009/w1-2-out-1-0"}


def test_barriers_of_a_run_are_above_those_of_the_outbox_that_it_begins_with() -> None:
    assert with_outbox(batch(0, 1, 9)).last_barrier() == 9
    prepared = replace(small().workers["w1"], prepared=[Prepared(0, b"t", CheckpointId(8))])
    assert replace(small(), workers={"w1": prepared}).last_barrier() == 8


def test_cuts_are_in_the_order_of_delivery() -> None:
    assert with_outbox(batch(0, 2, 9), batch(0, 1, 7), batch(1, 1, 9)).outbox_cuts() == [7, 9]
    assert small().outbox_cuts() == []


def test_a_manifest_without_outbox_and_lineage_can_be_read() -> None:
    old = small().to_wire()
    assert len(old) == 15
    del old[14:]
    del old[7]["w1"][9:]
    found = Manifest.from_wire(old)
    assert (found.lineage, found.outbox()) == ("", [])
    assert found == small()


def test_two_writers_never_write_the_same_bytes() -> None:
    one, two = (encode_manifest(small().with_writer(writer)) for writer in ("a", "b"))
    assert one != two


def test_a_share_without_time_has_no_fields_for_it() -> None:
    share = WorkerCheckpoint(WorkerName("w1"), [PART], [], {}, [], {})
    assert share.to_wire()[1] == [["parts/1", 1, 0, 10, 1]]
    assert len(share.to_wire()) == 12
    timed = replace(
        share,
        parts=[replace(PART, until=Instant(-5)), replace(PART, fired=Instant(7))],
        clocks={"counts": ClockShare(Instant(-3), Instant(-9), [[0, "w1", -3, 0]])},
        source_times={0: Instant(END)},
    )
    assert [len(each) for each in timed.to_wire()[1]] == [6, 7]
    packed = msgpack.packb(timed.to_wire())
    found = WorkerCheckpoint.from_wire(msgpack.unpackb(packed, strict_map_key=False))
    assert found == timed
    assert found.source_times == {0: END}
