from typing import Any

import pytest

from tests.wallaroo.api.letters import SINK, by_letter, count, opened
from tests.wallaroo.api.words import mistakes_of, split, upper
from wallaroo import ApplicationBuilder


class OldUpper:
    def name(self) -> str:
        return "old upper"

    def compute(self, record: str) -> str:
        return record.upper()


class OldCount:
    def name(self) -> str:
        return "old count"

    def compute_multi(self, record: str, state: dict[str, int]) -> tuple[list[str], bool]:
        return ["1"], True


class OldPartition:
    def partition(self, record: str) -> str:
        return record[0]


def mistake_of(builder: ApplicationBuilder) -> str:
    (mistake,) = mistakes_of(builder.build)
    assert mistake.startswith("test_step_arguments.py:")
    return mistake


def test_objects_in_class_style_are_read_by_their_methods() -> None:
    old, old_count, old_partition = OldUpper(), OldCount(), OldPartition()
    builder = opened().to(old).to_state_partition(old_count, dict, "s", old_partition)
    (pipeline,) = builder.to_sink(SINK).build().pipelines
    first, second = pipeline.stages
    assert (first.steps[0].name, first.steps[0].function) == ("old upper", old.compute)
    assert not first.steps[0].is_multi
    assert (second.steps[0].name, second.steps[0].function) == (
        "old count",
        old_count.compute_multi,
    )
    assert second.steps[0].is_multi
    assert second.exchange is not None
    assert second.exchange.partition == old_partition.partition
    assert second.exchange.partition_name == "OldPartition"


@pytest.mark.parametrize("computation", [count, by_letter, 5, None, OldUpper, OldCount()])
def test_to_takes_stateless_computations_only(computation: Any) -> None:
    mistake_of(opened().to(computation).to_sink(SINK))
    mistake_of(opened().to_parallel(computation).to_sink(SINK))


@pytest.mark.parametrize("computation", [upper, split, by_letter, len, OldUpper()])
def test_a_state_step_takes_state_computations_only(computation: Any) -> None:
    mistake_of(opened().to_stateful(computation, dict, "s").to_sink(SINK))
    mistake_of(opened().to_state_partition(computation, dict, "s", by_letter).to_sink(SINK))


def test_the_remedy_names_the_right_method() -> None:
    stateful: Any = count
    mistake = mistake_of(opened().to(stateful).to_sink(SINK))
    assert mistake.endswith("use to_stateful() or to_state_partition()")
    stateless: Any = upper
    mistake = mistake_of(opened().to_stateful(stateless, dict, "s").to_sink(SINK))
    assert "use to() or to_parallel(), or give a function decorated with" in mistake


def test_a_name_method_that_fails_is_a_mistake() -> None:
    class Nameless(OldUpper):
        def name(self) -> str:
            raise KeyError("name")

    class Empty(OldUpper):
        def name(self) -> str:
            return ""

    assert "raised KeyError: 'name'" in mistake_of(opened().to(Nameless()).to_sink(SINK))
    assert "name of the computation of to() is empty" in mistake_of(
        opened().to(Empty()).to_sink(SINK)
    )
