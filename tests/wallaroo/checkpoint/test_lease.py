"""The lease under virtual time: of several runs on one store one lives, on one host or on several.

A run here is a process that acquires the lease, keeps it and releases it. It can crash, or stand
still like a process that got SIGSTOP.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from wallaroo.checkpoint import lease as lease_module
from wallaroo.checkpoint.lease import DYING_S, LEASE_S, RENEW_INTERVAL_S, Lease, LeasePorts
from wallaroo.checkpoint.owner import Evidence, Owner
from wallaroo.checkpoint.patience import PatientStore
from wallaroo.errors import ClusterError, FencedError, WallarooError
from wallaroo.testing import store as store_module
from wallaroo.testing.faults import NO_FAULTS, Chaos
from wallaroo.testing.loop import Loop, Process, Run, Task
from wallaroo.testing.store import Objects, SimulatedStore

STORE_S = 8.0
"""More than the store takes for all requests of one decision, even if most of them are slow."""
STEPS = 200_000
SEEDS = range(150)


class StoppableProcess(Process):
    """A process that can stand still: what is due meanwhile is done when it goes on."""

    still_until_s = 0.0

    def run(self, run: Run, place: str = "step") -> None:
        if self.loop.now_s < self.still_until_s:
            self.loop.call_later(self.still_until_s - self.loop.now_s, run, self)
            return
        super().run(run, place)


class World:
    """A store, and the runs that use it."""

    def __init__(self, seed: int = 0, failed_writes: int = 0) -> None:
        random = Random(seed)
        self.loop = Loop(random, 200)
        self.chaos = Chaos(replace(NO_FAULTS, failed_writes=failed_writes), random, self.loop)
        self.objects = Objects()
        self.runs: list[SimulatedRun] = []

    def clock(self) -> float:
        return self.loop.now_s

    def run(self, name: str, host: str = "alpha", **options: Any) -> "SimulatedRun":
        run = SimulatedRun(self, name, host, **options)
        self.runs.append(run)
        return run

    def pass_time(self, seconds: float) -> None:
        end: list[bool] = []
        self.loop.call_later(seconds, lambda: end.append(True))
        assert self.loop.run(lambda: bool(end), STEPS)

    def until(self, is_true: Callable[[], object], within_s: float = 60.0) -> float:
        """Return after how many seconds it is true."""
        begun_s = self.loop.now_s
        late: list[bool] = []
        self.loop.call_later(within_s, lambda: late.append(True))
        self.loop.run(lambda: bool(is_true() or late), STEPS)
        assert is_true(), "\n".join(self.loop.story)
        return self.loop.now_s - begun_s


class SimulatedRun:
    """One run of the command: wants the lease from its first moment on."""

    def __init__(self, world: World, name: str, host: str, *, takes_over: bool = False) -> None:
        self.world = world
        self.host = host
        self.process = StoppableProcess(world.loop, name, world.chaos)
        self.is_owner = False
        self.error: WallarooError | None = None
        self.reported: list[str] = []
        self.me = Owner(
            token=f"token of {name}",
            host=host,
            machine=host,
            boot=f"boot of {host}",
            pid=1 + len(world.runs),
            started_ticks=1,
            pid_space="pid",
            net_space="net",
            application="letters",
            since_unix_s=world.loop.now_s,
        )
        self.store = PatientStore(
            SimulatedStore(self.process, world.objects, world.chaos),
            self.process.pause,
            world.clock,
            lambda event, values: None,
            timeout_s=60,
        )
        ports = LeasePorts(self.process.pause, world.clock, self.look, self.report, self.report)
        self.lease = Lease(self.store, self.me, ports)
        self.task: Task = self.process.start(self._work(takes_over))

    async def _work(self, takes_over: bool) -> None:
        try:
            await self.lease.acquire(takes_over=takes_over)
            self.check_alone()
            self.is_owner = True
            self.store.stop_waiting()
            self.world.loop.tell(self.process.name, "is the owner")
            await self.lease.keep()
        except WallarooError as error:
            self.ended(error)

    def check_alone(self) -> None:
        """Called as this run becomes the owner."""

    def ended(self, error: WallarooError) -> None:
        self.is_owner, self.error = False, error
        self.process.end(f"ended: {error.what}")

    def look(self, owner: Owner | None) -> Evidence:
        for run in self.world.runs:
            if owner is not None and run.me.token == owner.token and run.host == self.host:
                return Evidence(process_lives=run.process.is_alive)
        return Evidence(process_lives=False)

    def report(self, event: str, values: dict[str, Any]) -> None:
        self.reported.append(event)
        self.world.loop.tell(self.process.name, f"{event} {values}")

    def crash(self) -> None:
        self.process.end("crashed")
        self.is_owner = False

    def stand_still(self, seconds: float) -> None:
        self.process.still_until_s = self.world.loop.now_s + seconds

    def release(self) -> None:
        """Stop in order."""

        async def releasing() -> None:
            try:
                await self.lease.release()
            except WallarooError as error:
                self.ended(error)
            self.process.end("stopped")

        self.task.cancel()
        self.is_owner = False
        self.process.start(releasing())


def owning(world: World, name: str = "first", host: str = "alpha") -> SimulatedRun:
    """Start a run and let it become the owner; a store that refuses writes would end it at once."""
    run = world.run(name, host)
    world.chaos.is_over = True
    world.until(lambda: run.is_owner)
    world.chaos.is_over = False
    return run


@pytest.mark.parametrize("host", ["alpha", "beta"])
@pytest.mark.parametrize("seed", range(20))
def test_a_second_run_is_refused_while_the_first_lives(host: str, seed: int) -> None:
    world = World(seed, failed_writes=6)
    first = owning(world)
    world.pass_time(world.loop.random.random() * LEASE_S)
    second = world.run("second", host)
    took_s = world.until(lambda: second.error)
    assert took_s < DYING_S + RENEW_INTERVAL_S + STORE_S
    assert isinstance(second.error, ClusterError)
    assert "belong to a run that is alive: process 1 on host alpha" in second.error.what
    assert "--take-over" in second.error.hint
    world.pass_time(3 * LEASE_S)
    assert first.is_owner


def test_a_crashed_owner_does_not_delay_its_own_restart() -> None:
    world = World()
    owning(world).crash()
    again = world.run("again")
    assert world.until(lambda: again.is_owner) < 0.5
    assert again.reported == []


def test_a_request_of_a_crashed_owner_that_arrives_late_does_not_keep_its_restart_out() -> None:
    world = World()
    first = owning(world)
    first.process.start(first.lease.renew())
    world.pass_time(0.0001)
    first.crash()
    again = world.run("again")
    assert world.until(lambda: again.is_owner) < 0.5


def test_a_process_that_dies_slowly_is_waited_for_a_moment() -> None:
    world = World()
    first = owning(world)
    first.task.cancel()
    again = world.run("again")
    world.pass_time(DYING_S / 2)
    assert not again.is_owner
    first.crash()
    assert world.until(lambda: again.is_owner) < 1.0


@pytest.mark.parametrize("seed", range(20))
def test_a_crashed_owner_on_another_host_is_replaced_when_its_lease_has_run_out(seed: int) -> None:
    world = World(seed, failed_writes=6)
    first = owning(world)
    world.pass_time(world.loop.random.random() * LEASE_S)
    first.crash()
    world.chaos.is_over = True
    second = world.run("second", "beta")
    assert LEASE_S <= world.until(lambda: second.is_owner) < LEASE_S + STORE_S
    assert second.reported.count("lease.waiting") == 1


@pytest.mark.parametrize("still_s", [LEASE_S + STORE_S, 20 * LEASE_S])
def test_an_owner_that_wakes_up_behind_another_one_ends(still_s: float) -> None:
    world = World()
    first = owning(world)
    first.stand_still(still_s)
    second = world.run("second", "beta")
    world.until(lambda: second.is_owner)
    world.until(lambda: first.error, within_s=still_s + STORE_S)
    assert isinstance(first.error, FencedError)
    assert "were taken over by process 2 on host beta" in first.error.what
    world.pass_time(3 * LEASE_S)
    assert second.is_owner
    third = world.run("third", "gamma")
    world.until(lambda: third.error)


def test_a_short_standstill_costs_nothing() -> None:
    world = World()
    first = owning(world)
    first.stand_still(LEASE_S / 2)
    second = world.run("second", "beta")
    world.until(lambda: second.error)
    world.pass_time(LEASE_S)
    assert first.is_owner


@pytest.mark.parametrize("host", ["alpha", "beta"])
def test_an_owner_that_stopped_in_order_keeps_nobody_waiting(host: str) -> None:
    world = World()
    first = owning(world)
    first.release()
    world.until(lambda: not first.process.is_alive)
    second = world.run("second", host)
    assert world.until(lambda: second.is_owner) < 0.5
    assert second.reported == []


def test_numbers_go_on_after_a_stop_so_that_a_sleeper_finds_out() -> None:
    world = World()
    sleeper = owning(world)
    sleeper.stand_still(20 * LEASE_S)
    second = world.run("second", "beta")
    world.until(lambda: second.is_owner)
    second.release()
    third = world.run("third", "gamma")
    world.until(lambda: third.is_owner)
    world.until(lambda: sleeper.error, within_s=30 * LEASE_S)
    assert third.is_owner


@pytest.mark.parametrize("seed", range(20))
def test_of_two_that_start_at_once_one_is_refused(seed: int) -> None:
    world = World(seed, failed_writes=3)
    hosts = ["alpha", world.loop.random.choice(["alpha", "beta"])]
    runs = [world.run(f"run {number}", host) for number, host in enumerate(hosts)]
    world.until(lambda: any(run.error for run in runs))
    world.pass_time(LEASE_S)
    assert sorted(run.is_owner for run in runs) == [False, True]


def test_a_take_over_waits_for_nobody_and_ends_the_owner() -> None:
    world = World()
    first = owning(world)
    second = world.run("second", "beta", takes_over=True)
    assert world.until(lambda: second.is_owner) < 0.5
    assert world.until(lambda: first.error) < RENEW_INTERVAL_S + 0.5
    world.pass_time(3 * LEASE_S)
    assert second.is_owner


@pytest.mark.parametrize("data", [b"", b"no owner", b"\x89wallaro\x01\x04"])
def test_a_lease_that_cannot_be_read_is_respected_until_it_has_run_out(data: bytes) -> None:
    world = World()
    world.objects.by_name["owner/0000000007"] = data
    run = world.run("run")
    assert LEASE_S <= world.until(lambda: run.is_owner) < LEASE_S + STORE_S
    assert "lease.damaged" in run.reported
    world.pass_time(LEASE_S)
    assert [name for name in world.objects.by_name if name.startswith("owner/")] == [
        max(world.objects.by_name)
    ]


def test_an_owner_goes_past_damage_behind_its_own_lease() -> None:
    world = World()
    first = owning(world)
    number = int(max(world.objects.by_name).removeprefix("owner/"))
    world.objects.by_name[f"owner/{number + 1:010}"] = b"damaged"
    world.pass_time(3 * LEASE_S)
    assert first.is_owner
    second = world.run("second")
    world.until(lambda: second.error)


def test_a_lease_that_somebody_deleted_is_written_again() -> None:
    world = World()
    first = owning(world)
    world.objects.by_name.clear()
    world.pass_time(2 * RENEW_INTERVAL_S)
    second = world.run("second", "beta")
    world.until(lambda: second.error)
    assert first.is_owner


def test_a_store_that_is_away_for_long_does_not_end_its_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(failed_writes=1000)
    first = owning(world)
    monkeypatch.setattr(store_module, "FAILURE_PROBABILITY", 1.0)
    world.chaos._left["failed_writes"] = 10_000
    world.pass_time(3 * LEASE_S)
    monkeypatch.setattr(store_module, "FAILURE_PROBABILITY", 0.0)
    world.pass_time(LEASE_S)
    assert first.is_owner
    assert first.reported.count("lease.renewal_failed") == 1


class Checked(SimulatedRun):
    """A run that fails if it becomes the owner beside one that lives and is awake."""

    def check_alone(self) -> None:
        now_s = self.world.loop.now_s
        for other in self.world.runs:
            # A process that stood still has a moment to notice what happened meanwhile.
            is_awake = other.process.still_until_s < now_s - RENEW_INTERVAL_S - STORE_S
            if other.is_owner and other.process.is_alive and is_awake:
                raise AssertionError(
                    f"{self.process.name} and {other.process.name} both own the store"
                )


def play(seed: int) -> int:
    """Runs start, crash, stand still and stop at random; return how many became the owner."""
    world = World(seed, failed_writes=10)
    random = world.loop.random
    owners: set[str] = set()
    for number in range(12):
        run = Checked(world, f"run {number}", random.choice(["alpha", "beta", "gamma"]))
        world.runs.append(run)
        world.pass_time(random.random() * random.choice([0.1, 5, 40]))
        owners |= {each.process.name for each in world.runs if each.is_owner}
        for victim in [each for each in world.runs if each.is_owner]:
            match random.randrange(5):
                case 0:
                    victim.crash()
                case 1:
                    victim.stand_still(random.random() * 4 * LEASE_S)
                case 2:
                    victim.release()
    world.pass_time(4 * LEASE_S)
    last = Checked(world, "last", "delta")
    world.runs.append(last)
    world.until(lambda: last.is_owner or last.error)
    world.pass_time(STORE_S)
    owning = [each.process.name for each in world.runs if each.is_owner and each.process.is_alive]
    assert len(owning) == 1, owning
    return len(owners)


def test_whatever_happens_one_run_owns_the_store_and_its_successor_comes() -> None:
    assert sum(play(seed) for seed in SEEDS) > 2 * len(SEEDS)


@pytest.mark.parametrize("bug", ["lease is too short", "sleepers are believed"])
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bug == "lease is too short":
        monkeypatch.setattr(lease_module, "LEASE_S", RENEW_INTERVAL_S / 4)
    else:

        async def deletes_without_looking(self: Lease) -> None:
            names = [lease_module._name(each) for each in range(1, self._number)]
            await self._store.delete(names)

        monkeypatch.setattr(Lease, "_tidy", deletes_without_looking)
    with pytest.raises(AssertionError):
        for seed in SEEDS:
            play(seed)
