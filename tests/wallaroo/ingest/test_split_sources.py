"""The sources of one worker that are read by split: what is given, and where each split begins."""

from typing import Any

import pytest

from tests.wallaroo.ingest.orders import AT, NotedSource, orders_plan
from wallaroo.checkpoint.split_positions import (
    INITIAL,
    NEW,
    SplitKind,
    SplitPosition,
    earlier,
    to_share,
)
from wallaroo.ingest.split_sources import UNKNOWN_SPLITS, SplitSources


class Around:
    """What the sources of a worker are made of, as far as it is needed here."""

    def __init__(self) -> None:
        self.plan = orders_plan()
        self.done: list[str] = []
        self.made: list[NotedSource] = []
        self.engine = self
        self.timing = self
        self.expected: set[object] = set()
        """What clocks wait for."""
        ports: Any = self
        self.sources = SplitSources(ports)

    def expect(self, pipeline: int, channel: object) -> None:
        self.expected.add(channel)

    def expect_no_longer(self, pipeline: int, channel: object) -> None:
        self.expected.discard(channel)

    def new_split_source(self, index: int) -> NotedSource:
        assert index == 0
        self.made.append(NotedSource(self.done))
        return self.made[-1]


@pytest.fixture
def around() -> Around:
    return Around()


def initial(around: Around, *splits: str) -> None:
    around.sources.give(0, SplitKind.INITIAL, [*splits], [])


async def test_splits_that_are_given_early_are_read_when_the_sources_open(around: Around) -> None:
    initial(around, "a")
    assert around.made == []
    await around.sources.open()
    assert around.made[0].splits == {"a": INITIAL}
    assert around.done == ["started"]


async def test_splits_that_are_given_later_are_read_at_once(around: Around) -> None:
    await around.sources.open()
    around.sources.give(0, SplitKind.NEW, ["a"], [])
    around.sources.give(0, SplitKind.AT, ["b"], [[40, 2]])
    assert around.made[0].splits == {"a": NEW, "b": AT}


async def test_clocks_wait_until_a_worker_knows_its_splits(around: Around) -> None:
    await around.sources.open()
    assert around.expected == {UNKNOWN_SPLITS}
    around.sources.give(0, SplitKind.NEW, [], [])
    assert not around.expected


async def test_clocks_do_not_wait_for_splits_that_are_known_early(around: Around) -> None:
    initial(around)
    await around.sources.open()
    assert not around.expected


async def test_a_position_in_the_checkpoint_comes_before_what_is_given(around: Around) -> None:
    initial(around, "a", "b")
    around.sources.go_back({0: to_share({"a": AT, "of another worker": AT})})
    await around.sources.open()
    assert around.made[0].splits == {"a": AT, "b": INITIAL}


async def test_a_checkpoint_decides_nothing_about_splits_that_are_given_later(
    around: Around,
) -> None:
    around.sources.go_back({0: to_share({"a": AT})})
    await around.sources.open()
    around.sources.give(0, SplitKind.AT, ["a"], [[50, 0]])
    assert around.made[0].splits == {"a": SplitPosition(SplitKind.AT, [50, 0])}


async def test_a_source_is_asked_where_a_run_goes_on_with_splits_of_an_earlier_one(
    around: Around,
) -> None:
    around.sources.give(0, SplitKind.EARLIER, ["a", "b", "new"], [])
    around.sources.go_back({0: to_share({"a": AT, "b": INITIAL})})
    await around.sources.open()
    assert around.made[0].splits == {"a": earlier(AT), "b": INITIAL, "new": INITIAL}
    assert around.sources.take_asking() == [0]


@pytest.mark.parametrize("kind", [SplitKind.EARLIER, SplitKind.INITIAL])
async def test_a_checkpoint_of_this_run_says_which_splits_it_has_still_to_ask_for(
    around: Around, kind: SplitKind
) -> None:
    around.sources.give(0, kind, ["a"], [])
    around.sources.go_back({0: to_share({"a": earlier(AT)})})
    await around.sources.open()
    assert around.made[0].splits == {"a": earlier(AT)}


async def test_a_source_that_has_nothing_to_say_goes_on_where_it_was(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NotedSource, "resumes", False)
    around.sources.give(0, SplitKind.EARLIER, ["a"], [])
    around.sources.go_back({0: to_share({"a": AT})})
    await around.sources.open()
    assert around.made[0].splits == {"a": AT}
    assert around.sources.take_asking() == []


async def test_only_pipelines_with_unknown_first_positions_are_asked(around: Around) -> None:
    await around.sources.open()
    around.sources.give(0, SplitKind.NEW, ["a"], [])
    assert around.sources.take_asking() == []
    initial(around, "b")
    assert around.sources.take_asking() == [0]
    assert around.sources.take_asking() == []


async def test_a_source_whose_splits_were_never_discovered_has_no_positions(
    around: Around,
) -> None:
    await around.sources.open()
    assert around.sources.positions() == {}
    initial(around)
    assert around.sources.positions() == {0: to_share({})}


async def test_splits_that_other_workers_read_are_not_in_the_share(around: Around) -> None:
    initial(around, "a", "b")
    await around.sources.open()
    assert around.sources.positions_of({0: ["a"]}) == {0: to_share({"a": INITIAL})}
    around.sources.remove({0: ["a"]})
    assert around.sources.positions() == {0: to_share({"b": INITIAL})}


async def test_the_old_reader_is_closed_before_a_new_one_is_made(around: Around) -> None:
    initial(around, "a")
    await around.sources.open()
    around.sources.rewind()
    assert around.sources.positions() == {}
    initial(around, "a")
    await around.sources.open()
    assert around.done == ["started", "stopped", "closed", "started"]
    assert [each.splits for each in around.made] == [{"a": INITIAL}, {"a": INITIAL}]


async def test_what_was_given_before_a_rewind_is_forgotten(around: Around) -> None:
    initial(around, "a")
    around.sources.rewind()
    await around.sources.open()
    assert around.made[0].splits == {}


async def test_what_is_open_stays_open(around: Around) -> None:
    await around.sources.open()
    await around.sources.open()
    assert len(around.made) == 1


async def test_sources_learn_which_of_their_positions_are_committed(around: Around) -> None:
    initial(around, "a")
    await around.sources.open()
    around.sources.committed({0: to_share({"a": AT}), 1: 17})
    assert around.made[0].committed_positions == [{"a": AT}]
