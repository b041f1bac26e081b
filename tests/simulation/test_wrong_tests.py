"""A test of a user that checks nothing, or something else than was meant, must not pass."""

import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.simulation.split_applications import beside_senders, followed
from wallaroo.testing import NO_FAULTS, SimulationError, simulate
from wallaroo.testing.cutting import frames, lines
from wallaroo.testing.oracle import plain
from wallaroo.topology.plan import Application


@wallaroo.decoder(header_length=1, length_fmt=">B")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.computation("to number")
def to_number(record: str) -> int:
    return int(record)


@wallaroo.encoder
def as_line(record: int) -> str:
    return f"{record}\n"


@wallaroo.encoder
def as_frame(record: int) -> bytes:
    return struct.pack(">IH", 2, record)


class Counting:
    def __init__(self, end: int | None) -> None:
        self.end = end

    def initial_value(self) -> str:
        return "0"

    def apply(self, value: str) -> str | None:
        following = int(value) + 1
        return None if following == self.end else str(following)


def numbers(encode: Any = as_line) -> Application:
    return (
        wallaroo.ApplicationBuilder("numbers")
        .new_pipeline("requests", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to(to_number)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 1, encode))
        .build()
    )


def of_lines() -> Application:
    source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline")
    return (
        wallaroo.ApplicationBuilder("lines")
        .new_pipeline("requests", source)
        .to(to_number)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 1, as_line))
        .build()
    )


def made(end: int | None) -> Application:
    return (
        wallaroo.ApplicationBuilder("made")
        .new_pipeline("made", wallaroo.GenSourceConfig(Counting(end)))
        .to(to_number)
        .to_sink(wallaroo.FileSinkConfig("out.txt", as_line))
        .build()
    )


def from_file() -> Application:
    return (
        wallaroo.ApplicationBuilder("from file")
        .new_pipeline("file", wallaroo.FileSourceConfig("in.txt", decode, framing="newline"))
        .to(to_number)
        .to_sink(wallaroo.FileSinkConfig("out.txt", as_line))
        .build()
    )


def run(plan: Any, input: Any, **more: Any) -> Any:
    return simulate(plan, input, seed=1, workers=more.pop("workers", 2), **more)


@pytest.mark.parametrize(
    ("plan", "input", "sentence"),
    [
        (numbers, {"request": [[b"1"]]}, "did you mean 'requests'"),
        (numbers, {"votes": [[b"1"]]}, "its pipelines are: 'requests'"),
        (numbers, {}, "nothing is sent"),
        (numbers, {"requests": []}, "nothing is sent"),
        (numbers, {"requests": [[], []]}, "nothing is sent"),
        (numbers, {"requests": [["1"]]}, "payload 0 of sender 0 .* is a str; call encode"),
        (numbers, {"requests": [[b"1", 2]]}, "payload 1 of sender 0 .* is an int"),
        (numbers, {"requests": [b"1"]}, "sender 0 .* is a bytes; give a list of senders"),
        (numbers, {"requests": b"1"}, "is a bytes; give a list of senders"),
        (numbers, {"requests": [["1"], [None]]}, "payload 0 of sender 1"),
        (numbers, {"requests": [[b"1" * 300]]}, "has 300 bytes, too many for its header '>B'"),
        (of_lines, {"requests": [[b"1", b"2\n"]]}, "payload 1 .* cannot come as one line"),
        (of_lines, {"requests": [[b"1" * (2 << 20)]]}, "a simulation takes 1048576"),
        (from_file, {"file": [b"1\r"]}, "payload 0 .* cannot come as one line"),
        (followed, {"log": [b"0:1"]}, "is a list; give a dict of partitions"),
        (followed, {"log": {"p0": b"0:1"}}, "partition 'p0' .* is a bytes; give a dict of"),
        (followed, {"log": {0: [b"0:1"]}}, "is named 0; give a str"),
        (followed, {"log": {"p0": [], "p1": []}}, "nothing is sent"),
        (beside_senders, {}, "nothing is sent"),
        (numbers, [[b"1"]], "input is a list; give a dict"),
        (lambda: made(3), {"made": [[b"1"]]}, "a generator and makes its own records"),
        (lambda: made(None), {}, "does not end within 100000 records"),
        (from_file, {}, "nothing is sent"),
        (from_file, {"file": ["1"]}, "payload 0 of the input of pipeline 'file' is a str"),
        (from_file, {"file": [[b"1"]]}, "payload 0 .* is a list"),
        (from_file, {"file": b"1\n2\n"}, "give a list of payloads"),
    ],
)
def test_input_that_cannot_be_meant_is_refused(
    plan: Callable[[], Application], input: Any, sentence: str
) -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match=sentence):
        run(plan(), input)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"faults": {}}, "faults is a dict"),
        ({"expect_failures": -1}, "expect_failures is -1"),
        ({"cut_output": "line"}, "cut_output is 'line'"),
        ({"cut_output": lambda data: data}, "cut_output returned bytes"),
        ({"cut_output": lambda _: []}, "cannot be cut"),
        ({"cut_output": "frames"}, "cannot be cut by cut_output='frames'"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(
    arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match=sentence):
        run(numbers(), {"requests": [[b"1"]]}, **arguments)


@pytest.mark.parametrize("application", [numbers, wallaroo.ApplicationBuilder("open"), None])
def test_what_is_not_the_result_of_build_is_refused(application: Any) -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match="application is a"):
        run(application, {"requests": [[b"1"]]})


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        run(numbers(), {"request": [[b"1"]], "requests": [["1"]]})
    assert len(caught.value.mistakes) == 2


def test_a_mistake_of_many_senders_is_not_reported_for_each() -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match="sender 0 ") as caught:
        run(numbers(), {"requests": [b"1"] * 1000})
    assert len(caught.value.mistakes) == 5


def test_a_record_that_fails_fails_the_run() -> None:
    with pytest.raises(SimulationError, match=r"1 records fail .*expects 0") as caught:
        run(numbers(), {"requests": [[b"1", b"one"]]})
    assert "step 'to number', key None, payload b'one': ValueError" in str(caught.value)
    assert "expect_failures=1" in str(caught.value)


def test_an_application_in_which_every_record_fails_does_not_pass() -> None:
    with pytest.raises(SimulationError, match="3 records fail"):
        run(numbers(), {"requests": [[b"a", b"b", b"c"]]})


@pytest.mark.parametrize("expected", [True, 1])
def test_failures_that_are_expected_are_returned(expected: bool | int) -> None:
    result = run(numbers(), {"requests": [[b"1", b"one"]]}, expect_failures=expected)
    (failure,) = result.failures
    assert (failure.step, failure.key, failure.payload) == ("to number", None, b"one")
    assert failure.error.startswith("ValueError: invalid literal")
    assert set(result.output[0]) == {b"1\n"}, "a stream may bring it again after a crash"


@pytest.mark.parametrize("expected", [True, 2])
def test_failures_that_are_expected_have_to_come(expected: bool | int) -> None:
    with pytest.raises(SimulationError, match="0 records fail"):
        run(numbers(), {"requests": [[b"1"]]}, expect_failures=expected)


def test_output_that_is_not_lines_needs_to_be_cut() -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match=r"cannot be cut by cut_output='l"):
        run(numbers(as_frame), {"requests": [[b"1", b"2"]]})


def cut_sixes(data: bytes) -> list[bytes]:
    return [data[at + 4 : at + 6] for at in range(0, len(data) // 6 * 6, 6)]


@pytest.mark.parametrize("seed", range(10))
def test_frames_are_compared_though_connections_break_within_them(seed: int) -> None:
    payloads = [str(number).encode() for number in range(40)]
    result = simulate(numbers(as_frame), {"requests": [payloads]}, seed=seed, cut_output="frames")
    assert {*result.output[0]} == {struct.pack(">IH", 2, number) for number in range(40)}
    cut = simulate(
        numbers(as_frame), {"requests": [payloads]}, seed=seed, cut_output=cut_sixes
    ).output[0]
    assert cut == [frame[4:] for frame in result.output[0]]


def test_lines_can_be_sent() -> None:
    assert run(of_lines(), {"requests": [[b"1", b"2"]]}, faults=NO_FAULTS).output[0] == [
        b"1\n",
        b"2\n",
    ]


def test_a_log_need_not_have_input_if_senders_have() -> None:
    assert run(beside_senders(), {"sent": [[b"0:1"]]}).states["applied"]["k0"].ids == [1]


def test_a_generator_and_a_file_can_be_all_the_input() -> None:
    assert run(made(3), {}, faults=NO_FAULTS).output[0] == [b"0\n", b"1\n", b"2\n"]
    assert run(from_file(), {"file": [b"7"]}, faults=NO_FAULTS).output[0] == [b"7\n"]


def test_whole_records_are_cut_and_the_unfinished_one_is_left_out() -> None:
    assert lines(b"a\rb\n\nc") == [b"a\rb\n", b"\n"]
    assert frames(b"\0\0\0\1a\0\0\0\0\0\0\0\2b") == [b"\0\0\0\1a", b"\0\0\0\0"]


class WithSlots:
    __slots__ = ("__count",)

    def __init__(self, count: int) -> None:
        self.__count = count


class WithBoth(WithSlots):
    pass


class NamedDict(dict[str, int]):
    name = ""


def named(name: str) -> NamedDict:
    found = NamedDict(a=1)
    found.name = name
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ValueError("a"), ValueError("b")),
        (WithSlots(1), WithSlots(2)),
        (WithBoth(1), WithBoth(2)),
        (named("a"), named("b")),
        (deque([WithBoth(1)]), deque([WithBoth(2)])),
        ({(1, 2): WithBoth(1)}, {(1, 2): WithBoth(2)}),
        ({WithSlots(1): 1}, {WithSlots(2): 1}),
    ],
)
def test_states_that_differ_are_found_to_differ(one: Any, other: Any) -> None:
    assert plain(one) != plain(other)


def test_states_that_are_equal_are_found_to_be_equal() -> None:
    assert plain({"x": float("nan"), "y": {1, "a"}}) == plain({"x": float("nan"), "y": {"a", 1}})
    assert plain({(1, 2): WithBoth(1)}) == plain({(1, 2): WithBoth(1)})
    assert plain({WithSlots(1): 1}) == plain({WithSlots(1): 1})
    assert plain(WithBoth(1)) == ("WithBoth", {"_WithSlots__count": 1})
