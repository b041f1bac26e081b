"""Hosts of agents: what is reported about them, and how long a worker waits for its own."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from structlog.testing import capture_logs

from wallaroo.coordinator import host_registry
from wallaroo.coordinator.host_registry import HostRegistry, HostRules
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.agents import (
    Dismissed,
    Offer,
    Prepared,
    ProcessEnded,
    ProcessStarted,
    StartProcess,
    Withdraw,
)
from wallaroo.wire.control import ControlFrame, decode_control_frame
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.initializer.control.server import Guest
from wallaroo_workers.initializer.placement.agents import Agents
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings

LENGTH_BYTES = 4
FAR = WorkerName("far")
SETTINGS = WorkerSettings(
    name="far",
    incarnation=2,
    control_host="127.0.0.1",
    control_port=1,
    secret=b"secret",
    application=ApplicationSettings(module="counts", paths=[], arguments=[]),
    options=RunOptions(),
)


class Followed:
    """A cluster that notes what agents report; it is never formed."""

    def __init__(self) -> None:
        self.reported: list[object] = []

    def run_facts(self) -> None:
        return None

    def arrived(self, instance: str) -> None:
        self.reported.append(("arrived", instance))

    def changed(self) -> None:
        pass

    def withdrawn(self, worker: WorkerName) -> None:
        self.reported.append(("withdrawn", worker))

    def worker_lost(
        self, worker: WorkerName, incarnation: Epoch, reason: str, *, has_hung: bool = False
    ) -> None:
        self.reported.append(("lost", worker, incarnation, has_hung))


class Line:
    """The initializer's end of an agent's connection."""

    peer = "far:1"

    def __init__(self) -> None:
        self.sent: list[ControlFrame] = []
        self.was_started = asyncio.Event()
        self.was_dismissed = asyncio.Event()

    def write(self, frame: bytes) -> None:
        self.sent.append(decode_control_frame(frame[LENGTH_BYTES:]))
        if isinstance(self.sent[-1], StartProcess):
            self.was_started.set()
        elif isinstance(self.sent[-1], Dismissed):
            self.was_dismissed.set()

    def abort(self, reason: str) -> None:
        pass


def agents_of(
    cluster: Followed | None = None, *, absence_s: float = 0.01, journalled: Sequence[str] = ()
) -> Agents:
    rules = HostRules(
        outline=[],
        silence_s=1.0,
        absence_s=absence_s,
        own_host="near",
        journalled=journalled,
    )
    return Agents(HostRegistry(rules), cluster or Followed(), "counts", "{}")


def offer(agents: Agents, line: Line, instance: str, name: WorkerName = FAR) -> Guest:
    """Let an agent offer its host for this worker."""
    frame = Offer(NO_EPOCH, name, "far", instance, [], 1, "far")
    return agents.offered(cast(FrameConnection, line), frame)


async def test_a_worker_is_not_started_if_its_host_stays_away() -> None:
    with pytest.raises(ClusterError, match="no host has offered to run worker far"):
        await agents_of().start(SETTINGS, Followed())


async def test_the_end_of_a_process_is_reported_once_to_what_started_it() -> None:
    cluster, line = Followed(), Line()
    agents = agents_of()
    agent = offer(agents, line, "1")
    agent.received(Prepared(NO_EPOCH, []))
    starting = asyncio.create_task(agents.start(SETTINGS, cluster))
    await line.was_started.wait()
    assert line.sent[-1] == StartProcess(Epoch(2), FAR)
    agent.received(ProcessStarted(Epoch(2), 17))
    assert await starting == 17
    agent.received(ProcessEnded(Epoch(2), "the process ended with status 71", has_hung=True))
    agent.lost("the connection broke")
    assert cluster.reported[-1] == ("lost", FAR, 2, True)


async def test_only_the_agent_of_a_host_can_withdraw_it() -> None:
    cluster = Followed()
    agents = agents_of(cluster)
    first = offer(agents, Line(), "1")
    refused = Line()
    second = offer(agents, refused, "2")
    assert isinstance(refused.sent[-1], Dismissed)
    first.received(Prepared(NO_EPOCH, []))
    starting = asyncio.create_task(agents.start(SETTINGS, cluster))
    await asyncio.sleep(0)
    cluster.reported.clear()
    second.received(Withdraw(NO_EPOCH))
    assert cluster.reported == []
    first.received(Withdraw(NO_EPOCH))
    assert cluster.reported == [("withdrawn", FAR)]
    starting.cancel()


async def test_a_host_that_stands_by_is_dismissed_when_it_withdraws() -> None:
    cluster, line = Followed(), Line()
    agents = agents_of(cluster)
    agent = offer(agents, line, "1", WorkerName(""))
    agent.received(Prepared(NO_EPOCH, []))
    agent.received(Withdraw(NO_EPOCH))
    assert isinstance(line.sent[-1], Dismissed)
    assert cluster.reported == [("arrived", "1")]


async def test_a_start_ends_if_input_could_be_lost_with_a_host_that_it_waits_for() -> None:
    agents, line = agents_of(journalled=["orders"]), Line()
    waiting = asyncio.create_task(agents.wait_for_offers(1, (), "127.0.0.1:1"))
    agent = offer(agents, line, "1")
    agent.received(Prepared(NO_EPOCH, [], are_local=True))
    with pytest.raises(ConfigError, match="input of 'orders' could be lost with host far"):
        async with asyncio.timeout(5):
            await waiting
    assert isinstance(line.sent[-1], Dismissed)
    # The process stays until the agent has read why it is dismissed.
    stopping = asyncio.create_task(agents.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    agent.lost("it has closed the connection")
    async with asyncio.timeout(5):
        await stopping


async def test_a_refused_host_is_in_the_log_with_its_worker_and_so_is_one_that_is_gone() -> None:
    agents, line = agents_of(), Line()
    agent = offer(agents, line, "1")
    agent.received(Prepared(NO_EPOCH, []))
    agents._registry.want([FAR], 0.0)
    agents.assign()
    with capture_logs() as logs:
        agents.join_failed(FAR, ClusterError("a resize is in progress", "ask again"))
        agents.join_failed(FAR, ClusterError("a resize is in progress", "ask again"))
    assert [(each["event"], each["worker"], each.get("host")) for each in logs] == [
        ("host.join_failed", FAR, "far"),
        ("host.join_failed", FAR, None),
    ]
    what = "the initializer refuses us: a resize is in progress"
    assert line.sent[-1] == Dismissed(NO_EPOCH, what, "ask again", False)


async def test_a_host_that_accepts_any_name_runs_the_worker_of_a_lost_host() -> None:
    agents = agents_of(absence_s=5.0)
    first, spare = Line(), Line()
    lost = offer(agents, first, "1")
    lost.received(Prepared(NO_EPOCH, []))
    offer(agents, spare, "2", WorkerName("")).received(Prepared(NO_EPOCH, []))
    lost.lost("the connection broke")
    starting = asyncio.create_task(agents.start(SETTINGS, Followed()))
    async with asyncio.timeout(5):
        await spare.was_started.wait()
    assert spare.sent[-1] == StartProcess(Epoch(2), FAR)
    starting.cancel()


async def test_a_host_that_is_lost_before_its_worker_may_start_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The start waits for the end of an earlier process, and its host is lost meanwhile."""
    monkeypatch.setattr(host_registry, "ORPHAN_LIVES_S", 0.5)
    agents = agents_of(absence_s=5.0)
    for instance in ("1", "2"):
        agent = offer(agents, Line(), instance)
        agent.received(Prepared(NO_EPOCH, []))
        starting = asyncio.create_task(agents.start(SETTINGS, Followed()))
        await asyncio.sleep(0)
        agent.lost("the connection broke")
    line = Line()
    agent = offer(agents, line, "3")
    agent.received(Prepared(NO_EPOCH, []))
    async with asyncio.timeout(60):
        await line.was_started.wait()
    agent.received(ProcessStarted(Epoch(2), 17))
    assert await starting == 17


@pytest.mark.parametrize("turns_between", range(4))
async def test_hosts_are_not_waited_for_when_a_stop_comes_as_one_offers(turns_between: int) -> None:
    agents = agents_of()
    gathering = asyncio.create_task(agents.wait_for_offers(2, (), "127.0.0.1:1"))
    for _ in range(4):
        await asyncio.sleep(0)
    agents.changed.set()
    for _ in range(turns_between):
        await asyncio.sleep(0)
    gathering.cancel()
    await asyncio.wait([gathering], timeout=60)
    assert gathering.cancelled()


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ClusterError("the store is away"), True),
        (ConfigError("no such option"), False),
        (None, False),
    ],
)
async def test_agents_wait_for_the_next_run_if_one_has_failed(
    error: WallarooError | None, again: bool
) -> None:
    agents, line = agents_of(), Line()
    agent = offer(agents, line, "1")
    agent.received(Prepared(NO_EPOCH, []))
    if error is not None:
        agents.run_failed(error)
    stopping = asyncio.create_task(agents.stop())
    async with asyncio.timeout(5):
        await line.was_dismissed.wait()
    what = "" if error is None else f"the cluster has ended: {error.what}"
    assert line.sent[-1] == Dismissed(NO_EPOCH, what, "", again)
    agent.lost("it has closed the connection")
    await stopping
