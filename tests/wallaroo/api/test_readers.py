from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import mistakes_of
from wallaroo.api.readers import (
    read_keys,
    read_name,
    read_partition,
    read_sink,
    read_source,
    read_state,
)
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.routing.keys import display_key
from wallaroo.topology.graph import SourceLocation, StateDeclaration

PLACE = SourceLocation("app.py", 7)


@wallaroo.decoder(4, ">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


SOURCE = wallaroo.TCPSourceConfig("h", "7010", decode)
SINK = wallaroo.TCPSinkConfig("h", "5555", encode)


def mistakes_of_reader(reader: Callable[..., object], *arguments: object) -> list[str]:
    return mistakes_of(lambda: reader(*arguments, PLACE))


@pytest.mark.parametrize("keys", [["b", "a"], ("b", "a")])
def test_declared_keys_keep_their_order(keys: object) -> None:
    assert read_keys(keys, PLACE) == ("b", "a")


@pytest.mark.parametrize("keys", [None, [], ()])
def test_keys_need_not_be_declared(keys: object) -> None:
    assert read_keys(keys, PLACE) == ()


@pytest.mark.parametrize(
    ("keys", "what"),
    [("ab", "the str 'ab'"), ({"a"}, "an object of class set"), (5, "the int 5")],
)
def test_declared_keys_are_a_list_or_a_tuple(keys: object, what: str) -> None:
    assert mistakes_of_reader(read_keys, keys) == [
        f"app.py:7: partition_keys is {what}; give a list or a tuple of keys"
    ]


def test_each_duplicate_is_told_once() -> None:
    assert mistakes_of_reader(read_keys, ["a", 1, "a", 1, "a", "b"]) == [
        "app.py:7: partition_keys has the key 'a' more than once; declare each key once",
        "app.py:7: partition_keys has the key 1 more than once; declare each key once",
    ]


def test_every_key_of_a_forbidden_type_is_reported() -> None:
    first, second = mistakes_of_reader(read_keys, [2.5, "a", ["b"]])
    assert first.startswith("app.py:7: partition_keys[0]: ")
    assert second.startswith("app.py:7: partition_keys[2]: ")


def test_keys_that_only_python_finds_equal_are_no_duplicates() -> None:
    keys = [1, True, "1", b"1", (1,), (True,)]
    assert [repr(display_key(key)) for key in read_keys(keys, PLACE)] == [*map(repr, keys)]


def test_a_name_is_a_string_with_something_in_it() -> None:
    assert read_name("it", "votes", PLACE) == "votes"
    assert mistakes_of_reader(read_name, "it", 5) == ["app.py:7: it is the int 5; give a string"]
    assert mistakes_of_reader(read_name, "it", " ") == [
        "app.py:7: it is empty; give a string with something in it"
    ]


def test_a_config_is_read_into_what_the_plan_knows() -> None:
    assert read_source(SOURCE, PLACE) == TCPSource("h", 7010, 4, ">I", decode.function)
    assert read_sink(SINK, "it", PLACE) == TCPSink("h", 5555, encode.function)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (SINK, "the sink TCPSinkConfig"),
        (("tcp", "h", "1"), "an object of class tuple"),
        (None,) * 2,
    ],
)
def test_a_pipeline_begins_with_a_source(config: object, what: str | None) -> None:
    assert mistakes_of_reader(read_source, config) == [
        f"app.py:7: the source_config of new_pipeline() is {what}; "
        "give a source, such as TCPSourceConfig(host, port, decoder), or an object of a class "
        "derived from wallaroo.PartitionedSource or wallaroo.PushedSource"
    ]


@pytest.mark.parametrize(
    ("config", "what"), [(SOURCE, "the source TCPSourceConfig"), (5, "the int 5")]
)
def test_a_pipeline_ends_with_a_sink(config: object, what: str) -> None:
    assert mistakes_of_reader(read_sink, config, "it") == [
        f"app.py:7: it is {what}; give a sink, such as TCPSinkConfig(host, port, encoder), or an "
        "object of a class derived from wallaroo.Sink, wallaroo.OnceSink or wallaroo.TwoPhaseSink"
    ]


def test_mistakes_of_a_config_keep_the_place_where_it_was_made() -> None:
    bad_port: Any = "x"
    source = wallaroo.TCPSourceConfig("h", bad_port, decode)
    sink = wallaroo.TCPSinkConfig("h", bad_port, encode)
    (of_source,) = mistakes_of_reader(read_source, source)
    (of_sink,) = mistakes_of_reader(read_sink, sink, "it")
    assert of_source.startswith("test_readers.py:")
    assert of_sink.startswith("test_readers.py:")


@pytest.mark.parametrize("partition", [len, decode, dict, None])
def test_a_partition_function_needs_partition(partition: object) -> None:
    (mistake,) = mistakes_of_reader(read_partition, partition)
    assert mistake.startswith("app.py:7: partition_function is ")


def test_a_mistaken_partition_function_keeps_its_place() -> None:
    @wallaroo.partition
    def takes_two(one: str, two: str) -> str:
        return one

    (mistake,) = mistakes_of_reader(read_partition, takes_two)
    assert mistake.startswith("test_readers.py:")
    assert "takes_two, decorated with @wallaroo.partition," in mistake


def test_a_state_class_is_called_without_arguments() -> None:
    class NeedsSize:
        def __init__(self, size: int) -> None:
            self.size = size

    assert read_state(dict, "s", (), PLACE) == StateDeclaration("s", dict, ())
    (mistake,) = mistakes_of_reader(read_state, 5, "s", ())
    assert "state_class of state 's' is the int 5" in mistake
    (mistake,) = mistakes_of_reader(read_state, NeedsSize, "s", ())
    assert "is called with no argument but is declared (size)" in mistake
    assert len(mistakes_of_reader(read_state, 5, "", ())) == 2
