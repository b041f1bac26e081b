"""What the external channel answers, for a cluster without processes."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

import wallaroo
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.topology.plan import Application
from wallaroo.wire.external import ExternalId, ExternalMessage
from wallaroo_workers.external import answers
from wallaroo_workers.external.answers import ExternalAnswers, Membership


class Decoder:
    def header_length(self) -> int:
        return 4

    def payload_length(self, header: bytes) -> int:
        return int.from_bytes(header, "big")

    def decode(self, payload: bytes) -> bytes:
        return payload


class Encoder:
    def encode(self, data: bytes) -> bytes:
        return data


@wallaroo.computation("pass")
def passed(data: bytes) -> bytes:
    return data


@wallaroo.state_computation("count")
def count(data: bytes, state: list[bytes]) -> tuple[bytes, bool]:
    return data, True


@wallaroo.partition
def key(data: bytes) -> bytes:
    return data


def plan() -> Application:
    application = wallaroo.ApplicationBuilder("answers")
    application.new_pipeline("lines", wallaroo.TCPSourceConfig("127.0.0.1", "7010", Decoder()))
    application.to_parallel(passed)
    application.to_state_partition(count, list, "split", key)
    application.to_stateful(count, list, "whole")
    application.to_sink(wallaroo.TCPSinkConfig("127.0.0.1", "7002", Encoder()))
    return application.build()


class PlayedCluster:
    """A cluster of which everything is known."""

    def __init__(self, *workers: str, is_processing: bool = True) -> None:
        self.workers = ("initializer", *workers)
        self.is_initialized = True
        self.is_processing = is_processing
        self.is_away = False
        self.left: list[list[str]] = []
        self.stops = 0

    async def membership(self) -> Membership:
        if self.is_away:
            raise ClusterError("the initializer is away")
        return Membership(self.workers, self.is_initialized, self.is_processing)

    async def owners(self) -> Mapping[str, str]:
        return {"whole": "worker1"}

    async def keys(self) -> Mapping[str, list[str]]:
        return {"split": ["a", "7"], "whole": []}

    async def key_counts(self) -> Mapping[str, Mapping[str, int]]:
        return {"split": {"initializer": 2, "worker1": 3}, "whole": {"worker1": 1}}

    def shrink(self, workers: list[str]) -> None:
        self.left.append(workers)

    def stop(self) -> None:
        self.stops += 1


class Channel:
    def __init__(self, cluster: PlayedCluster) -> None:
        self.shown: list[str] = []
        self.answers = ExternalAnswers(
            "initializer", "initializer", plan(), cluster, self.shown.append
        )

    async def ask(self, kind: ExternalId, text: str = "") -> ExternalMessage | None:
        return await self.answers.answer(ExternalMessage(kind, text))

    async def query(self, kind: ExternalId) -> Any:
        answer = await self.ask(kind)
        assert answer is not None
        assert answer.id == kind + 1
        return json.loads(answer.text)


async def test_the_status_of_a_cluster_at_work() -> None:
    assert await Channel(PlayedCluster("worker1")).query(ExternalId.CLUSTER_STATUS_QUERY) == {
        "worker_count": 2,
        "worker_names": ["initializer", "worker1"],
        "processing_messages": True,
    }


async def test_the_status_while_a_worker_is_away() -> None:
    cluster = PlayedCluster("worker1", is_processing=False)
    status = await Channel(cluster).query(ExternalId.CLUSTER_STATUS_QUERY)
    assert status["processing_messages"] is False


@pytest.mark.parametrize("flag", ["is_away", "is_initialized"])
async def test_the_status_before_there_is_a_cluster(flag: str) -> None:
    cluster = PlayedCluster()
    setattr(cluster, flag, flag == "is_away")
    answer = await Channel(cluster).ask(ExternalId.CLUSTER_STATUS_QUERY)
    assert answer == ExternalMessage(ExternalId.CLUSTER_STATUS_NOT_INITIALIZED)


async def test_partitions_have_numbers_by_state_and_worker() -> None:
    found = await Channel(PlayedCluster("worker1", "worker2")).query(ExternalId.PARTITION_QUERY)
    states = found["state_partitions"]
    assert {name: [*by_worker] for name, by_worker in states.items()} == {
        "split": ["initializer", "worker1", "worker2"],
        "whole": ["worker1"],
    }
    assert [len(ids) for ids in states["split"].values()] == [10, 10, 10]
    (parallel,) = found["stateless_partitions"].values()
    assert [len(ids) for ids in parallel.values()] == [1, 1, 1]
    ids = [each for by in [*states.values(), parallel] for some in by.values() for each in some]
    assert all(each.isdecimal() and int(each) for each in [*ids, *found["stateless_partitions"]])
    assert len(set(ids)) == len(ids) == 34


async def test_numbers_stay_when_workers_come_and_go() -> None:
    small = await Channel(PlayedCluster("worker1")).query(ExternalId.PARTITION_QUERY)
    large = await Channel(PlayedCluster("worker1", "worker9")).query(ExternalId.PARTITION_QUERY)
    small_split, large_split = (each["state_partitions"]["split"] for each in (small, large))
    assert small_split == {worker: large_split[worker] for worker in small_split}
    assert small["stateless_partitions"].keys() == large["stateless_partitions"].keys()


async def test_counts_are_those_of_the_lists() -> None:
    channel = Channel(PlayedCluster("worker1"))
    counts = await channel.query(ExternalId.PARTITION_COUNT_QUERY)
    assert counts["state_partitions"] == {
        "split": {"initializer": 10, "worker1": 10},
        "whole": {"worker1": 1},
    }
    parallel = await channel.query(ExternalId.STATELESS_PARTITION_COUNT_QUERY)
    assert parallel == counts["stateless_partitions"]
    assert [*parallel.values()] == [{"initializer": 1, "worker1": 1}]
    listed = await channel.query(ExternalId.STATELESS_PARTITION_QUERY)
    assert listed.keys() == parallel.keys()


async def test_a_source_that_listens_has_ten_ids() -> None:
    ids = (await Channel(PlayedCluster()).query(ExternalId.SOURCE_IDS_QUERY))["source_ids"]
    assert len(set(ids)) == 10


async def test_keys_of_the_worker_that_is_asked() -> None:
    channel = Channel(PlayedCluster("worker1"))
    assert await channel.query(ExternalId.STATE_ENTITY_QUERY) == {"split": ["a", "7"], "whole": []}
    assert await channel.query(ExternalId.STATE_ENTITY_COUNT_QUERY) == {"split": 2, "whole": 0}
    cluster = await channel.query(ExternalId.CLUSTER_STATE_ENTITY_COUNT_QUERY)
    assert cluster == {"split": 5, "whole": 1}


async def test_what_has_no_answer_is_done() -> None:
    cluster = PlayedCluster("worker1")
    channel = Channel(cluster)
    with capture_logs() as lines:
        assert await channel.ask(ExternalId.PRINT, "hello") is None
        assert await channel.ask(ExternalId.ROTATE_LOG, "worker1") is None
        assert await channel.ask(ExternalId.REPORT_STATUS, "boundary-count-status") is None
        assert await channel.ask(ExternalId.REPORT_STATUS, "weather") is None
        assert cluster.stops == 0
        assert await channel.ask(ExternalId.CLEAN_SHUTDOWN, "bye") is None
    assert cluster.stops == 1
    assert channel.shown[0] == "$$$ ExternalPrint: hello $$$"
    events = [line["event"] for line in lines]
    assert events == ["log.rotation_ignored", "report.boundaries", "report.unknown"]


async def test_an_answer_is_not_a_question() -> None:
    with pytest.raises(WallarooError, match="PARTITION_QUERY_RESPONSE is an answer"):
        await Channel(PlayedCluster()).ask(ExternalId.PARTITION_QUERY_RESPONSE)


# Shrinking


@pytest.mark.parametrize(
    ("request_text", "answer", "leaving"),
    [
        ('{"query":false,"node_names":["b"],"node_count":0}', "Shrinking by 1 workers!", ["b"]),
        ('{"query":false,"node_names":["c","b"]}', "Shrinking by 2 workers!", ["c", "b"]),
        ('{"query":false,"node_names":["b","b"]}', "Shrinking by 1 workers!", ["b"]),
        ('{"query":false,"node_names":[],"node_count":2}', "Shrinking by 2 workers!", ["a", "b"]),
        ('{"query":false,"node_count":9}', "Shrinking by 3 workers!", ["a", "b", "c"]),
        ('{"query":false,"node_names":[],"node_count":0}', "Cannot shrink 0 workers!", None),
        ('{"query":false,"node_names":["b","x"]}', "Invalid shrink targets!", None),
        ('{"query":false,"node_names":["initializer"]}', "Invalid shrink targets!", None),
        ('{"query":false,"node_names":"b"}', "Invalid shrink targets!", None),
        ("[]", "The shrink request is not a JSON object!", None),
        ("shrink", "The shrink request is not JSON!", None),
    ],
)
async def test_who_leaves(request_text: str, answer: str, leaving: list[str] | None) -> None:
    cluster = PlayedCluster("a", "b", "c")
    got = await Channel(cluster).ask(ExternalId.SHRINK_REQUEST, request_text)
    assert got == ExternalMessage(ExternalId.SHRINK_RESPONSE, answer)
    assert cluster.left == ([] if leaving is None else [leaving])


async def test_who_may_leave() -> None:
    cluster = PlayedCluster("a", "b")
    answer = await Channel(cluster).ask(ExternalId.SHRINK_REQUEST, '{"query":true}')
    assert answer is not None
    assert answer.id is ExternalId.SHRINK_QUERY_RESPONSE
    assert json.loads(answer.text) == {"node_names": ["a", "b"], "node_count": 2}
    assert cluster.left == []


async def test_the_initializer_alone_cannot_shrink() -> None:
    got = await Channel(PlayedCluster()).ask(ExternalId.SHRINK_REQUEST, '{"node_count":1}')
    assert got is not None
    assert got.text == "Cannot shrink 0 workers!"


@pytest.mark.parametrize(
    ("kind", "nothing"),
    [
        (ExternalId.STATE_ENTITY_QUERY, {"split": [], "whole": []}),
        (ExternalId.STATE_ENTITY_COUNT_QUERY, {"split": 0, "whole": 0}),
    ],
)
async def test_a_worker_that_still_joins_has_no_keys(kind: ExternalId, nothing: Any) -> None:
    cluster = PlayedCluster()
    cluster.workers = ("somebody else",)
    channel = Channel(cluster)
    assert await channel.query(kind) == nothing
    cluster.is_away = True
    assert await channel.query(kind) == nothing


async def test_a_member_does_not_take_an_initializer_that_is_away_for_empty_states() -> None:
    cluster = PlayedCluster()
    channel = Channel(cluster)
    assert await channel.query(ExternalId.STATE_ENTITY_QUERY) == {"split": ["a", "7"], "whole": []}
    cluster.is_away = True
    with pytest.raises(ClusterError, match="away"):
        await channel.ask(ExternalId.STATE_ENTITY_QUERY)


async def test_an_initializer_that_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(PlayedCluster):
        async def membership(self) -> Membership:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(answers, "ANSWER_TIMEOUT_S", 0.01)
    with pytest.raises(ClusterError, match="has not answered"):
        await Channel(Silent()).ask(ExternalId.PARTITION_QUERY)
