"""What a pipeline begins and ends with, as the application writes it.

A configuration raises nothing when it is made. Its mistakes wait for ``build()``, which reports
them with all the others.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from wallaroo.api.addresses import PORT_MAX, is_host, parse_port
from wallaroo.api.codecs import Decoder, Encoder, decoder_mistakes, encoder_mistakes
from wallaroo.api.inspection import Problem, caller_place, method_problems, named
from wallaroo.connectors.base import Sink, Source
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.tcp import TCPSink, TCPSource


class SourceConfig(ABC):
    """Any configuration that ``new_pipeline`` takes."""

    mistakes: tuple[str, ...]
    """A sentence for each mistake, with place and remedy."""

    @abstractmethod
    def source(self) -> Source:
        """Return the source for the plan; not to be called where there are mistakes."""


class SinkConfig(ABC):
    """Any configuration that ``to_sink`` and ``to_sinks`` take."""

    mistakes: tuple[str, ...]
    """A sentence for each mistake, with place and remedy."""

    @abstractmethod
    def sink(self) -> Sink:
        """Return the sink for the plan; not to be called where there are mistakes."""


class TCPSourceConfig(SourceConfig):
    """Listens at ``host:port`` for frames that ``decoder`` takes apart.

    ``port`` is a number or its digits; 0 lets the system choose. An IPv6 address stands in
    brackets: ``[::1]``. ``decoder`` is a function decorated with ``wallaroo.decoder``, or an object
    with ``header_length()``, ``payload_length(header)`` and ``decode(payload)``.
    """

    def __init__(self, host: str, port: str | int, decoder: Any) -> None:
        self.host = host
        self.port = port
        self.decoder = decoder
        place = caller_place()
        problems = _address_problems("TCPSourceConfig", host, port, port_min=0)
        self.mistakes = (
            *(problem.at(place) for problem in problems),
            *decoder_mistakes(decoder, place),
        )

    def __repr__(self) -> str:
        return f"TCPSourceConfig({self.host!r}, {self.port!r}, {self.decoder!r})"

    def source(self) -> TCPSource:
        """Return the source for the plan; not to be called where there are mistakes."""
        decoder = self.decoder
        is_ours = isinstance(decoder, Decoder)
        return TCPSource(
            host=_without_brackets(self.host),
            port=int(self.port),
            header_length=decoder.header_length(),
            payload_length=decoder.length_fmt if is_ours else decoder.payload_length,
            decode=decoder.function if is_ours else decoder.decode,
        )


class GenSourceConfig(SourceConfig):
    """Makes its own records: ``initial_value()`` is the first, ``apply(v)`` follows ``v``.

    The source ends when either returns ``None``.
    """

    def __init__(self, gen_instance: Any) -> None:
        self.gen_instance = gen_instance
        problems = method_problems(
            gen_instance,
            "the generator",
            {"initial_value": (), "apply": ("value",)},
            "give an object with initial_value() and apply(value)",
        )
        place = caller_place()
        self.mistakes = tuple(problem.at(place) for problem in problems)

    def __repr__(self) -> str:
        return f"GenSourceConfig({self.gen_instance!r})"

    def source(self) -> GeneratorSource:
        """Return the source for the plan; not to be called where there are mistakes."""
        return GeneratorSource(self.gen_instance)


class TCPSinkConfig(SinkConfig):
    """Connects to ``host:port`` and writes what ``encoder`` returns, as it is.

    ``host`` and ``port`` are as for ``TCPSourceConfig``, without port 0. ``encoder`` is a function
    decorated with ``wallaroo.encoder``, or an object with ``encode(record)``.
    """

    def __init__(self, host: str, port: str | int, encoder: Any) -> None:
        self.host = host
        self.port = port
        self.encoder = encoder
        place = caller_place()
        problems = _address_problems("TCPSinkConfig", host, port, port_min=1)
        self.mistakes = (
            *(problem.at(place) for problem in problems),
            *encoder_mistakes(encoder, place),
        )

    def __repr__(self) -> str:
        return f"TCPSinkConfig({self.host!r}, {self.port!r}, {self.encoder!r})"

    def sink(self) -> TCPSink:
        """Return the sink for the plan; not to be called where there are mistakes."""
        encoder = self.encoder
        return TCPSink(
            host=_without_brackets(self.host),
            port=int(self.port),
            encode=encoder.function if isinstance(encoder, Encoder) else encoder.encode,
        )


def _address_problems(config: str, host: object, port: object, port_min: int) -> Iterator[Problem]:
    if not isinstance(host, str) or not is_host(host):
        yield Problem(
            f"the host of {config} is {named(host)}",
            'give a name or an address, such as "127.0.0.1" or "[::1]"',
        )
    number = parse_port(port)
    if number is None or number < port_min:
        yield Problem(
            f"the port of {config} is {named(port)}", f"give a number from {port_min} to {PORT_MAX}"
        )


def _without_brackets(host: str) -> str:
    """What a socket takes for an address; the plan puts the brackets back where it shows it."""
    return host[1:-1] if host.startswith("[") else host
