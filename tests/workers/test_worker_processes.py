"""Processes of workers whose host does not come: a member's is waited for, a joiner's given up."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from wallaroo.coordinator.events import StartWorker
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo_workers.initializer.placement.agents import AgentRules, Agents
from wallaroo_workers.initializer.placement.worker_processes import WorkerProcesses
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings

FAR = WorkerName("far")


def settings_of(order: StartWorker) -> WorkerSettings:
    return WorkerSettings(
        name=order.worker,
        incarnation=order.incarnation,
        control_host="127.0.0.1",
        control_port=1,
        secret=b"secret",
        application=ApplicationSettings(module="counts", paths=[], arguments=[]),
        options=RunOptions(),
    )


def agents_of(*, absence_s: float = 0.01) -> Agents:
    return Agents(
        AgentRules(
            application="counts", outline=[], options="{}", silence_s=1.0, absence_s=absence_s
        )
    )


async def start(*, is_joining: bool) -> list[tuple[WorkerName, Epoch, str]]:
    """Have a worker started on a host that never comes; return who was said to be lost."""
    agents = agents_of()
    lost: list[tuple[WorkerName, Epoch, str]] = []
    agents.on_exit = lambda *what: lost.append(what)
    started: list[Coroutine[Any, Any, None]] = []
    processes = WorkerProcesses(
        agents, settings_of, lambda _name, _epoch: None, started.append, lambda _: None, 3
    )
    processes.start(StartWorker(FAR, Epoch(2), is_restart=False, is_joining=is_joining))
    await asyncio.gather(*started)
    return lost


async def test_a_member_whose_host_stays_away_ends_the_run() -> None:
    with pytest.raises(ClusterError, match="no host has offered to run worker far"):
        await start(is_joining=False)


async def test_one_that_is_to_join_and_whose_host_stays_away_is_lost_and_nothing_else() -> None:
    [(worker, incarnation, reason)] = await start(is_joining=True)
    assert (worker, incarnation) == (FAR, Epoch(2))
    assert "cannot be started: no host has offered" in reason


@pytest.mark.parametrize("turns_between", range(4))
async def test_hosts_are_not_waited_for_when_a_stop_comes_as_one_offers(turns_between: int) -> None:
    agents = agents_of()
    gathering = asyncio.create_task(agents.gathered(2, (), "127.0.0.1:1"))
    for _ in range(4):
        await asyncio.sleep(0)
    agents.changed.set()
    for _ in range(turns_between):
        await asyncio.sleep(0)
    gathering.cancel()
    await asyncio.wait([gathering], timeout=5)
    assert gathering.cancelled()
