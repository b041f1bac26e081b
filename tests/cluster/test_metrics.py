"""What the initializer knows of a real cluster: exact counts, also after a crash, and the rest."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.counted import (
    TEXTS,
    WORDS,
    counts_by_worker,
    expected,
    summed,
)
from tests.cluster.harness import Receiver, free_ports
from tests.cluster.observed import Observed, observed

pytestmark = pytest.mark.cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def check_prometheus(run: Observed, counts: dict[str, list[int]]) -> None:
    samples = run.scraped()
    assert summed(counts_by_worker(samples)) == counts
    latencies = [sample.value for sample in samples["wallaroo_latency_seconds_count"]]
    assert 0 < sum(latencies) <= sum(counts[node][1] for node in counts if "sink" in node)


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_known_input_gives_exactly_known_numbers(folder: Path, workers: int) -> None:
    receiver = Receiver()
    ports = free_ports(2)
    async with observed(
        "counted_words", folder, [receiver.address], workers=workers, ports=ports
    ) as run:
        await run.send("texts", TEXTS * 300)
        await run.send("words", WORDS * 200)
        counts = expected(300, 200, receiver.address)
        view = await run.until("all is counted", lambda _: run.counts() == counts)
        assert view["totals"] == {"in": 2600, "out": 1400, "filtered": 1600, "failed": 500}
        # A tick of before may have had a part of it.
        view = await run.until("a tick has come with all", has_rates_and_failures)
        check_prometheus(run, counts)
        check_view(view, workers)
        assert sum(run.observatory.history(60)["in"]) <= 2600
    assert run.counts() == counts
    assert run.snapshot()["phase"] == "stopped"
    assert receiver.line_count() == 1400


def has_rates_and_failures(view: dict[str, Any]) -> bool:
    return view["rates"]["in"] > 0 and "500 records failed" in " ".join(view["health"]["reasons"])


def check_view(view: dict[str, Any], workers: int) -> None:
    names = [f"w{number + 1}" for number in range(workers)]
    assert [worker["name"] for worker in view["workers"]] == names
    assert {worker["state"] for worker in view["workers"]} == {"running"}
    assert all(worker["rss_bytes"] > 1 << 20 for worker in view["workers"])
    assert sum(worker["connections"] for worker in view["workers"]) == 2
    assert len(view["links"]) == workers * (workers - 1)
    assert len(view["sinks"]) == 2 * workers
    assert all(sink["connected"] and not sink["reconnects"] for sink in view["sinks"])
    assert sum(source["bytes"] for source in view["sources"]) == (
        300 * sum(map(len, TEXTS)) + 200 * sum(map(len, WORDS)) + 4 * 2600
    )
    [state] = view["states"]
    assert state["keys"] == 5
    assert sum(each["keys"] for each in state["by_worker"].values()) == 5
    assert state["bytes"] > 0
    assert state["partitions"]["count"] == len(state["partitions"]["owners"]) == 1024
    assert {each["key"] for each in state["hottest"]} <= {"a", "b", "c", "d", "silent"}
    assert view["latency"]["count"] > 0
    assert view["latency"]["p50"] <= view["latency"]["p99"] <= view["latency"]["max"]
    assert view["dead_letters"][-1]["step"] == "check"
    assert view["health"]["state"] == "degraded"
    assert "500 records failed" in " ".join(view["health"]["reasons"])
    assert "application.ready" in {line["event"] for line in view["log"]} or view["log"]


class NeverBack:
    """Waits for counts, and sees to it that totals never go back meanwhile."""

    def __init__(self, run: Observed) -> None:
        self._run = run
        self._highest = 0

    async def until(self, counts: dict[str, list[int]]) -> dict[str, Any]:
        return await self._run.until("all is counted", lambda view: self._look(view, counts))

    async def until_noticed(self, epoch: int) -> None:
        await self._run.until("the loss is noticed", lambda view: view["epoch"] > epoch)
        await self._run.until_running()

    def _look(self, view: dict[str, Any], counts: dict[str, list[int]]) -> bool:
        assert view["totals"]["in"] >= self._highest, "totals go back"
        self._highest = view["totals"]["in"]
        return self._run.counts() == counts


async def test_counts_are_exact_after_kill_9_where_checkpoints_are_on(folder: Path) -> None:
    receiver = Receiver()
    ports = free_ports(2)
    async with observed(
        "counted_words", folder, [receiver.address], workers=3, ports=ports, is_durable=True
    ) as run:
        looking = NeverBack(run)
        for number in range(1, 4):
            await run.send("texts", TEXTS * 200)
            await run.send("words", WORDS * 200)
            counts = expected(200 * number, 200 * number, receiver.address)
            view = await looking.until(counts)
            victim = view["workers"][number % 3]
            os.kill(victim["pid"], signal.SIGKILL)
            await looking.until_noticed(view["epoch"])
            await looking.until(counts)
        view = await run.until(
            "a checkpoint is committed", lambda view: view["checkpoints"]["last_number"] is not None
        )
        assert sum(worker["restarts"] for worker in view["workers"]) == 3
        assert {"number", "unix_s", "duration_s", "pause_s", "bytes", "keys"} == set(
            view["checkpoints"]["list"][-1]
        )
    assert run.counts() == expected(600, 600, receiver.address)

    # The next run, with fewer workers, goes on from the last checkpoint.
    async with observed(
        "counted_words", folder, [receiver.address], workers=2, ports=ports, is_durable=True
    ) as again:
        await again.send("texts", TEXTS)
        await again.until(
            "all is counted",
            lambda _: again.counts() == expected(601, 600, receiver.address),
        )


async def test_without_checkpoints_a_restarted_worker_goes_on_from_what_was_reported(
    folder: Path,
) -> None:
    receiver = Receiver()
    ports = free_ports(2)
    async with observed("counted_words", folder, [receiver.address], workers=1, ports=ports) as run:
        await run.send("texts", TEXTS * 10)
        counts = expected(10, 0, receiver.address)
        view = await run.until("all is counted", lambda _: run.counts() == counts)
        os.kill(view["workers"][0]["pid"], signal.SIGKILL)
        await run.until("it is noticed", lambda view: view["epoch"] > 1)
        assert run.counts() == counts
        await run.until_running()
        await run.send("texts", TEXTS * 5)
        counts = expected(15, 0, receiver.address)
        await run.until("all is counted", lambda _: run.counts() == counts)


async def test_a_sink_that_is_gone_shows_at_once_and_what_it_missed_counts_when_it_is_back(
    folder: Path,
) -> None:
    receiver = Receiver()
    ports = free_ports(2)
    async with observed("counted_words", folder, [receiver.address], workers=1, ports=ports) as run:
        await run.send("texts", TEXTS * 10)
        await run.until("all is out", lambda view: view["totals"]["out"] == 40)
        receiver.close()
        receiver.wait_gone()
        await run.send("texts", TEXTS * 10)
        view = await run.until("all has come", lambda view: view["totals"]["in"] == 120)
        view = await run.until(
            "it is unhealthy", lambda view: view["health"]["state"] == "unhealthy"
        )
        assert f"the sink at {receiver.address} is not connected" in view["health"]["reasons"][0]
        # The kernel had acknowledged nothing of it: the other side was closed.
        assert view["totals"]["out"] == 40
        [sink, _] = view["sinks"]
        assert (sink["connected"], sink["waiting"]) == (False, 40)
        back = Receiver(receiver.port)
        view = await run.until("all is out", lambda view: view["totals"]["out"] == 80)
        assert run.counts() == expected(20, 0, receiver.address)
        assert view["latency"]["max"] > 0.02
        assert view["sinks"][0]["waiting"] == 0
    assert back.line_count() == 40


async def test_a_sink_that_reads_nothing_is_told_though_it_is_connected(folder: Path) -> None:
    receiver = Receiver(kernel_bytes_max=4096)
    ports = free_ports(2)
    async with observed("counted_words", folder, [receiver.address], workers=1, ports=ports) as run:
        receiver.may_read.clear()
        await run.send("texts", TEXTS * 50_000)
        view = await run.until(
            "it is told",
            lambda view: "has accepted no results" in " ".join(view["health"]["reasons"]),
        )
        assert view["health"]["state"] in ("degraded", "unhealthy")
        [sink, _] = view["sinks"]
        assert sink["connected"]
        assert sink["waiting_s"] > 2
        [node] = [node for node in view["graph"]["nodes"] if node["id"].startswith("texts/tcp")]
        assert node["in"] - node["out"] == sink["waiting"] > 0
        receiver.may_read.set()
        counts = expected(50_000, 0, receiver.address)
        await run.until("all is counted", lambda _: run.counts() == counts)
