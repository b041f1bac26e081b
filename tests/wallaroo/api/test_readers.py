from typing import Any

import pytest

import wallaroo
from wallaroo import ApplicationBuilder, TCPSinkConfig, TCPSourceConfig, WallarooParameterError


@wallaroo.decoder(4, ">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


@wallaroo.partition
def by_letter(record: str) -> str:
    return record[0]


@wallaroo.computation("upper")
def upper(record: str) -> str:
    return record.upper()


@wallaroo.computation_multi("split")
def split(record: str) -> list[str]:
    return record.split()


@wallaroo.state_computation("count")
def count(record: str, state: dict[str, int]) -> tuple[int, bool]:
    return 1, True


class OldUpper:
    def name(self) -> str:
        return "old upper"

    def compute(self, record: str) -> str:
        return record.upper()


class OldCount:
    def name(self) -> str:
        return "old count"

    def compute_multi(self, record: str, state: dict[str, int]) -> tuple[list[int], bool]:
        return [1], True


class OldPartition:
    def partition(self, record: str) -> str:
        return record[0]


SOURCE = TCPSourceConfig("127.0.0.1", "0", decode)
SINK = TCPSinkConfig("127.0.0.1", "5555", encode)


def opened() -> ApplicationBuilder:
    return ApplicationBuilder("app").new_pipeline("p", SOURCE)


def mistakes_of(builder: ApplicationBuilder) -> list[str]:
    with pytest.raises(WallarooParameterError) as caught:
        builder.build()
    return [*caught.value.mistakes]


def mistake_of(builder: ApplicationBuilder) -> str:
    (mistake,) = mistakes_of(builder)
    assert mistake.startswith("test_readers.py:")
    return mistake


@pytest.mark.parametrize("computation", [count, by_letter, len, 5, None, OldUpper, OldCount()])
def test_to_takes_stateless_computations_only(computation: Any) -> None:
    mistake_of(opened().to(computation).to_sink(SINK))
    mistake_of(opened().to_parallel(computation).to_sink(SINK))


@pytest.mark.parametrize("computation", [upper, split, by_letter, len, OldUpper()])
def test_a_state_step_takes_state_computations_only(computation: Any) -> None:
    mistake_of(opened().to_stateful(computation, dict, "s").to_sink(SINK))
    mistake_of(opened().to_state_partition(computation, dict, "s", by_letter).to_sink(SINK))


def test_the_remedy_names_the_right_method() -> None:
    mistake = mistake_of(opened().to(count).to_sink(SINK))
    assert mistake.endswith("use to_stateful() or to_state_partition()")
    mistake = mistake_of(opened().to_stateful(upper, dict, "s").to_sink(SINK))
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


@pytest.mark.parametrize(
    ("keys", "seen"),
    [
        ("ab", "partition_keys is the str 'ab'; give a list or a tuple of keys"),
        ({"a"}, "partition_keys is an object of class set"),
        (["a", "b", "a", "a"], "partition_keys has the key 'a' more than once"),
        ([1, 2.5], "partition_keys[1]: "),
        ([["a"]], "partition_keys[0]: "),
    ],
)
def test_declared_keys_are_checked(keys: Any, seen: str) -> None:
    builder = opened().to_state_partition(count, dict, "s", by_letter, keys).to_sink(SINK)
    assert seen in mistake_of(builder)


def test_keys_that_only_python_finds_equal_are_no_duplicates() -> None:
    builder = opened().to_state_partition(count, dict, "s", by_letter, [1, True, "1", b"1"])
    assert len(builder.to_sink(SINK).build().states["s"].declared_keys) == 4


@pytest.mark.parametrize("partition", [len, count, OldPartition, None])
def test_a_partition_function_needs_partition(partition: Any) -> None:
    builder = opened().to_state_partition(count, dict, "s", partition).to_sink(SINK)
    assert "partition_function is" in mistake_of(builder)


def test_a_mistaken_partition_function_is_reported() -> None:
    @wallaroo.partition
    def wrong(one: str, two: str) -> str:
        return one

    builder = opened().to_state_partition(count, dict, "s", wrong).to_sink(SINK)
    assert "wrong, decorated with @wallaroo.partition," in mistake_of(builder)


def test_a_state_class_is_called_without_arguments() -> None:
    class NeedsSize:
        def __init__(self, size: int) -> None:
            self.size = size

    mistake = mistake_of(opened().to_stateful(count, 5, "s").to_sink(SINK))
    assert "state_class of state 's' is the int 5" in mistake
    mistake = mistake_of(opened().to_stateful(count, NeedsSize, "s").to_sink(SINK))
    assert "is called with no argument but is declared (size)" in mistake


@pytest.mark.parametrize("name", ["", None, 5])
def test_names_are_strings_with_something_in_them(name: Any) -> None:
    builder = ApplicationBuilder(name).new_pipeline(name, SOURCE).to_stateful(count, dict, name)
    mistakes = mistakes_of(builder.to_sink(SINK))
    subjects = ["the application name is", "the pipeline name is", "state_name is"]
    assert len(mistakes) == 3
    assert all(subject in mistake for subject, mistake in zip(subjects, mistakes, strict=True))


@pytest.mark.parametrize(
    ("config", "seen"),
    [
        (SINK, "is the sink TCPSinkConfig; give a source"),
        (("tcp", "h", "1"), "is an object of class tuple"),
        (None, "is None"),
        (TCPSourceConfig("h", "x", decode), "the port of TCPSourceConfig is the str 'x'"),
    ],
)
def test_a_pipeline_begins_with_a_source(config: Any, seen: str) -> None:
    builder = ApplicationBuilder("app").new_pipeline("p", config).to_sink(SINK)
    assert seen in mistake_of(builder)


@pytest.mark.parametrize(
    ("config", "seen"),
    [
        (SOURCE, "is the source TCPSourceConfig; give a sink"),
        (5, "is the int 5"),
        (TCPSinkConfig("h", 0, encode), "the port of TCPSinkConfig is the int 0"),
    ],
)
def test_a_pipeline_ends_with_a_sink(config: Any, seen: str) -> None:
    assert seen in mistake_of(opened().to_sink(config))
    assert seen in mistake_of(opened().to_sinks([SINK, config]))
