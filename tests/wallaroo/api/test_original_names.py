"""Names and forms of Wallaroo 0.6 beside those of its pipelines."""

import datetime
import io
import pickle
from typing import Any

import pytest

import wallaroo
from wallaroo import ApplicationBuilder, TCPSinkConfig, TCPSourceConfig, WallarooParameterError


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


@wallaroo.key_extractor
def first_letter(record: str) -> str:
    return record[0]


@wallaroo.state_computation("count")
def count(record: str, state: dict[str, int]) -> tuple[str, bool]:
    return record, True


SINK = TCPSinkConfig("127.0.0.1", "5555", encode)


def opened(source: Any = None) -> ApplicationBuilder:
    source = source or TCPSourceConfig("127.0.0.1", "0", decode)
    return ApplicationBuilder("app").new_pipeline("p", source)


def test_key_extractor_is_the_decorator_of_partition_functions() -> None:
    assert first_letter.extract_key("boat") == first_letter.partition("boat") == "b"
    assert isinstance(first_letter, wallaroo.KeyExtractor)
    number = wallaroo.key_extractor(lambda record: 65)
    assert number.extract_key("x") == 65
    plan = opened().to_state_partition(count, dict, "s", first_letter).to_sink(SINK).build()
    exchange = plan.pipelines[0].stages[1].exchange
    assert exchange is not None
    assert exchange.partition is first_letter.function


class LetterKey:
    def extract_key(self, record: str) -> str:
        return record[0]


class DerivedKey(wallaroo.KeyExtractor[Any, Any]):
    def __init__(self) -> None:
        self.at = 0

    def extract_key(self, record: str) -> str:
        return record[self.at]


@pytest.mark.parametrize("key", [LetterKey(), DerivedKey()])
def test_an_object_with_extract_key_is_a_partition_function(key: Any) -> None:
    plan = opened().to_state_partition(count, dict, "s", key).to_sink(SINK).build()
    exchange = plan.pipelines[0].stages[1].exchange
    assert exchange is not None
    assert exchange.partition == key.extract_key


class Shout(wallaroo.Computation[..., Any]):
    def name(self) -> str:
        return "shout"

    def compute(self, record: str) -> str:
        return record.upper()


class Split(wallaroo.ComputationMulti[..., Any]):
    def __init__(self, separator: str) -> None:
        self.separator = separator

    def name(self) -> str:
        return "split"

    def compute_multi(self, record: str) -> list[str]:
        return record.split(self.separator)


class Frames(wallaroo.OctetDecoder[Any, Any]):
    def __init__(self) -> None:
        pass

    def header_length(self) -> int:
        return 2

    def payload_length(self, header: bytes) -> int:
        return int.from_bytes(header, "big")

    def decode(self, payload: bytes) -> str:
        return payload.decode()


class Line(wallaroo.OctetEncoder[Any, Any]):
    def __init__(self) -> None:
        pass

    def encode(self, record: str) -> str:
        return record


def test_an_application_may_derive_its_classes_from_those_of_the_decorators() -> None:
    decoder, encoder = Frames(), Line()
    shout, split = Shout(), Split(",")  # type: ignore[call-arg]  # it wraps no function
    source = TCPSourceConfig("h", "1", decoder)
    builder = opened(source).to(shout).to(split).to_sink(TCPSinkConfig("h", "2", encoder))
    (pipeline,) = builder.build().pipelines
    steps = pipeline.stages[0].steps
    assert [(step.name, step.function) for step in steps] == [
        ("shout", shout.compute),
        ("split", split.compute_multi),
    ]
    assert split.separator == ","
    assert pipeline.source.decoder == decoder.decode
    assert source.source().header_length == 2
    assert repr(shout).startswith("<tests.wallaroo.api.test_original_names.Shout object")
    assert isinstance(pickle.loads(pickle.dumps(shout)), Shout)


def test_a_derived_class_that_lacks_a_method_is_a_mistake() -> None:
    class Nameless(wallaroo.Computation[..., Any]):
        def compute(self, record: str) -> str:
            return record

    with pytest.raises(WallarooParameterError, match="name\\(\\) of the computation of to\\(\\)"):
        opened().to(Nameless()).to_sink(SINK).build()  # type: ignore[call-arg]


def test_an_attribute_of_a_callable_object_does_not_hide_a_method() -> None:
    class Tag:
        def __init__(self, name: str) -> None:
            self.__name__ = self.name = name
            self.suffix = "!"

        def __call__(self, record: str) -> str:
            return record + self.suffix

    tag = wallaroo.computation("tag 1")(Tag("tag"))
    assert (tag.name(), tag.compute("a")) == ("tag 1", "a!")
    assert vars(tag)["suffix"] == "!"


def test_a_tcp_source_with_a_name_has_the_arguments_of_0_6() -> None:
    plain = TCPSourceConfig("127.0.0.1", "7010", decode)
    named = TCPSourceConfig("votes", "127.0.0.1", "7010", decode)
    assert (named.name, plain.name) == ("votes", None)
    assert (named.source().payload_bytes_max, plain.source().payload_bytes_max) == (16384, None)
    all_given = TCPSourceConfig("votes", "h", 1, decode, True, 20, 500, 9)
    assert (all_given.mistakes, all_given.source().payload_bytes_max) == ((), 500)
    by_keyword = TCPSourceConfig(
        name="votes", host="h", port=1, decoder=decode, max_size=7, framing="newline"
    )
    assert (by_keyword.source().payload_bytes_max, by_keyword.source().header_length) == (7, 0)
    assert repr(named).startswith("TCPSourceConfig('votes', '127.0.0.1', '7010', <Decoder")


def test_both_forms_of_a_tcp_source_are_the_same_source_for_checkpoints() -> None:
    plain = TCPSourceConfig("127.0.0.1", "7010", decode).source()
    named = TCPSourceConfig("votes", "127.0.0.1", "7010", decode, valid=False).source()
    assert plain.identity() == named.identity()


def test_a_tcp_source_that_is_not_valid_listens_nowhere() -> None:
    source = TCPSourceConfig("votes", "127.0.0.1", "7010", decode, valid=False).source()
    assert source.listening_address == ""
    assert not source.keeps_journal
    assert source.describe() == "tcp source at 127.0.0.1:7010, not listening"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"name": ""}, "the name of TCPSourceConfig is empty"),
        ({"name": 5}, "the name of TCPSourceConfig is the int 5"),
        ({"max_size": 0}, "the max_size of TCPSourceConfig is the int 0"),
        ({"max_size": "big"}, "the max_size of TCPSourceConfig is the str 'big'"),
        ({"port": "x"}, "the port of TCPSourceConfig is the str 'x'"),
    ],
)
def test_the_arguments_of_a_named_source_are_checked(given: Any, what: str) -> None:
    arguments: Any = {"name": "n", "host": "h", "port": 1, "decoder": decode} | given
    (mistake,) = TCPSourceConfig(**arguments).mistakes
    assert what in mistake


def test_a_missing_or_unknown_argument_is_refused_by_the_name_of_the_class() -> None:
    config: Any = TCPSourceConfig
    with pytest.raises(TypeError, match=r"TCPSourceConfig\(\) missing a required argument"):
        config("h", 1)
    with pytest.raises(TypeError, match=r"TCPSourceConfig\(\) got an unexpected keyword"):
        config("n", "h", 1, decode, maximum=3)
    generator: Any = wallaroo.GenSourceConfig
    with pytest.raises(TypeError, match=r"GenSourceConfig\(\) missing a required argument"):
        generator()


class Numbers:
    def initial_value(self) -> int:
        return 1

    def apply(self, value: int) -> int:
        return value + 1


def test_a_generator_may_have_a_name() -> None:
    numbers = Numbers()
    named = wallaroo.GenSourceConfig("numbers", numbers)
    assert (named.name, named.source().generator) == ("numbers", numbers)
    assert wallaroo.GenSourceConfig(numbers).name is None
    (mistake,) = wallaroo.GenSourceConfig("", numbers).mistakes
    assert "the name of GenSourceConfig is empty" in mistake


@pytest.mark.parametrize(
    ("option", "addresses"),
    [
        ("votes@127.0.0.1:7010", [("votes", "127.0.0.1", "7010")]),
        ("a@h:1, b@[::1]:2,h:3", [("a", "h", "1"), ("b", "[::1]", "2"), ("h", "3")]),
        ("user@site@h:1", [("user@site", "h", "1")]),
    ],
)
def test_an_input_address_with_a_name_is_a_triple(option: str, addresses: list[Any]) -> None:
    assert wallaroo.tcp_parse_input_addrs(["app", "--in", option]) == addresses


@pytest.mark.parametrize("option", ["@h:1", "votes@h", "votes@:1", "votes@"])
def test_a_malformed_address_with_a_name_is_told_with_its_form(option: str) -> None:
    with pytest.raises(WallarooParameterError, match="is not NAME@HOST:PORT"):
        wallaroo.tcp_parse_input_addrs(["app", "--in", option])


def test_a_time_becomes_seconds_since_1970() -> None:
    time = datetime.datetime(1970, 1, 2, 0, 0, 0, 500_000, tzinfo=datetime.UTC)
    assert wallaroo.dt_to_timestamp(time) == 86400.5


def test_a_class_that_is_attached_to_the_package_is_found_there_by_pickle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def route() -> None: ...

    made = wallaroo.attach_to_module(type("Made", (), {}), "Router", route, 2)
    monkeypatch.delattr(wallaroo, "Router_2__route", raising=False)
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(made())
    assert wallaroo.attach_to_module(made, "Router", route) is made
    assert isinstance(pickle.loads(pickle.dumps(made())), made)
    monkeypatch.delattr(wallaroo, "Router__route")


def test_an_unbuffered_stream_writes_at_once() -> None:
    below = io.BytesIO()
    stream = wallaroo.Unbuffered(io.TextIOWrapper(below, write_through=False))
    stream.write("a")
    assert below.getvalue() == b"a"
    stream.writelines(["b", "c"])
    assert below.getvalue() == b"abc"
    assert stream.writable()
