"""What somebody who tests an application of their own gets from ``wallaroo.testing``."""

from typing import Any

import pytest

import wallaroo
from wallaroo.testing import ALL_FAULTS, Faults, SimulationError, simulate
from wallaroo.topology.plan import Application

WORDS = [letter.encode() for letter in "abracadabra" * 8]


class Total:
    """How often a word has come."""

    def __init__(self) -> None:
        self.count = 0


class SharedTotal:
    """Forgets that it may be saved and made again."""

    seen = 0

    def __init__(self) -> None:
        self.count = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def whole(record: str) -> str:
    return record


@wallaroo.state_computation("count")
def count(record: str, state: Total) -> tuple[str, bool]:
    state.count += 1
    return f"{record} => {state.count}", True


@wallaroo.state_computation("count in class")
def count_in_class(record: str, state: SharedTotal) -> tuple[str, bool]:
    SharedTotal.seen += 1
    state.count = SharedTotal.seen
    return record, True


@wallaroo.encoder
def encode(record: str) -> str:
    return f"{record}\n"


def counting() -> Application:
    return (
        wallaroo.ApplicationBuilder("counting")
        .new_pipeline("words", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_state_partition(count, Total, "totals", whole)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 1, encode))
        .build()
    )


def counting_in_a_class() -> Application:
    SharedTotal.seen = 0
    return (
        wallaroo.ApplicationBuilder("in a class")
        .new_pipeline("words", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_state_partition(count_in_class, SharedTotal, "totals", whole)
        .to_sink(wallaroo.FileSinkConfig("out.txt", encode))
        .build()
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_application_comes_through(seed: int) -> None:
    result = simulate(counting(), {"words": [WORDS, WORDS]}, seed=seed, workers=2)
    totals = {key: state.count for key, state in result.states["totals"].items()}
    assert totals == {"a": 80, "b": 32, "r": 32, "c": 16, "d": 16}


def test_an_application_that_keeps_state_elsewhere_is_found_out() -> None:
    words: dict[str, list[Any]] = {"words": [[b"one", b"two", b"three"] * 10]}
    with pytest.raises(SimulationError, match=r"seed 0: state 'totals', key 'one'") as caught:
        simulate(counting_in_a_class(), words, seed=0)
    assert "run it again: simulate(..., seed=0)" in str(caught.value)
    assert "the last steps:" in str(caught.value)


def test_faults_can_be_chosen() -> None:
    faults = Faults(initializer_crashes=0, machine_crashes=0, resizes=False)
    injected = [
        simulate(counting(), {"words": [WORDS]}, seed=seed, faults=faults).injected
        for seed in range(10)
    ]
    kinds = set().union(*injected)
    assert "worker crash" in kinds
    assert not kinds & {"initializer crash", "machine crash", "resizes"}
    assert ALL_FAULTS.resizes


class Kept(wallaroo.Sink[Any]):
    """Gets what the computation returned, without an encoder."""

    def write(self, records: list[Any]) -> None: ...


@wallaroo.state_computation("list")
def listed(record: str, state: Total) -> tuple[dict[str, int], bool]:
    state.count += 1
    return {record: state.count}, True


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_sink_of_an_author_gets_objects_at_least_once(is_durable: bool) -> None:
    application = (
        wallaroo.ApplicationBuilder("objects")
        .new_pipeline("words", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_state_partition(listed, Total, "totals", whole)
        .to_sink(Kept())
        .build()
    )
    for seed in range(10):
        result = simulate(application, {"words": [WORDS]}, seed=seed, durable=is_durable)
        counted = {repr(row) for row in result.output[0]}
        assert counted >= {repr({"a": total}) for total in range(1, WORDS.count(b"a") + 1)}
