"""Hosts that do not come: a worker waits for its own for some time, and a stop waits for none."""

import asyncio

import pytest

from wallaroo.coordinator.host_registry import HostRegistry, HostRules
from wallaroo.errors import ClusterError
from wallaroo_workers.initializer.placement.agents import Agents
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings

SETTINGS = WorkerSettings(
    name="far",
    incarnation=2,
    control_host="127.0.0.1",
    control_port=1,
    secret=b"secret",
    application=ApplicationSettings(module="counts", paths=[], arguments=[]),
    options=RunOptions(),
)


def agents_of(*, absence_s: float = 0.01) -> Agents:
    rules = HostRules(outline=[], silence_s=1.0, absence_s=absence_s)
    return Agents(HostRegistry(rules), "counts", "{}")


async def test_a_worker_is_not_started_if_its_host_stays_away() -> None:
    with pytest.raises(ClusterError, match="no host has offered to run worker far"):
        await agents_of().start(SETTINGS)


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
    await asyncio.wait([gathering], timeout=5)
    assert gathering.cancelled()
