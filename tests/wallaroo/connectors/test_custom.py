import functools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.topology.test_fingerprint import PIPELINE, PLAN
from wallaroo.api.readers import read_source
from wallaroo.connectors.base import Assignment, Source
from wallaroo.topology.fingerprint import displaced, outline
from wallaroo.topology.graph import SourceLocation

PLACE = SourceLocation("app.py", 7)


def decode_text(payload: bytes) -> str:
    return payload.decode()


@wallaroo.decoder
def decode_line(payload: bytes) -> str:
    return payload.decode()


class Numbers(wallaroo.PartitionedSource[int]):
    decoder = decode_text

    def __init__(self, topic: str = "numbers") -> None:
        self.topic = topic

    def read(self, partition: str, position: Any) -> Iterator[wallaroo.Batch[int]]:
        yield wallaroo.Batch([1], position=1)

    def identity(self) -> str:
        return f"topic {self.topic}"


class Inbox(wallaroo.PushedSource[int]):
    def receive(self) -> Iterator[wallaroo.Delivery[int]]:
        yield wallaroo.Delivery(1)

    def ack(self, tags: Any) -> None: ...


def mistakes_of(config: object) -> list[str]:
    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        read_source(config, PLACE)
    return [*caught.value.mistakes]


def outline_of(source: Source) -> tuple[str, ...]:
    return outline(replace(PLAN, pipelines=(replace(PIPELINE, source=source),)))


def test_a_source_with_partitions_is_assigned_by_split() -> None:
    source = read_source(Numbers(), PLACE)
    assert source.assignment is Assignment.BY_SPLIT
    assert source.describe() == "partitioned source topic numbers"
    assert not source.keeps_journal
    assert source.ends


def test_the_plan_shows_the_key_of_a_source_and_how_often_it_looks_for_partitions() -> None:
    class Growing(Numbers):
        key = "utf-8"
        discovery = timedelta(seconds=90)

    source = read_source(Growing(), PLACE)
    assert source.describe() == (
        "partitioned source topic numbers, key 'utf-8', discovery every 90 s"
    )


def test_a_source_that_looks_for_partitions_does_not_end() -> None:
    class Growing(Numbers):
        discovery = timedelta(seconds=1)

    assert not read_source(Growing(), PLACE).ends


@pytest.mark.parametrize(
    ("where", "assignment"),
    [("everywhere", Assignment.EVERY_WORKER), ("once", Assignment.ONE_WORKER)],
)
def test_a_pushed_source_runs_everywhere_or_once(where: str, assignment: Assignment) -> None:
    class Chosen(Inbox):
        runs = where

    source = read_source(Chosen(), PLACE)
    assert source.assignment is assignment
    assert source.keeps_journal


def test_a_decoder_of_the_class_is_not_bound_to_the_object() -> None:
    assert read_source(Numbers(), PLACE).decoder is decode_text


def test_of_a_decorated_decoder_the_function_is_called() -> None:
    class Lines(Numbers):
        decoder: Any = decode_line

    assert read_source(Lines(), PLACE).decoder is decode_line.function


def test_a_source_without_decoder_hands_out_records() -> None:
    assert read_source(Inbox(), PLACE).decoder is None


def test_the_outline_keeps_what_an_author_says_of_a_source() -> None:
    assert outline_of(read_source(Numbers(), PLACE))[1] == (
        f"pipeline 'p' with source Numbers(identity='topic numbers', decode={__name__}.decode_text)"
    )


def test_positions_are_not_used_for_another_topic() -> None:
    ours, theirs = (
        outline_of(read_source(Numbers(), PLACE)),
        outline_of(read_source(Numbers("letters"), PLACE)),
    )
    assert displaced(ours, ours) == ""
    assert displaced(ours, theirs) == (
        "in the place of [pipeline 'p' with source Numbers, identity='topic numbers'] "
        "is [pipeline 'p' with source Numbers, identity='topic letters']"
    )


def test_another_decoder_is_the_same_source() -> None:
    class Lines(Numbers):
        decoder: Any = decode_line

    Lines.__name__ = "Numbers"
    ours, theirs = read_source(Numbers(), PLACE), read_source(Lines(), PLACE)
    assert displaced(outline_of(ours), outline_of(theirs)) == ""


def test_a_method_that_is_missing_is_a_mistake() -> None:
    class Nothing(wallaroo.PushedSource[int]): ...

    assert mistakes_of(Nothing()) == [
        "app.py:7: Nothing has no method receive(); write it",
        "app.py:7: Nothing has no method ack(); write it",
    ]
    assert mistakes_of(wallaroo.PartitionedSource[int]()) == [
        "app.py:7: PartitionedSource has no method read(); write it"
    ]


def test_methods_that_cannot_be_called_as_they_are_are_mistakes() -> None:
    class Short(Numbers):
        def read(self, p: str) -> Any:  # type: ignore[override]
            yield None

        def start(self) -> Any:  # type: ignore[override]
            return None

    class Deaf(Inbox):
        def ack(self) -> None:  # type: ignore[override]
            return None

    assert mistakes_of(Short()) == [
        "app.py:7: Short.read(p: str) -> Any does not take what it is called with; "
        "write def read(self, partition, position)",
        "app.py:7: Short.start() -> Any does not take what it is called with; "
        "write def start(self, partition)",
    ]
    assert mistakes_of(Deaf()) == [
        "app.py:7: Deaf.ack() -> None does not take what it is called with; "
        "write def ack(self, tags)"
    ]


def test_a_method_may_have_other_names_defaults_and_decorators() -> None:
    def with_session(function: Any) -> Any:
        @functools.wraps(function)
        def called(self: Any, *arguments: Any) -> Any:
            return function(self, "session", *arguments)

        return called

    class Free(Numbers):
        @with_session
        def read(self, session: str, p: str, at: Any) -> Any:
            yield None

        def partitions(self, prefix: str = "") -> list[str]:
            return []

    assert [*Free().mistakes_at("app.py:7")] == []


def test_a_read_that_is_a_coroutine_is_a_mistake() -> None:
    class Returns(Numbers):
        async def read(self, partition: str, position: Any) -> Any:  # type: ignore[override]
            return []

    assert mistakes_of(Returns()) == [
        "app.py:7: read of Returns is a coroutine, not a generator; yield batches in it"
    ]


def test_seconds_as_nanoseconds_and_another_name_of_discovery_are_mistakes() -> None:
    class Often(Numbers):
        discovery = 5

    class Renamed(Numbers):
        discovery_s = 5

    assert mistakes_of(Often()) == [
        "app.py:7: discovery of Often is 5, and an integer counts nanoseconds; give "
        "wallaroo.seconds(5)"
    ]
    assert mistakes_of(Renamed()) == [
        "app.py:7: discovery_s of Renamed is not read; set discovery, a duration such as "
        "wallaroo.seconds(5)"
    ]


def test_a_reader_does_without_read() -> None:
    class Read(wallaroo.PartitionedSource[int]):
        def reader(self) -> Any: ...

    assert read_source(Read(), PLACE).describe().endswith("Read")


def test_what_an_author_finds_wrong_is_a_mistake() -> None:
    class Wrong(Inbox):
        runs = "twice"
        decoder: Any = 5

        def mistakes(self) -> list[str]:
            return ["the port is 0; give another"]

    assert mistakes_of(Wrong()) == [
        'app.py:7: runs of Wrong is \'twice\'; give "everywhere" or "once"',
        "app.py:7: the decoder of Wrong is an int; give a function of a payload, or None",
        "app.py:7: Wrong: the port is 0; give another",
    ]


def test_an_author_who_raises_does_not_end_the_build() -> None:
    class Raises(Inbox):
        def identity(self) -> str:
            raise KeyError("topic")

    class Unnamed(Inbox):
        def identity(self) -> Any:
            return 5

    assert mistakes_of(Raises()) == [
        "app.py:7: identity() of Raises raised KeyError: 'topic'; correct it"
    ]
    assert mistakes_of(Unnamed()) == [
        "app.py:7: identity() of Unnamed returned an int; return a string"
    ]


@pytest.mark.parametrize("discovery", [5.0, timedelta(0), "1s"])
def test_discovery_is_a_duration(discovery: Any) -> None:
    looks = type("Looks", (Numbers,), {"discovery": discovery})
    (mistake,) = mistakes_of(looks())
    assert mistake.startswith("app.py:7: discovery of Looks is ")


def test_a_kind_that_no_worker_knows_is_a_mistake() -> None:
    class Odd(wallaroo.SourceConfig[int]):
        def source(self) -> Any:
            return object()

        def mistakes_at(self, place: str, /) -> list[str]:
            return []

    assert mistakes_of(Odd()) == [
        "app.py:7: Odd.source() returned an object of class object; return a "
        "wallaroo.connectors.base.Source, or derive from wallaroo.PartitionedSource"
    ]
