"""Who commits what a manifest names of prepared work."""

from wallaroo.checkpoint.departure import successor_of
from wallaroo.checkpoint.manifest import Manifest, Prepared, WorkerCheckpoint
from wallaroo.checkpoint.prepared import PreparedStart, prepared_of
from wallaroo.names import CheckpointId, Epoch, SinkId, WorkerName

W1, W2, W3 = map(WorkerName, ("w1", "w2", "w3"))
TOKENS = {name: Prepared(0, name.encode(), CheckpointId(1)) for name in (W1, W2, W3)}


def manifest_of(*workers: WorkerName, members: tuple[WorkerName, ...]) -> Manifest:
    shares: dict[str, WorkerCheckpoint] = {
        name: WorkerCheckpoint(name, [], [], {}, [], {}, prepared=[TOKENS[name]])
        for name in workers
    }
    return Manifest(
        number=CheckpointId(1),
        epoch=Epoch(1),
        is_claim=False,
        application="letters",
        outline=[],
        members=list(members),
        partition_maps=[],
        workers=shares,
        file_lengths={},
        taken_unix_s=0.0,
        duration_s=0.0,
    )


def test_a_worker_commits_what_is_its_own() -> None:
    manifest = manifest_of(W1, W2, members=(W1, W2))
    start = prepared_of(W1, (W1, W2), manifest)
    assert start == PreparedStart(mine=(TOKENS[W1],), named=(TOKENS[W1], TOKENS[W2]))


def test_a_successor_commits_and_aborts_for_workers_that_are_not_members_any_more() -> None:
    manifest = manifest_of(W1, W3, members=(W1, W2, W3))
    successors = {name: successor_of(name, (W1,)) for name in (W2, W3)}
    assert successors == {W2: W1, W3: W1}
    start = prepared_of(W1, (W1,), manifest)
    assert start.mine == (TOKENS[W1], TOKENS[W3])
    # A member without a share may have prepared something before its first checkpoint.
    assert start.slots == (W2, W3)


def test_each_worker_that_left_has_one_successor() -> None:
    manifest = manifest_of(W3, members=(W1, W2, W3))
    starts = [prepared_of(me, (W1, W2), manifest) for me in (W1, W2)]
    assert sorted(each.slots for each in starts) == [(), (W3,)]
    assert sorted(each.mine for each in starts) == [(), (TOKENS[W3],)]
    assert [each.named for each in starts] == [(TOKENS[W3],)] * 2


def test_without_a_manifest_nothing_is_committed() -> None:
    assert prepared_of(W1, (W1,), None) == PreparedStart()


def test_a_sink_begins_with_what_is_its_own() -> None:
    other = Prepared(1, b"other", CheckpointId(1))
    start = PreparedStart(mine=(TOKENS[W1], other), named=(other,), slots=("w2",))
    assert start.of(SinkId(1)) == PreparedStart(mine=(other,), named=(other,), slots=("w2",))
