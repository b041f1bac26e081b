"""What the manager and the hosts of a run on Ray do, with a Ray and processes that are fakes."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.homes.fake_ray import Actor, FakeRay, fake_ray
from wallaroo_cli.homes.ray_home import host as host_module
from wallaroo_cli.homes.ray_home import manager as manager_module
from wallaroo_cli.homes.ray_home.calls import RayCalls
from wallaroo_cli.homes.ray_home.children import Child
from wallaroo_cli.homes.ray_home.host import Host
from wallaroo_cli.homes.ray_home.initializer import READY
from wallaroo_cli.homes.ray_home.manager import Manager
from wallaroo_cli.homes.ray_home.spec import RaySpec

WAIT_S = 20.0
KILLED = -9


class FakeChild:
    """A process that does what the test wants."""

    def __init__(self, arguments: list[str], inherited: Sequence[int]) -> None:
        self.arguments = arguments
        self.reports = [os.dup(each) for each in inherited]
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.has_children = False
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1

    async def wait(self) -> int:
        return await self.status

    def end(self, status: int) -> None:
        for each in self.reports:
            os.close(each)
        self.status.set_result(status)

    def option(self, name: str) -> str:
        found = [each.partition("=")[2] for each in self.arguments if each.startswith(f"{name}=")]
        return found[-1] if found else ""

    def report(self, wanted: int) -> None:
        line = json.dumps({"control": "10.0.0.1:7100", "wanted": wanted})
        os.write(self.reports[0], line.encode() + b"\n")

    def ready(self) -> None:
        folder = os.path.dirname(self.option("--secret-file"))
        with open(os.path.join(folder, READY), "w"):
            pass


class Lab:
    """A run on a fake Ray."""

    def __init__(self, ray: FakeRay) -> None:
        self.ray = ray
        self.children: list[FakeChild] = []

    async def started(
        self, arguments: Sequence[str], _folder: str, inherited: Sequence[int] = ()
    ) -> FakeChild:
        child = FakeChild([*arguments], inherited)
        self.children.append(child)
        return child

    @property
    def initializers(self) -> list[FakeChild]:
        return [child for child in self.children if child.option("--control")]

    @property
    def agents(self) -> list[FakeChild]:
        return [child for child in self.children if child.option("--join")]

    def manager(self, **changes: Any) -> Actor:
        made = self.ray.remote(Manager).options(name="wallaroo:totals").remote(spec(**changes))
        assert isinstance(made, Actor)
        return made

    @property
    def hosts(self) -> list[str]:
        return [name for name in self.ray.actors if "/" in name]

    async def looked_at_all(self) -> None:
        """Wait until the manager has looked at each host twice more."""
        actors = [self.ray.actors[name] for name in self.hosts]
        goals = [actor.calls["look"] + 3 for actor in actors]
        await until(lambda: all(a.calls["look"] >= b for a, b in zip(actors, goals, strict=True)))

    async def running(self, manager: Actor, count: int) -> FakeChild:
        """Let the initializer listen, and wait until so many agents have joined it."""
        await until(lambda: bool(self.initializers))
        initializer = self.initializers[-1]
        before = len(self.agents)
        initializer.report(count)
        await until(lambda: len(self.agents) == before + count)
        initializer.ready()
        await until_ready(manager)
        return initializer


def spec(**changes: Any) -> RaySpec:
    values: dict[str, Any] = {
        "application": "totals",
        "module": "totals",
        "folder": "",
        "paths": [],
        "host_count": 2,
        "standby": 1,
        "worker_cpus": 1.0,
        "spread": "spread",
        "autoscale": None,
        "lease_s": float("inf"),
        "head": "",
        "is_local": False,
        "takes_over": True,
        "initializer": ["--checkpoint-interval=2"],
        "agent": ["--log-format=json"],
        "arguments": ["--in", "0.0.0.0:7010"],
        "log_form": "json",
    }
    return RaySpec(**{**values, **changes})


def text_of(path: str) -> str:
    return Path(path).read_text()


async def until(is_so: Callable[[], bool]) -> None:
    async def answer() -> bool:
        return is_so()

    await until_answered(answer)


async def until_answered(answer: Callable[[], Awaitable[Any]]) -> Any:
    """Return the first answer that is not false."""
    async with asyncio.timeout(WAIT_S):
        for pause_s in itertools.repeat(0.005):
            if found := await answer():
                return found
            await asyncio.sleep(pause_s)


async def until_ready(manager: Actor) -> None:
    async def is_ready() -> bool:
        return bool((await manager.follow.remote())["is_ready"])

    await until_answered(is_ready)


async def status_of(manager: Actor) -> int:
    """Return the status of a run once it is over."""

    async def state() -> dict[str, Any] | None:
        found: dict[str, Any] = await manager.follow.remote()
        return None if found["status"] is None else found

    return int((await until_answered(state))["status"])


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    for name in ("STEP_S", "LOOK_EVERY_S", "END_STEP_S"):
        monkeypatch.setattr(manager_module, name, 0.01)
    monkeypatch.setattr(host_module, "ASK_EVERY_S", 0.01)
    with fake_ray() as ray:
        lab = Lab(ray)
        monkeypatch.setattr(Child, "started", lab.started)
        yield lab
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def test_a_manager_has_an_initializer_and_the_hosts_that_it_wants(lab: Lab) -> None:
    manager = lab.manager()
    initializer = await lab.running(manager, 3)
    assert initializer.option("--expect-workers") == "2"
    assert initializer.option("--standby") == "1"
    assert initializer.option("--control") == "10.0.0.1:0"
    assert initializer.option("--checkpoint-interval") == "2"
    assert initializer.arguments[-2:] == ["--in", "0.0.0.0:7010"]
    assert "--take-over" in initializer.arguments
    assert {agent.option("--join") for agent in lab.agents} == {"10.0.0.1:7100"}
    assert {agent.option("--bind") for agent in lab.agents} == {"10.0.0.1"}
    assert sorted(lab.hosts) == [f"wallaroo:totals/h{number}" for number in (1, 2, 3)]
    options = lab.ray.actors["wallaroo:totals/h1"].options
    assert (options["lifetime"], options["max_restarts"]) == ("detached", -1)
    assert (options["num_cpus"], options["scheduling_strategy"]) == (1.0, "SPREAD")
    assert options["max_task_retries"] == 0


async def test_the_secret_is_in_private_files_and_not_in_what_ray_stores(lab: Lab) -> None:
    await lab.running(lab.manager(), 3)
    secrets = set()
    for child in lab.children:
        path = child.option("--secret-file")
        assert os.stat(path).st_mode & 0o077 == 0
        secrets.add(text_of(path))
    [secret] = secrets
    assert secret not in repr(spec())
    assert not any(secret in argument for child in lab.children for argument in child.arguments)


async def test_more_hosts_are_started_when_the_initializer_wants_more(lab: Lab) -> None:
    initializer = await lab.running(lab.manager(), 3)
    initializer.report(5)
    await until(lambda: len(lab.hosts) == 5)


async def test_a_killed_initializer_is_replaced_and_agents_join_the_next_one(lab: Lab) -> None:
    manager = lab.manager()
    initializer = await lab.running(manager, 3)
    initializer.report(4)  # the cluster has grown
    await until(lambda: len(lab.agents) == 4)
    initializer.end(KILLED)
    for agent in lab.agents:
        agent.end(3)
    await until(lambda: len(lab.initializers) == 2)
    second = lab.initializers[1]
    assert second.option("--expect-workers") == "3"
    assert second.option("--secret-file") != initializer.option("--secret-file")
    second.report(4)
    await until(lambda: len(lab.agents) == 8)
    folders = {os.path.dirname(agent.option("--secret-file")) for agent in lab.agents[4:]}
    assert len(folders) == 4


async def test_what_is_not_a_whole_line_of_json_is_ignored(lab: Lab) -> None:
    manager = lab.manager()
    initializer = await lab.running(manager, 3)
    os.write(initializer.reports[0], b'{"control": "10.0.\n\n')
    initializer.report(4)
    await until(lambda: len(lab.hosts) == 4)
    os.write(initializer.reports[0], b'{"control": "10.0.0.1:7100", "wan')
    initializer.end(KILLED)
    await until(lambda: len(lab.initializers) == 2)


async def test_a_mistake_ends_the_run_with_its_status_and_leaves_nothing(lab: Lab) -> None:
    manager = lab.manager()
    await until(lambda: bool(lab.initializers))
    lab.initializers[0].end(2)
    assert await status_of(manager) == 2
    assert lab.hosts == []
    await until(lambda: bool(lab.ray.left))
    assert len(lab.initializers) == 1


async def test_an_agent_with_a_mistake_ends_a_run_that_was_never_ready(lab: Lab) -> None:
    manager = lab.manager()
    await until(lambda: bool(lab.initializers))
    lab.initializers[0].report(3)
    await until(lambda: len(lab.agents) == 3)
    lab.agents[0].end(2)
    await until(lambda: lab.initializers[0].stops == 1)
    lab.initializers[0].end(0)
    assert await status_of(manager) == 2


async def test_a_job_with_an_end_ends_with_status_0(lab: Lab) -> None:
    manager = lab.manager()
    initializer = await lab.running(manager, 3)
    for agent in lab.agents:
        agent.end(0)
    initializer.end(0)
    assert await status_of(manager) == 0
    assert len(lab.agents) == 3
    await until(lambda: bool(lab.ray.left))


async def test_requests_to_stop_reach_the_initializer(lab: Lab) -> None:
    manager = lab.manager()
    initializer = await lab.running(manager, 3)
    for count in (1, 2):
        await manager.stop.remote()
        await until(lambda count=count: initializer.stops == count)  # type: ignore[misc]


async def test_a_run_stops_when_its_driver_is_not_heard_any_more(lab: Lab) -> None:
    lab.manager(lease_s=0.05)
    await until(lambda: bool(lab.initializers) and lab.initializers[0].stops == 1)


async def test_a_host_that_ray_has_given_up_is_replaced(lab: Lab) -> None:
    await lab.running(lab.manager(), 3)
    name = lab.hosts[0]
    lab.ray.actors.pop(name).is_dead = True
    await until(lambda: "wallaroo:totals/h4" in lab.ray.actors)


async def test_a_host_that_ray_restarts_is_awaited(lab: Lab) -> None:
    await lab.running(lab.manager(), 3)
    lab.ray.actors["wallaroo:totals/h1"].is_restarting = True
    await lab.looked_at_all()
    assert sorted(lab.hosts) == [f"wallaroo:totals/h{number}" for number in (1, 2, 3)]


async def test_strict_hosts_are_bound_to_nodes_of_their_own(lab: Lab) -> None:
    lab.manager(spread="strict", standby=0)
    await until(lambda: len(lab.hosts) == 2)
    strategies = [lab.ray.actors[name].options["scheduling_strategy"] for name in lab.hosts]
    assert strategies == [(("n1",), {"soft": False}), (("n2",), {"soft": False})]


async def test_a_manager_that_ray_has_started_again_keeps_the_hosts(lab: Lab) -> None:
    first = lab.manager()
    await lab.running(first, 3)
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "").startswith("Manager."):
            task.cancel()
    lab.ray.actors.pop("wallaroo:totals")
    lab.ray.is_restarted = True
    lab.manager()
    await until(lambda: len(lab.initializers) == 2)
    assert lab.initializers[1].option("--expect-workers") == "2"
    for agent in lab.agents:
        agent.end(3)
    lab.initializers[1].report(3)
    await until(lambda: len(lab.agents) == 6)
    assert len(lab.hosts) == 3


async def test_the_cluster_grows_before_a_draining_node_is_left(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = lab.manager()
    asked: list[tuple[str, dict[str, Any]]] = []

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        asked.append((method, params))
        initializer.report(6)
        await until(lambda: len(lab.agents) == 6)
        return {"result": {}}

    monkeypatch.setattr(manager.instance, "ask", ask)
    initializer = await lab.running(manager, 3)
    first = lab.agents[:3]
    for agent in first:
        agent.has_children = True
    await lab.looked_at_all()
    lab.ray.draining = {"n1": 0}
    await until(lambda: all(agent.stops == 1 for agent in first))
    assert asked[0] == ("grow", {"workers": 3, "wait": True})


async def test_a_host_withdraws_in_order_and_runs_no_other_agent(lab: Lab) -> None:
    await lab.running(lab.manager(), 3)
    host = lab.ray.actors["wallaroo:totals/h1"]
    await host.withdraw.remote()
    agent = next(agent for agent in lab.agents if agent.stops)
    agent.end(0)

    async def has_ended() -> bool:
        return bool((await host.look.remote())["status"] == 0)

    await until_answered(has_ended)
    assert len(lab.agents) == 3


async def test_a_host_without_a_manager_ends(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "ALONE_S", 0.05)
    lab.ray.remote(Host).options(name="wallaroo:totals/h1").remote("h1", spec())
    await until(lambda: lab.ray.left == ["left"])


async def test_an_agent_that_fails_is_started_again(lab: Lab) -> None:
    await lab.running(lab.manager(), 3)
    lab.agents[0].end(1)
    await until(lambda: len(lab.agents) == 4)


async def test_a_request_before_the_initializer_listens_says_so(lab: Lab) -> None:
    manager = lab.manager()
    answer = await manager.ask.remote("status", {})
    assert "is being started" in answer["error"]


async def test_a_release_of_ray_without_drains_has_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("ray._private.state.state")
    assert RayCalls(spec()).draining() == {}
