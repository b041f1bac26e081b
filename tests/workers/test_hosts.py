"""Hosts for which a start waits, and hosts that ask to leave meanwhile."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, cast

from tests.wallaroo.operators.mesh import tcp_sink
from tests.workers.counting import count, counting
from tests.workers.test_agents import Line
from wallaroo.coordinator.host_registry import RunFacts
from wallaroo.coordinator.starting_hosts import MembersBefore
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.fingerprint import outline
from wallaroo.wire.agents import Offer, Prepared, Withdraw
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.initializer.control.server import Guest
from wallaroo_workers.initializer.placement.hosted_run import HostedRun
from wallaroo_workers.initializer.placement.hosts import Hosts, HostSettings
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.settings import ApplicationSettings, RunOptions

NAMES = [WorkerName("a"), WorkerName("b")]
PLAN = counting().to_stateful(count, dict, "sum").to_sink(tcp_sink()).build()


class FollowedRun:
    """A run of two workers that notes which of them leave."""

    facts = RunFacts(members=NAMES, used=NAMES, epoch=Epoch(1))

    def __init__(self) -> None:
        self.left: list[str] = []
        self.tasks: list[Coroutine[Any, Any, None]] = []

    def start_task(self, task: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(task)

    async def resize(self, added: Sequence[str], leaving: Sequence[str]) -> None:
        assert not added
        self.left += leaving


def offer(hosts: Hosts, name: WorkerName, instance: str, steps: list[str]) -> Guest:
    frame = Offer(NO_EPOCH, name, "far", instance, steps, 1, "far")
    agent = hosts.agents.offered(cast(FrameConnection, Line()), frame)
    agent.received(Prepared(NO_EPOCH, []))
    return agent


def new_hosts(settings: HostSettings, *, may_lose_input: bool = False) -> Hosts:
    application = ApplicationSettings(module="counting", paths=[], arguments=[])
    here = LocalPlacement()
    return Hosts(
        settings, application, RunOptions(), PLAN, here, 10.0, may_lose_input=may_lose_input
    )


def offers(hosts: Hosts, *names: WorkerName) -> dict[WorkerName, Guest]:
    return {name: offer(hosts, name, f"of {name}", list(outline(PLAN))) for name in names}


async def formed() -> tuple[Hosts, dict[WorkerName, Guest]]:
    """Return hosts of two workers, before they serve a run."""
    hosts = new_hosts(HostSettings(agent_count=len(NAMES)))
    agents = offers(hosts, *NAMES)
    assert await hosts.wait_for_hosts([], MembersBefore()) == NAMES
    return hosts, agents


async def left_of(hosts: Hosts) -> list[str]:
    """Return the workers that leave once these hosts serve a run."""
    run = FollowedRun()
    hosts.serve(cast(HostedRun, run))
    for task in run.tasks:
        await task
    return run.left


async def test_a_host_that_asks_to_leave_during_the_start_leaves_after_it() -> None:
    hosts, agents = await formed()
    agents[NAMES[1]].received(Withdraw(NO_EPOCH))
    assert await left_of(hosts) == [NAMES[1]]


async def test_a_host_that_was_lost_meanwhile_takes_no_other_with_it() -> None:
    hosts, agents = await formed()
    agents[NAMES[1]].received(Withdraw(NO_EPOCH))
    agents[NAMES[1]].lost("its host was lost")
    assert await left_of(hosts) == []


async def test_a_start_waits_for_each_host_whose_input_the_last_checkpoint_needs() -> None:
    hosts = new_hosts(HostSettings(agent_count=1))
    offers(hosts, NAMES[0])
    waiting = asyncio.create_task(hosts.wait_for_hosts([], MembersBefore(NAMES, NAMES)))
    await asyncio.sleep(0)
    assert hosts.agents.missing == 1
    assert hosts.counts()["wanted"] == 2
    offers(hosts, NAMES[1])
    async with asyncio.timeout(5):
        assert await waiting == NAMES


async def test_a_start_that_may_lose_input_does_not_wait_for_ever_for_its_host() -> None:
    settings = HostSettings(agent_count=1, agent_timeout_s=0.01)
    hosts = new_hosts(settings, may_lose_input=True)
    offers(hosts, NAMES[0])
    async with asyncio.timeout(5):
        assert await hosts.wait_for_hosts([], MembersBefore(NAMES, NAMES)) == NAMES[:1]
