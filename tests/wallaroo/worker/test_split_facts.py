"""What a worker answers about its splits."""

from typing import Any, cast

from wallaroo.ingest.split_ports import SplitSource
from wallaroo.worker.split_facts import lag_facts, split_facts


class Source:
    def __init__(self, *names: str) -> None:
        self.names = names

    def facts(self) -> list[dict[str, Any]]:
        return [{"split": name} for name in self.names]


class Lagging(Source):
    """Splits of these lags in records and seconds."""

    def __init__(self, *lags: tuple[int | None, float | None]) -> None:
        self.lags = lags

    def facts(self) -> list[dict[str, Any]]:
        return [{"lag": lag, "lag_s": lag_s} for lag, lag_s in self.lags]


def facts_of(limit: int, **sources: Source) -> list[dict[str, Any]]:
    by_index = {int(name[1:]): cast(SplitSource, each) for name, each in sources.items()}
    found: list[dict[str, Any]] = split_facts(by_index, {"limit": limit})["sources"]
    return found


def test_the_splits_of_each_pipeline_are_in_the_order_of_their_names() -> None:
    assert facts_of(10, p0=Source("b", "a"), p2=Source()) == [
        {"pipeline": 0, "count": 2, "splits": [{"split": "a"}, {"split": "b"}]},
        {"pipeline": 2, "count": 0, "splits": []},
    ]


def test_more_splits_than_the_limit_are_counted_only() -> None:
    (found,) = facts_of(1, p0=Source("a", "b", "c"))
    assert (found["count"], len(found["splits"])) == (3, 1)


def test_a_source_is_behind_by_the_sum_of_its_lags_and_as_old_as_its_slowest_split() -> None:
    source = Lagging((3, 0.5), (None, 9.0), (4, None))
    assert lag_facts({1: cast(SplitSource, source)}) == [
        {"pipeline": 1, "splits": 3, "lag": 7, "lag_s": 9.0}
    ]


def test_a_lag_that_no_split_knows_is_not_0() -> None:
    (found,) = lag_facts({0: cast(SplitSource, Lagging((None, None)))})
    assert (found["splits"], found["lag"], found["lag_s"]) == (1, None, None)
