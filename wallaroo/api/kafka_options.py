"""Options and configurations for Kafka, under the names that the original has for them.

The options on the command line are ``--NAME_topic``, ``--NAME_brokers`` and ``--NAME_log_level``.
A broker is ``HOST`` or ``HOST:PORT``, several are separated by commas. The log level is accepted
without effect: what a connection has to say is in the log of the run.

The configurations are thin: what reads and writes is in ``wallaroo_connectors.kafka``, which is
imported when an application is built. So their options can be parsed without the client library.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from wallaroo.connectors.base import Sink, SinkConfig, Source, SourceConfig
from wallaroo.errors import WallarooParameterError

Broker = tuple[str, str]

PORT = "9092"
LOG_LEVELS = ("Fine", "Info", "Warn", "Error")
MESSAGE_BYTES_MAX = 100_000


class SourceOptions(NamedTuple):
    """Where a source reads."""

    topic: str
    brokers: list[Broker]
    log_level: str


class SinkOptions(NamedTuple):
    """Where and how a sink writes."""

    topic: str
    brokers: list[Broker]
    log_level: str
    max_produce_buffer_ms: int
    max_message_size: int


def kafka_parse_source_options(args: Sequence[str]) -> Any:
    """Return topic, brokers and log level from ``--kafka_source_topic`` and its like.

    Brokers are pairs of host and port, both texts. With ``--kafka_source_name`` the name comes
    first, as applications for Wallaroo 0.6 expect. Other options are ignored. Raises
    ``WallarooParameterError`` if one of these is malformed::

        topic, brokers, log_level = wallaroo.kafka_parse_source_options(args)
    """
    options = _source_options("kafka_source", args)
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--kafka_source_name")
    name = parser.parse_known_args(list(args))[0].kafka_source_name
    return tuple(options) if name is None else (name, *options)


def kafka_parse_sink_options(args: Sequence[str]) -> tuple[str, list[Broker], str, int, int]:
    """Return topic, brokers, log level, and two limits from ``--kafka_sink_topic`` and its like.

    The limits are ``--kafka_sink_max_produce_buffer_ms``, for how long messages are collected, and
    ``--kafka_sink_max_message_size`` in bytes. Raises ``WallarooParameterError`` if an option is
    malformed.
    """
    return _sink_options("kafka_sink", args)


class CustomKafkaSourceCLIParser(SourceConfig[Any]):
    """Reads the topic that ``--kafka_source_topic`` and ``--kafka_source_brokers`` name::

    builder.new_pipeline("convert", wallaroo.CustomKafkaSourceCLIParser(args, decode))
    """

    topic: str
    brokers: list[Broker]
    log_level: str
    decoder: Callable[[Any], Any]
    _option: str

    def __init__(self, args: Sequence[str], decoder: Callable[[Any], Any]) -> None:
        self._use("kafka_source", args, decoder)

    def _use(self, name: str, args: Iterable[str], decoder: Callable[[Any], Any]) -> None:
        """Take the options whose names begin with ``name``."""
        self._option = name
        self.topic, self.brokers, self.log_level = _source_options(name, args)
        self.decoder = decoder

    def source(self) -> Source:
        """Return the source for the plan."""
        source: Source = self._config().source()
        return source

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake in the options."""
        missing = [*_missing(self._option, self.topic, self.brokers, place)]
        yield from missing or self._config().mistakes_at(place)

    def _config(self) -> Any:
        kafka: Any = importlib.import_module("wallaroo_connectors.kafka")
        return kafka.KafkaSourceConfig(self.topic, _bootstrap(self.brokers), self.decoder)


class DefaultKafkaSourceCLIParser(CustomKafkaSourceCLIParser):
    """Reads the topic that ``--NAME_topic`` and ``--NAME_brokers`` of the command line name."""

    def __init__(self, decoder: Callable[[Any], Any], name: str = "kafka_source") -> None:
        self._use(name, _command_line(), decoder)
        self.name = name


class CustomKafkaSinkCLIParser(SinkConfig[Any]):
    """Writes to the topic that ``--kafka_sink_topic`` and ``--kafka_sink_brokers`` name.

    ``encoder`` returns the value, its key or ``None``, and a partition or ``None``.
    """

    topic: str
    brokers: list[Broker]
    log_level: str
    max_produce_buffer_ms: int
    max_message_size: int
    encoder: Callable[[Any], Any]
    _option: str

    def __init__(self, args: Sequence[str], encoder: Callable[[Any], Any]) -> None:
        self._use("kafka_sink", args, encoder)

    def _use(self, name: str, args: Iterable[str], encoder: Callable[[Any], Any]) -> None:
        """Take the options whose names begin with ``name``."""
        self._option = name
        options = _sink_options(name, args)
        self.topic, self.brokers, self.log_level = options[:3]
        self.max_produce_buffer_ms, self.max_message_size = options[3:]
        self.encoder = encoder

    def sink(self) -> Sink:
        """Return the sink for the plan."""
        sink: Sink = self._config().sink()
        return sink

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake in the options."""
        missing = [*_missing(self._option, self.topic, self.brokers, place)]
        yield from missing or self._config().mistakes_at(place)

    def _config(self) -> Any:
        kafka: Any = importlib.import_module("wallaroo_connectors.kafka")
        options = {
            "linger.ms": self.max_produce_buffer_ms,
            "message.max.bytes": self.max_message_size,
        }
        return kafka.KafkaSinkConfig(
            self.topic, _bootstrap(self.brokers), self.encoder, options=options
        )


class DefaultKafkaSinkCLIParser(CustomKafkaSinkCLIParser):
    """Writes to the topic that ``--NAME_topic`` and ``--NAME_brokers`` of the command line name."""

    def __init__(self, encoder: Callable[[Any], Any], name: str = "kafka_sink") -> None:
        self._use(name, _command_line(), encoder)
        self.name = name


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise WallarooParameterError(f"{message}; correct the option")


def _source_options(name: str, args: Iterable[str]) -> SourceOptions:
    # An option that is cut short may be one of the application itself.
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}_topic", default="")
    parser.add_argument(f"--{name}_brokers", default="")
    parser.add_argument(f"--{name}_log_level", default="Warn", choices=LOG_LEVELS)
    values = vars(parser.parse_known_args(list(args))[0])
    brokers = [*_brokers(f"--{name}_brokers", values[f"{name}_brokers"])]
    return SourceOptions(values[f"{name}_topic"], brokers, values[f"{name}_log_level"])


def _sink_options(name: str, args: Iterable[str]) -> SinkOptions:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}_max_produce_buffer_ms", type=int, default=0)
    parser.add_argument(f"--{name}_max_message_size", type=int, default=MESSAGE_BYTES_MAX)
    limits = vars(parser.parse_known_args(list(args))[0])
    return SinkOptions(*_source_options(name, args), *limits.values())


def _brokers(option: str, text: str) -> Iterator[Broker]:
    for broker in filter(None, (each.strip() for each in text.split(","))):
        host, _, port = broker.partition(":")
        if not host or not (port or PORT).isdecimal():
            raise WallarooParameterError(
                f"{option} has {broker!r}, which is not HOST or HOST:PORT; give it as {option} "
                "b1:9092,b2:9092"
            )
        yield host, port or PORT


def _bootstrap(brokers: Iterable[Broker]) -> str:
    return ",".join(":".join(broker) for broker in brokers)


def _missing(option: str, topic: str, brokers: Sequence[Broker], place: str) -> Iterator[str]:
    examples = {"topic": (topic, "TOPIC"), "brokers": (brokers, "b1:9092,b2:9092")}
    for name, (given, example) in examples.items():
        if not given:
            long = f"--{option}_{name}"
            yield f"{place}: the option {long} is missing; give it as {long} {example}"


def _command_line() -> tuple[str, ...]:
    """Return the whole command line, as applications see it in ``wallaroo._ARGS``."""
    arguments: tuple[str, ...] = vars(sys.modules["wallaroo"])["_ARGS"]
    return arguments
