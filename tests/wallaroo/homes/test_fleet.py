"""Which hosts a home runs, and which of them leave."""

import itertools
import math
from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.homes.fleet import (
    GROW_AGAIN_S,
    Fleet,
    FleetEffect,
    ForgetHost,
    GrowFirst,
    HostView,
    StartHost,
    WithdrawHost,
)

NODES = ["n1", "n2", "n3", "n4"]


class Home:
    """A home that does at once what a fleet asks for."""

    def __init__(self, count: int, *, is_strict: bool = False, known: Iterable[str] = ()) -> None:
        self.fleet = Fleet(count, is_strict=is_strict, known=known)
        self.views: dict[str, HostView] = {}
        self.draining: dict[str, float] = {}
        self.now_s = 0.0

    def step(self) -> list[FleetEffect]:
        self.now_s += 1
        effects = self.fleet.step(self.now_s, self.views, NODES, self.draining)
        for effect in effects:
            match effect:
                case StartHost(name, node):
                    self.views[name] = HostView(node=node)
                case ForgetHost(name):
                    del self.views[name]
        return effects

    def grown(self, *, is_done: bool) -> list[FleetEffect]:
        return self.fleet.grown(self.now_s, self.views, is_done=is_done)

    def run_workers(self, **nodes: str) -> None:
        for name, node in nodes.items():
            self.views[name] = HostView(node=node, has_worker=True)


def started(effects: list[FleetEffect]) -> list[str]:
    return [each.name for each in effects if isinstance(each, StartHost)]


def test_as_many_hosts_as_are_wanted_are_started_once() -> None:
    home = Home(3)
    assert home.step() == [StartHost("h1", ""), StartHost("h2", ""), StartHost("h3", "")]
    assert home.step() == []


def test_more_are_started_when_more_are_wanted() -> None:
    home = Home(1)
    home.step()
    home.fleet.want(3)
    assert started(home.step()) == ["h2", "h3"]


def test_a_host_whose_worker_left_is_forgotten_and_not_replaced() -> None:
    home = Home(2)
    home.step()
    home.run_workers(h1="n1", h2="n2")
    home.views["h2"] = HostView(node="n2", status=0)
    home.fleet.want(1)
    assert home.step() == [ForgetHost("h2")]
    assert home.step() == []


def test_a_host_that_ended_in_order_is_replaced_only_if_the_run_goes_on() -> None:
    home = Home(2)
    home.step()
    home.views["h2"] = HostView(node="n2", status=0)
    assert home.step() == [ForgetHost("h2")]
    assert home.step() == []
    assert started(home.step()) == ["h3"]


def test_a_host_that_the_home_restarts_is_not_missing() -> None:
    home = Home(2)
    home.step()
    home.run_workers(h1="n1", h2="n2")
    home.views["h2"] = HostView()
    assert home.step() == []


def test_a_dead_host_is_replaced_and_repeated_deaths_pause_longer() -> None:
    home = Home(1)
    home.step()
    starts = []
    for _ in range(40):
        for name in home.views:
            home.views[name] = HostView(is_dead=True)
        if started(home.step()):
            starts.append(home.now_s)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[0] <= 2
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 8


def test_without_a_failure_for_a_minute_the_next_one_is_the_first() -> None:
    home = Home(1)
    home.step()
    for _ in range(10):
        home.views = {name: HostView(is_dead=True) for name in home.views}
        home.step()
    home.now_s += 100
    home.step()
    home.views = {name: HostView(is_dead=True) for name in home.views}
    home.step()
    assert started(home.step())


def test_strict_puts_each_host_on_a_node_of_its_own() -> None:
    home = Home(3, is_strict=True)
    assert home.step() == [StartHost("h1", "n1"), StartHost("h2", "n2"), StartHost("h3", "n3")]
    home.fleet.want(6)
    assert home.step() == [StartHost("h4", "n4")], "and no host waits on a node of another"
    assert home.step() == []


def test_strict_replaces_a_dead_host_on_a_free_node() -> None:
    home = Home(3, is_strict=True)
    home.step()
    home.views["h2"] = HostView(is_dead=True)
    assert home.step() == [ForgetHost("h2")]
    assert home.step() == [StartHost("h4", "n2")]


def test_hosts_that_wait_for_a_node_are_given_up_when_fewer_are_wanted() -> None:
    home = Home(1)
    home.step()
    home.run_workers(h1="n1")
    home.fleet.want(3)
    home.step()
    home.fleet.want(2)
    assert home.step() == [ForgetHost("h3")]


def test_hosts_of_an_earlier_manager_are_kept_and_their_names_not_used_again() -> None:
    home = Home(2, known=["h3", "h7"])
    home.run_workers(h3="n1", h7="n2")
    assert home.step() == []
    home.fleet.want(3)
    assert started(home.step()) == ["h8"]


def test_a_host_that_was_lost_together_with_an_earlier_manager_is_replaced() -> None:
    home = Home(3, known=["h1", "h3"])
    home.run_workers(h1="n1", h3="n2")
    assert home.fleet.wanted == 3
    assert started(home.step()) == ["h4"]


def test_the_cluster_grows_before_hosts_with_workers_leave_a_draining_node() -> None:
    home = Home(3)
    home.step()
    home.run_workers(h1="n1", h2="n1", h3="n2")
    home.draining["n1"] = math.inf
    assert home.step() == [GrowFirst(2)]
    assert home.step() == [], "it is asked once"
    home.fleet.want(5)
    assert started(home.step()) == ["h4", "h5"]
    home.run_workers(h4="n3", h5="n4")
    assert home.grown(is_done=True) == [WithdrawHost("h1"), WithdrawHost("h2")]
    assert home.step() == [], "a host that leaves counts until its worker has ended"
    for name in ("h1", "h2"):
        home.views[name] = HostView(node="n1", status=0)
    home.fleet.want(3)
    assert home.step() == [ForgetHost("h1"), ForgetHost("h2")]
    assert home.step() == []


def test_a_draining_node_is_asked_about_again_if_the_cluster_could_not_grow() -> None:
    home = Home(1)
    home.step()
    home.run_workers(h1="n1")
    home.draining["n1"] = math.inf
    assert home.step() == [GrowFirst(1)]
    assert home.grown(is_done=False) == []
    refused_s = home.now_s
    while not (effects := home.step()):
        pass
    assert effects == [GrowFirst(1)]
    assert home.now_s - refused_s == GROW_AGAIN_S, "not in each step"


def test_a_refusal_to_grow_does_not_delay_leaving_a_node_that_ends_soon() -> None:
    home = Home(1)
    home.step()
    home.run_workers(h1="n1")
    home.draining["n1"] = math.inf
    home.step()
    home.grown(is_done=False)
    home.draining["n1"] = home.now_s + 5
    assert home.step() == [WithdrawHost("h1")]


def test_a_node_that_ends_soon_is_left_immediately() -> None:
    home = Home(1)
    home.step()
    home.run_workers(h1="n1")
    home.draining["n1"] = home.now_s + 5
    assert home.step() == [WithdrawHost("h1")]


def test_a_host_without_a_worker_leaves_a_draining_node_at_once_and_is_replaced() -> None:
    home = Home(2)
    home.step()
    home.run_workers(h1="n1")
    home.views["h2"] = HostView(node="n2")
    home.draining["n2"] = math.inf
    assert home.step() == [WithdrawHost("h2"), StartHost("h3", "")]


def test_a_host_that_the_home_restarts_elsewhere_while_it_leaves_does_not_leave_any_more() -> None:
    home = Home(1)
    home.step()
    home.run_workers(h1="n1")
    home.draining["n1"] = home.now_s + 5
    assert home.step() == [WithdrawHost("h1")]
    home.views["h1"] = HostView(node="n2")
    assert home.step() == [], "it is one of those that are wanted"
    home.run_workers(h1="n2")
    home.draining = {"n2": home.now_s + 5}
    assert home.step() == [WithdrawHost("h1")], "it leaves the next node, too"


def test_a_host_that_has_lost_its_node_before_it_can_leave_it_stays() -> None:
    home = Home(1)
    home.step()
    home.run_workers(h1="n1")
    home.draining["n1"] = math.inf
    home.step()
    home.fleet.want(2)
    home.step()
    home.run_workers(h2="n2")
    home.views["h1"] = HostView()
    assert home.grown(is_done=True) == [WithdrawHost("h1")]
    home.views["h1"] = HostView(node="n3")
    assert home.step() == []


STATES = st.sampled_from(
    [
        HostView(),
        HostView(node="n1"),
        HostView(node="n2", has_worker=True),
        HostView(node="n3", status=0),
        HostView(node="n3", status=1),
        HostView(is_dead=True),
    ]
)
DRAINING: st.SearchStrategy[Mapping[str, float]] = st.dictionaries(
    st.sampled_from(NODES), st.sampled_from([0.0, math.inf]), max_size=2
)


@given(
    st.booleans(),
    st.lists(st.tuples(st.lists(STATES, max_size=6), st.integers(0, 6), DRAINING), max_size=20),
)
def test_whatever_is_seen_never_more_hosts_than_wanted_are_started(
    is_strict: bool, seen: list[tuple[list[HostView], int, Mapping[str, float]]]
) -> None:
    home = Home(2, is_strict=is_strict)
    for views, wanted, draining in seen:
        names = home.fleet.names
        home.views = dict(zip(names, views, strict=False))
        home.draining = dict(draining)
        home.fleet.want(wanted)
        effects = home.fleet.step(home.now_s, home.views, NODES, home.draining)
        new = started(effects)
        kept = [
            name
            for name in home.fleet.names
            if name not in new and home.views.get(name, HostView()).has_worker
        ]
        assert not new or len(kept) + len(new) <= wanted
        assert len(set(names) & set(new)) == 0
        nodes = [each.node for each in effects if isinstance(each, StartHost)]
        assert len(set(nodes)) == len(nodes) or not is_strict
        home.now_s += 20


def test_a_host_runs_while_it_is_on_a_node_and_its_agent_has_not_ended() -> None:
    assert HostView(node="n1").is_running
    others = [HostView(), HostView(node="n1", status=0), HostView(node="n1", is_dead=True)]
    assert not any(view.is_running for view in others)
