"""Which agent gets which name, and that no name is ever used by two."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from wallaroo.coordinator.pool import Assignment, Pool, PoolAgent
from wallaroo.names import Epoch, WorkerName

W1, W2, W3 = (WorkerName(f"w{number}") for number in (1, 2, 3))
UNSEEN_S = 3.0


def agent(
    instance: str,
    zone: str = "here",
    only: WorkerName | None = None,
    **newest: int,
) -> PoolAgent:
    """Return an agent; ``newest`` has the newest journals on its disk, as in ``w1=4``."""
    journals = {WorkerName(name): Epoch(epoch) for name, epoch in newest.items()}
    return PoolAgent(instance=instance, zone=zone, only_name=only, newest=journals)


def pool_of(*agents: PoolAgent, wanted: tuple[WorkerName, ...] = ()) -> Pool:
    pool = Pool()
    for each in agents:
        pool.arrived(each)
    pool.want(wanted, 0.0)
    return pool


def test_agents_get_names_in_the_order_of_their_arrival() -> None:
    pool = pool_of(agent("a"), agent("b"), agent("c"), wanted=(W1, W2))
    assert pool.assignments(0.0) == [Assignment("a", W1), Assignment("b", W2)]
    assert [each.instance for each in pool.standby] == ["c"]
    assert pool.assignments(1.0) == []


def test_a_name_without_an_agent_is_absent_until_one_arrives() -> None:
    pool = pool_of(wanted=(W1,))
    assert pool.assignments(0.0) == []
    assert pool.absent == {W1: 0.0}
    pool.arrived(agent("a"))
    assert pool.assignments(5.0) == [Assignment("a", W1)]
    assert pool.absent == {}
    assert pool.wanted == [W1]


def test_the_name_that_is_absent_for_longest_is_given_first() -> None:
    pool = pool_of(agent("a"), agent("b"), wanted=(W1, W2))
    pool.assignments(0.0)
    pool.lost("b", 1.0, 0.0)
    pool.lost("a", 2.0, 0.0)
    pool.arrived(agent("c"))
    assert pool.assignments(3.0) == [Assignment("c", W2)]
    assert pool.absent == {W1: 2.0}


def test_a_standby_gets_the_name_of_a_lost_agent_when_the_lease_is_over() -> None:
    pool = pool_of(agent("a"), agent("b"), wanted=(W1,))
    pool.assignments(0.0)
    pool.lost("a", 10.0, UNSEEN_S)
    assert pool.assignments(10.0) == []
    assert pool.lease_ends_s() == 13.0
    assert pool.assignments(12.9) == []
    assert pool.assignments(13.0) == [Assignment("b", W1)]
    assert pool.lease_ends_s() is None


def test_the_return_of_the_lost_agent_ends_the_lease() -> None:
    pool = pool_of(agent("a"), agent("b"), wanted=(W1,))
    pool.assignments(0.0)
    pool.lost("a", 10.0, UNSEEN_S)
    assert pool.assignments(10.0) == []
    pool.arrived(agent("a", w1=2))
    assert pool.assignments(10.0) == [Assignment("a", W1)]


def test_a_lease_holds_also_if_the_name_is_wanted_again_later() -> None:
    pool = pool_of(agent("a"), agent("b"), wanted=(W1,))
    pool.assignments(0.0)
    pool.lost("a", 10.0, UNSEEN_S)
    pool.release(W1)
    assert pool.lease_ends_s() is None
    pool.want([W1], 11.0)
    assert pool.assignments(11.0) == []
    assert pool.assignments(13.0) == [Assignment("b", W1)]


def test_an_agent_that_accepts_one_name_gets_no_other() -> None:
    pool = pool_of(agent("a", only=W2), wanted=(W1,))
    assert pool.assignments(0.0) == []
    pool.want([W2], 1.0)
    assert pool.assignments(1.0) == [Assignment("a", W2)]


def test_an_agent_that_accepts_this_name_only_goes_first() -> None:
    pool = pool_of(agent("a", w1=3), agent("b", only=W1), wanted=(W1,))
    assert pool.assignments(0.0) == [Assignment("b", W1)]


def test_a_name_goes_where_its_newest_journal_is() -> None:
    pool = pool_of(agent("a"), agent("b", w1=3), agent("c", w1=5), agent("d", w2=9), wanted=(W1,))
    assert pool.assignments(0.0) == [Assignment("c", W1)]


def test_agents_with_journals_are_kept_for_their_workers() -> None:
    # w1 is given first, and would take b, which has the journal of w2.
    pool = pool_of(agent("b", w2=4), agent("a"), wanted=(W1, W2))
    assert pool.assignments(0.0) == [Assignment("b", W2), Assignment("a", W1)]


def test_the_journals_of_a_worker_that_waits_for_its_lease_keep_their_agent_for_it() -> None:
    pool = pool_of(agent("a"), agent("b", w2=4), agent("c"), wanted=(W2,))
    pool.assignments(0.0)
    pool.arrived(agent("d", w2=4))
    pool.lost("b", 1.0, UNSEEN_S)
    pool.want([W1], 1.0)
    assert pool.assignments(1.0) == [Assignment("a", W1)]
    assert pool.assignments(4.0) == [Assignment("d", W2)]


def test_workers_are_spread_over_zones() -> None:
    agents = (agent("a", "x"), agent("b", "x"), agent("c", "y"), agent("d", "y"))
    pool = pool_of(*agents, wanted=(W1, W2, W3))
    made = pool.assignments(0.0)
    assert made == [Assignment("a", W1), Assignment("c", W2), Assignment("b", W3)]


def test_a_released_agent_stands_by_again() -> None:
    pool = pool_of(agent("a"), wanted=(W1,))
    pool.assignments(0.0)
    pool.release(W1)
    assert pool.wanted == []
    pool.want([W2], 1.0)
    assert pool.assignments(1.0) == [Assignment("a", W2)]


def test_an_agent_that_leaves_takes_its_name_along() -> None:
    pool = pool_of(agent("a"), agent("b"), wanted=(W1,))
    pool.assignments(0.0)
    pool.left("a")
    pool.left("b")
    assert pool.wanted == []
    assert pool.standby == []


@dataclass
class Life:
    """What really runs: a process of a worker, perhaps on an agent that was lost."""

    instance: str
    name: WorkerName
    ends_s: float | None = None
    """When it has ended at the latest; ``None`` while its agent is connected."""


@dataclass
class World:
    now_s: float = 0.0
    count: int = 0
    connected: dict[str, WorkerName | None] = field(default_factory=dict)
    """Agents, and the only name that each accepts."""
    lost: list[str] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    def alive(self, name: WorkerName) -> list[Life]:
        return [
            each
            for each in self.lives
            if each.name == name and (each.ends_s is None or each.ends_s > self.now_s)
        ]


NAMES = st.sampled_from([W1, W2, W3])


class PoolMachine(RuleBasedStateMachine):
    """Agents arrive and are lost at random; the world knows what really runs."""

    @initialize()
    def begin(self) -> None:
        self.pool = Pool()
        self.world = World()

    @rule(
        zone=st.sampled_from("xyz"),
        only=st.none() | NAMES,
        newest=st.dictionaries(NAMES, st.integers(1, 9)),
    )
    def arrives(self, zone: str, only: WorkerName | None, newest: dict[WorkerName, int]) -> None:
        self.world.count += 1
        self.connect(f"agent{self.world.count}", zone, only, newest)

    @precondition(lambda self: self.world.lost)
    @rule(data=st.data())
    def comes_back(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(self.world.lost))
        self.world.lost.remove(instance)
        # An agent ends its worker before it connects again.
        self.world.lives = [each for each in self.world.lives if each.instance != instance]
        self.connect(instance, "x", None, {})

    def connect(
        self, instance: str, zone: str, only: WorkerName | None, newest: dict[WorkerName, int]
    ) -> None:
        self.world.connected[instance] = only
        epochs = {name: Epoch(epoch) for name, epoch in newest.items()}
        self.pool.arrived(PoolAgent(instance=instance, zone=zone, only_name=only, newest=epochs))

    @precondition(lambda self: self.world.connected)
    @rule(data=st.data(), unseen_s=st.sampled_from([0.0, 1.0, 5.0]))
    def is_lost(self, data: st.DataObject, unseen_s: float) -> None:
        instance = data.draw(st.sampled_from([*self.world.connected]))
        del self.world.connected[instance]
        self.world.lost.append(instance)
        for each in self.world.lives:
            if each.instance == instance and each.ends_s is None:
                each.ends_s = self.world.now_s + unseen_s
        self.pool.lost(instance, self.world.now_s, unseen_s)

    @rule(name=NAMES)
    def is_wanted(self, name: WorkerName) -> None:
        self.pool.want([name], self.world.now_s)

    @rule(name=NAMES)
    def leaves(self, name: WorkerName) -> None:
        holder = self.pool.holder(name)
        if holder is not None:
            self.world.lives = [each for each in self.world.lives if each.instance != holder]
        self.pool.release(name)

    @rule(passed_s=st.sampled_from([0.0, 0.5, 1.0, 5.0]))
    def assigns(self, passed_s: float) -> None:
        self.world.now_s += passed_s
        absent = self.pool.absent
        for each in self.pool.assignments(self.world.now_s):
            assert each.instance in self.world.connected
            assert self.world.connected[each.instance] in (None, each.name)
            assert each.name in absent
            assert not self.world.alive(each.name), f"{each.name} runs already"
            assert not any(
                life.instance == each.instance and life.ends_s is None for life in self.world.lives
            ), f"{each.instance} runs another worker"
            self.world.lives.append(Life(each.instance, each.name))
        self.nobody_waits_without_need()

    def nobody_waits_without_need(self) -> None:
        for name in self.pool.absent:
            fits = [each for each in self.pool.standby if each.only_name in (None, name)]
            assert not fits or self.world.alive(name), f"{name} waits, and {fits} stand by"
            if fits:
                ends_s = self.pool.lease_ends_s()
                assert ends_s is not None
                assert ends_s > self.world.now_s

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "pool"):
            self.pool.check()


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
