"""All requests on a run without processes: what they answer, what they refuse, and how."""

import asyncio
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.coordinator.story import A, B
from tests.wallaroo.operators.mesh import tcp_sink
from tests.workers.asked_cluster import KEYS, AskedCluster
from tests.workers.counting_clusters import durable_cluster, manifest, plan, running_cluster
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import CheckpointDue, Event, Send, StartWorker, StopRequested
from wallaroo.coordinator.resize import ResizeCoordinator
from wallaroo.errors import ClusterError, ConfigError
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.plan import Application
from wallaroo.wire.control import Assign

SOON_S = 0.5
"""After how long a worker that never answers is given up; the others have to answer before."""


@pytest.fixture
def cluster() -> AskedCluster:
    return running_cluster()


@pytest.fixture
def durable() -> AskedCluster:
    return durable_cluster()


# What can be asked


async def test_a_request_that_there_is_not_names_those_there_are(cluster: AskedCluster) -> None:
    with pytest.raises(ConfigError, match="no request 'stauts'") as raised:
        await cluster.ask("stauts")
    assert "status, partitions" in raised.value.hint


@pytest.mark.parametrize(
    ("method", "params", "what"),
    [
        ("status", {"timeout_s": "long"}, "timeout_s is a number, not 'long'"),
        ("status", {"timeout_s": float("nan")}, "timeout_s is a number, not nan"),
        ("status", {"timeout_s": float("inf")}, "timeout_s is a number, not inf"),
        ("status", {"timeout_s": 10**400}, "timeout_s is a number, not inf"),
        ("status", {"tiemout_s": 1}, "status has no parameter tiemout_s"),
        ("keys", {"limit": True}, "limit is a whole number"),
        ("keys", {"list": True}, "needs a state"),
        ("keys", {"state": "none"}, "no state 'none'"),
        ("keys", {"worker": "w9"}, "no worker 'w9'"),
        ("keys", {"state": "counts", "list": True, "after": {"first": "x"}}, "first is a whole"),
        ("get", {}, "get needs state"),
        ("get", {"state": "counts"}, "has many keys"),
        ("get", {"state": "counts", "key": "a", "type": "int"}, "not a key of the kind int"),
        ("logs", {"level": "loud"}, "no level 'loud'"),
        ("grow", {"workers": 0}, "0 workers cannot be added"),
        ("grow", {"workers": 5000}, "at most 1024"),
        ("shrink", {}, "either a number of workers or their names"),
        ("shrink", {"workers": 1, "names": ["a"]}, "either a number"),
        ("shrink", {"names": ["a", "z"]}, "no worker z"),
        ("shrink", {"names": [1]}, "a list of texts"),
        ("shrink", {"workers": 0}, "0 workers cannot be taken away"),
    ],
)
async def test_a_mistake_is_told_as_one(
    cluster: AskedCluster, method: str, params: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        await cluster.ask(method, **params)
    assert what in f"{raised.value.what} {raised.value.hint}"


# Status


async def test_a_brief_status_is_what_the_initializer_knows_by_itself() -> None:
    asked = AskedCluster(plan())
    assert await asked.ask("status", brief=True) == {
        "phase": "forming",
        "epoch": 1,
        "control": "127.0.0.1:7000",
        "workers": [{"name": "a"}, {"name": "b"}],
    }


async def test_status_has_each_worker_with_name_pid_state_and_address(
    cluster: AskedCluster,
) -> None:
    status = await cluster.ask("status")
    assert (status["application"], status["phase"], status["epoch"]) == ("letters", "running", 1)
    assert status["sources"] == [{"pipeline": "letters", "address": "127.0.0.1:7010"}]
    workers = status["workers"]
    assert [(each["name"], each["pid"], each["state"], each["address"]) for each in workers] == [
        ("a", 1, "running", "a:1"),
        ("b", 1, "running", "b:1"),
    ]
    assert status["totals"]["records"] == 10
    assert sum(each["keys"]["counts"] for each in workers) == len(KEYS)
    assert (status["durable"], status["last_checkpoint"]) == (False, None)


async def test_sources_say_how_a_sender_frames_its_payloads(cluster: AskedCluster) -> None:
    assert (await cluster.ask("sources"))["sources"] == [
        {
            "pipeline": "letters",
            "describes": "tcp source at 127.0.0.1:7010",
            "address": "127.0.0.1:7010",
            "kind": "tcp",
            "header": ">I",
        }
    ]


async def test_a_worker_that_does_not_answer_is_shown_with_the_others(
    cluster: AskedCluster,
) -> None:
    cluster.silent = {B}
    status = await cluster.ask("status", timeout_s=SOON_S)
    a, b = status["workers"]
    assert (a["state"], a["problem"]) == ("running", "")
    assert (b["state"], b["problem"]) == ("not answering", "worker b did not answer in 0.5 s")
    assert status["totals"]["records"] == 5


async def test_a_late_answer_is_nobodys(cluster: AskedCluster) -> None:
    cluster.silent = {A, B}
    await cluster.ask("status", timeout_s=0.01)
    cluster.silent = set()
    for worker, query in list(cluster.queries):
        cluster.send(worker, query)
    assert (await cluster.ask("status"))["totals"]["records"] == 10


@pytest.mark.parametrize(
    ("phase", "states"),
    [
        (Phase.FORMING, ["waiting", "starting"]),
        (Phase.CONNECTING, ["connecting", "connecting"]),
        (Phase.DRAINING, ["draining", "draining"]),
        (Phase.DRAINED, ["drained", "drained"]),
    ],
)
async def test_the_state_of_a_worker_follows_the_phase(phase: Phase, states: list[str]) -> None:
    cluster = AskedCluster(plan())
    if phase is Phase.FORMING:
        cluster.join(A)
        cluster.silent = {B}
    else:
        cluster.go_to(phase)
    status = await cluster.ask("status", timeout_s=SOON_S)
    assert [worker["state"] for worker in status["workers"]] == states
    assert status["phase"] == phase.value


async def test_the_last_checkpoint_is_shown(durable: AskedCluster) -> None:
    last = (await durable.ask("status"))["last_checkpoint"]
    assert (last["number"], last["keys"], last["bytes"], last["duration_s"]) == (1, 9, 100, 0.5)


# Partitions, keys, objects


async def test_partitions_are_counted_by_owner(cluster: AskedCluster) -> None:
    counts, total = (await cluster.ask("partitions"))["states"]
    assert (counts["name"], counts["partitions"]) == ("counts", 1024)
    assert counts["by_worker"] == {"a": 512, "b": 512}
    assert (total["hashed"], total["declared"]) == (0, 1)
    assert sorted(total["by_worker"].values()) == [0, 1]
    assert (await cluster.ask("partitions", state="sum"))["states"] == [total]


class Orders(wallaroo.PartitionedSource[str]):
    """A source that is read by split, which nobody reads here."""

    def read(self, partition: str, position: Any) -> Any:
        raise AssertionError(partition)


def orders_plan() -> Application:
    orders = wallaroo.ApplicationBuilder("a").new_pipeline("orders", Orders())
    return orders.to_sink(tcp_sink()).build()


async def test_each_split_has_a_row_with_its_reader() -> None:
    asked = AskedCluster(orders_plan())
    asked.go_to(Phase.RUNNING)
    asked.splits = {
        A: [{"pipeline": 0, "count": 2, "splits": [{"split": "o-0"}, {"split": "o-2"}]}],
        B: [{"pipeline": 0, "count": 1, "splits": [{"split": "o-1"}]}],
    }
    answer = await asked.ask("splits")
    rows = [(each["split"], each["worker"], each["pipeline"]) for each in answer["splits"]]
    assert rows == [("o-0", A, "orders"), ("o-1", B, "orders"), ("o-2", A, "orders")]
    assert (answer["counts"], answer["problems"]) == ({"orders": 3}, {})
    assert len((await asked.ask("splits", pipeline="orders", limit=2))["splits"]) == 2


async def test_status_has_the_lag_of_each_source_over_all_workers() -> None:
    asked = AskedCluster(orders_plan())
    asked.go_to(Phase.RUNNING)
    asked.lags = {
        A: [{"pipeline": 0, "splits": 2, "lag": 5, "lag_s": 1.5}],
        B: [{"pipeline": 0, "splits": 1, "lag": 7, "lag_s": None}],
    }
    status = await asked.ask("status")
    assert status["lags"] == [{"pipeline": "orders", "splits": 3, "lag": 12, "lag_s": 1.5}]
    assert "lags" not in status["workers"][0]


async def test_a_worker_whose_splits_are_not_known_is_a_problem() -> None:
    asked = AskedCluster(orders_plan())
    asked.go_to(Phase.RUNNING)
    asked.silent = {B}
    assert [*(await asked.ask("splits", timeout_s=SOON_S))["problems"]] == [B]


async def test_a_pipeline_without_splits_is_a_mistake(cluster: AskedCluster) -> None:
    with pytest.raises(ConfigError, match="no pipeline 'orders' whose source is read by split"):
        await cluster.ask("splits", pipeline="orders")
    assert (await cluster.ask("splits"))["splits"] == []


async def test_nobody_owns_a_partition_before_the_first_assignment() -> None:
    with pytest.raises(ClusterError, match="the cluster is starting"):
        await AskedCluster(plan()).ask("partitions")


async def test_keys_are_counted_by_worker(cluster: AskedCluster) -> None:
    answer = await cluster.ask("keys", state="counts")
    ((state),) = answer["states"]
    assert state["keys"] == len(KEYS) == sum(state["by_worker"].values())
    assert answer["problems"] == {}
    (one,) = (await cluster.ask("keys", state="counts", worker="a"))["states"]
    assert one["by_worker"] == {"a": state["by_worker"]["a"]}


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_keys_are_listed_page_by_page_each_once(cluster: AskedCluster, limit: int) -> None:
    found: list[str] = []
    after: Any = None
    while True:
        page = await cluster.ask("keys", state="counts", list=True, limit=limit, after=after)
        assert len(page["keys"]) <= limit
        found += [each["key"] for each in page["keys"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(found) == sorted(KEYS)


async def test_a_key_that_is_cut_is_marked(cluster: AskedCluster) -> None:
    long = "x" * 1_000
    cluster.states[A]["counts"].put(long, {})
    listed = await cluster.ask("keys", state="counts", list=True)
    assert [len(each["key"]) < 1_000 for each in listed["keys"] if each["is_cut"]] == [True]
    assert sorted(each["key"] for each in listed["keys"] if not each["is_cut"]) == sorted(KEYS)


async def test_a_list_goes_on_with_the_others_where_one_does_not_answer(
    cluster: AskedCluster,
) -> None:
    cluster.silent = {A}
    page = await cluster.ask("keys", state="counts", list=True, timeout_s=SOON_S)
    assert {each["worker"] for each in page["keys"]} == {"b"}
    assert list(page["problems"]) == ["a"]


async def test_an_object_is_read_where_its_key_lives(cluster: AskedCluster) -> None:
    for key in KEYS[:5]:
        found = await cluster.ask("get", state="counts", key=key)
        assert found["value"] == {"of": key}
        assert found["text"] == repr({"of": key})
        assert key in cluster.states[WorkerName(found["worker"])]["counts"]


async def test_a_key_that_is_not_there_is_refused(cluster: AskedCluster) -> None:
    with pytest.raises(ClusterError, match="state 'counts' has no key 'nobody'") as raised:
        await cluster.ask("get", state="counts", key="nobody")
    assert "keys counts --list" in raised.value.hint


async def test_the_one_object_of_a_state_needs_no_key(cluster: AskedCluster) -> None:
    (map_,) = [each for each in cluster.maps if each.state == "sum"]
    (key,) = map_.declared_keys
    cluster.states[map_.owner_of(key)]["sum"].put(key, 42)
    assert (await cluster.ask("get", state="sum"))["value"] == 42
    with pytest.raises(ClusterError, match="only the 1 declared"):
        await cluster.ask("get", state="sum", key="other")


# Checkpoints


async def test_a_checkpoint_needs_a_place(cluster: AskedCluster) -> None:
    with pytest.raises(ClusterError, match="checkpoints are off") as raised:
        await cluster.ask("checkpoint")
    assert "--resilience-dir" in raised.value.hint


async def test_a_checkpoint_is_taken_at_once(durable: AskedCluster) -> None:
    answer = await durable.ask("checkpoint")
    assert (answer["number"], answer["keys"], answer["written_keys"]) == (1, 9, 4)
    assert durable.view.rounds.committed == 1


async def test_two_that_ask_at_once_get_one_each(durable: AskedCluster) -> None:
    await asyncio.gather(durable.ask("checkpoint"), durable.ask("checkpoint"))
    assert durable.view.rounds.committed == 2


async def test_a_checkpoint_under_way_does_not_count(durable: AskedCluster) -> None:
    durable.due()
    asked = asyncio.create_task(durable.ask("checkpoint"))
    await asyncio.sleep(0)
    assert durable.view.rounds.last == 1
    durable.save()
    durable.written(1)
    await asked
    assert durable.view.rounds.last == 2


async def test_requests_for_checkpoints_do_not_wake_each_other_while_none_can_be_taken(
    durable: AskedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered: list[Event] = []
    on_event = durable.on_event

    def counted(event: Event) -> None:
        ordered.append(event)
        on_event(event)

    monkeypatch.setattr(durable, "on_event", counted)
    with monkeypatch.context() as blocking:
        blocking.setattr(ResizeCoordinator, "blocks_rounds", True)
        asking = [asyncio.create_task(durable.ask("checkpoint")) for _ in range(2)]
        for _ in range(20):
            await asyncio.sleep(0)
    assert ordered == [CheckpointDue(), CheckpointDue()]
    on_event(CheckpointDue())
    for each in asking:
        assert (await each)["number"] == 1


async def test_a_checkpoint_that_cannot_be_saved_says_why(durable: AskedCluster) -> None:
    durable.store_is_away = True
    with pytest.raises(ClusterError, match="could not be saved: the store is away"):
        await durable.ask("checkpoint")
    durable.store_is_away = False
    assert (await durable.ask("checkpoint"))["number"] == 1


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.DRAINED])
async def test_a_checkpoint_is_refused_where_there_is_none_to_take(phase: Phase) -> None:
    cluster = AskedCluster(plan(), is_durable=True, manifest=manifest())
    cluster.go_to(phase)
    with pytest.raises(ClusterError, match=f"not possible now: the cluster is {phase.value}"):
        await cluster.ask("checkpoint")


# The end


async def test_a_stop_answers_when_nothing_is_left(cluster: AskedCluster) -> None:
    stopping = asyncio.create_task(cluster.ask("stop"))
    await cluster.stopped.wait()
    assert not stopping.done()
    await cluster.end()
    answer = await stopping
    assert (answer["stopped"], answer["record_count"]) == (True, 2)


async def test_two_that_stop_stop_once_and_in_order(cluster: AskedCluster) -> None:
    stopping = [asyncio.create_task(cluster.ask("stop")) for _ in range(2)]
    await cluster.stopped.wait()
    await cluster.end()
    assert all(answer["stopped"] for answer in await asyncio.gather(*stopping))


async def test_a_stop_that_was_not_in_order_is_refused(cluster: AskedCluster) -> None:
    stopping = asyncio.create_task(cluster.ask("stop", discard_state=False))
    await asyncio.sleep(0)
    await cluster.end(ClusterError("worker b was lost", hint="do this"))
    with pytest.raises(ClusterError, match="not in order: worker b was lost") as raised:
        await stopping
    assert raised.value.hint == "do this"


async def test_state_is_discarded_after_the_end_even_if_the_client_is_gone(
    durable: AskedCluster,
) -> None:
    stopping = asyncio.create_task(durable.ask("stop", discard_state=True))
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await durable.stopped.wait()
    assert durable.discarded == 0
    await durable.end()
    assert durable.discarded == 1


async def test_state_stays_where_the_end_was_not_in_order(durable: AskedCluster) -> None:
    stopping = asyncio.create_task(durable.ask("stop", discard_state=True))
    await asyncio.sleep(0)
    await durable.end(ClusterError("lost"))
    await asyncio.gather(stopping, return_exceptions=True)
    assert durable.discarded == 0


async def test_there_is_no_state_to_discard_without_checkpoints(cluster: AskedCluster) -> None:
    with pytest.raises(ClusterError, match="no state to discard"):
        await cluster.ask("stop", discard_state=True)
    assert cluster.phase is Phase.RUNNING


async def test_a_drain_leaves_the_cluster_drained(cluster: AskedCluster) -> None:
    told: list[dict[str, Any]] = []
    answer = await cluster.ask("drain", told.append)
    assert (answer["drained"], answer["record_count"]) == (True, 2)
    assert cluster.phase is Phase.DRAINED
    assert "cluster.drained" in [facts["event"] for facts in told]
    assert (await cluster.ask("drain"))["drained"]
    with pytest.raises(ClusterError, match="the cluster is drained"):
        await cluster.ask("grow")


async def test_a_wait_ends_with_the_cluster(durable: AskedCluster) -> None:
    durable.due()
    asked = asyncio.create_task(durable.ask("checkpoint"))
    await asyncio.sleep(0)
    durable.step(StopRequested())
    durable.step(StopRequested())
    with pytest.raises(ClusterError, match="the cluster has stopped"):
        await asked


# Membership


async def test_grow_names_the_new_workers(cluster: AskedCluster) -> None:
    assert (await cluster.ask("grow", workers=2))["added"] == ["w1", "w2"]
    assert cluster.resizes == [(["w1", "w2"], [])]


async def test_no_name_is_given_twice(cluster: AskedCluster) -> None:
    cluster.view.on_step(None, [StartWorker(WorkerName("w3"), Epoch(2), is_restart=False)])
    assign = Assign(Epoch(3), [["a", 1, ""], ["b", 1, ""]], [], [], [], 0)
    cluster.view.on_step(None, [Send((A, B), assign)])
    assert cluster.view.workers == [A, B]
    assert (await cluster.ask("grow"))["added"] == ["w4"]


async def test_shrink_takes_the_last_or_those_named(cluster: AskedCluster) -> None:
    assert (await cluster.ask("shrink", workers=1))["left"] == ["b"]
    assert (await cluster.ask("shrink", names=["a", "a"]))["left"] == ["a"]


async def test_one_worker_has_to_stay(cluster: AskedCluster) -> None:
    for params in ({"workers": 2}, {"workers": 9}, {"names": ["a", "b"]}):
        with pytest.raises(ClusterError, match="one at least has to stay"):
            await cluster.ask("shrink", **params)
    assert cluster.resizes == []


async def test_a_refusal_comes_back_as_it_is(cluster: AskedCluster) -> None:
    cluster.refusal = ClusterError("another one is under way", hint="wait")
    with pytest.raises(ClusterError, match="another one is under way"):
        await cluster.ask("grow")


@pytest.mark.parametrize("wait", [True, False])
async def test_one_while_another_is_under_way_is_refused_at_once(
    cluster: AskedCluster, wait: bool
) -> None:
    cluster.is_resizing = True
    for method in ("grow", "shrink"):
        with pytest.raises(ClusterError, match="another resize is in progress"):
            await cluster.ask(method, workers=1, wait=wait)
    assert cluster.resizes == []


async def test_nobody_waits_where_that_is_not_wanted(cluster: AskedCluster) -> None:
    answer = await cluster.ask("grow", workers=1, wait=False)
    assert answer == {"accepted": True, "added": ["w1"], "left": []}
    await asyncio.sleep(0)
    assert cluster.resizes == [(["w1"], [])]


# The history and the log


async def test_the_history_is_given_newest_last_and_cut_to_the_limit(cluster: AskedCluster) -> None:
    cluster.events.add("cluster.resized", "resized", {"workers": "a, b"})
    cluster.events.add("worker.lost", "worker b was lost", level="warning")
    whole = (await cluster.ask("events"))["events"]
    assert [each["kind"] for each in whole] == ["cluster.resized", "worker.lost"]
    assert (await cluster.ask("events", limit=1))["events"] == whole[1:]


async def test_the_level_is_told_to_all_and_to_those_who_come_later(cluster: AskedCluster) -> None:
    assert await cluster.ask("logs", level="WARNING") == {"level": "warning", "problems": {}}
    cluster.lose(B)
    cluster.join(B)
    told = [(worker, query.params) for worker, query in cluster.queries if query.what == "level"]
    assert told == [(worker, '{"level":"warning"}') for worker in (A, B, B)]
    await cluster.ask("logs", level="info")


async def test_the_last_lines_come_in_their_order(cluster: AskedCluster) -> None:
    cluster.silent = {B}
    answer = await cluster.ask("logs", timeout_s=SOON_S, limit=1)
    assert len(answer["lines"]) == 1
    assert list(answer["problems"]) == ["b"]
