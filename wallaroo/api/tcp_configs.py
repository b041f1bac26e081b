"""Configurations of TCP sources and sinks; as for all, ``build()`` reports their mistakes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, overload

from wallaroo.api.addresses import PORT_MAX, is_host, parse_port
from wallaroo.api.codecs import decoder_mistakes, encoder_mistakes
from wallaroo.api.config_parts import (
    decode_function,
    encode_function,
    framing_problems,
    header_length,
    payload_length,
    read_form,
    sink_name_problems,
)
from wallaroo.api.event_times import GivenTime, time_mistakes, times_of
from wallaroo.api.inspection import Problem, caller_place, name_problems, named
from wallaroo.api.roles import PayloadDecoder, RecordEncoder
from wallaroo.connectors.base import SinkConfig, SourceConfig
from wallaroo.connectors.file import Framing
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.type_variables import R_co, R_contra

PLAIN_ARGUMENTS = 3
"""A source with more arguments by position has a name before its host, as in Wallaroo 0.6."""
MAX_SIZE_DEFAULT = 16384


class TCPSourceConfig(SourceConfig[R_co]):
    """Listens at ``host:port`` for frames or lines, which ``decoder`` decodes.

    ``port`` is a number or its digits; with 0 the system chooses one. An IPv6 address has brackets:
    ``[::1]``.

    ``framing`` says what ``decoder`` is called with: ``"length"`` for payloads with length headers;
    ``"newline"`` for lines without their line ends, as ``nc`` and log shippers send them.
    ``decoder`` is a function decorated with ``wallaroo.decoder``, or an object with
    ``header_length()``, ``payload_length(header)`` and ``decode(payload)``. For lines only
    ``decode`` is used, so ``@wallaroo.decoder`` without parentheses is enough::

        wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode, framing="newline")

    ``time`` is ``event_time(...)`` if records have times of their own; otherwise their time is that
    of their arrival.

    With a name before the host it is the form of Wallaroo 0.6, and takes four further arguments:
    a connection with a frame of more than ``max_size`` bytes is closed, and with ``valid=False``
    nothing listens. ``parallelism`` and ``max_received_count`` have no effect.
    """

    @overload
    def __init__(
        self,
        host: str,
        port: str | int,
        decoder: PayloadDecoder[R_co],
        *,
        framing: Framing = "length",
        time: GivenTime = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        host: str,
        port: str | int,
        decoder: PayloadDecoder[R_co],
        valid: bool = True,
        parallelism: int = 10,
        max_size: int = MAX_SIZE_DEFAULT,
        max_received_count: int = 50,
        *,
        framing: Framing = "length",
        time: GivenTime = None,
    ) -> None: ...

    def __init__(self, *arguments: Any, **options: Any) -> None:
        has_name = len(arguments) > PLAIN_ARGUMENTS or "name" in options
        form = _named_tcp_source if has_name else _tcp_source
        given: _TCPSettings = read_form("TCPSourceConfig", form, arguments, options)
        self.name: str | None = given.name
        self.host: str = given.host
        self.port: str | int = given.port
        self.decoder: PayloadDecoder[R_co] = given.decoder
        self.valid: bool = given.valid
        self.max_size: int | None = given.max_size
        self.framing: Framing = given.framing
        self.time: GivenTime = given.time
        place = caller_place()
        problems = [
            *([] if self.name is None else name_problems("the name of TCPSourceConfig", self.name)),
            *_address_problems("TCPSourceConfig", self.host, self.port, port_min=0),
            *framing_problems("TCPSourceConfig", self.framing),
            *_size_problems(self.max_size),
        ]
        needs_header = self.framing == "length"
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in problems),
            *decoder_mistakes(self.decoder, place, needs_header=needs_header),
            *time_mistakes("TCPSourceConfig", self.time, place, gives_times=False),
        )

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}, "
        framing = "" if self.framing == "length" else f", framing={self.framing!r}"
        return f"TCPSourceConfig({name}{self.host!r}, {self.port!r}, {self.decoder!r}{framing})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def source(self) -> TCPSource:
        """Return the source for the plan; do not call it if there are mistakes."""
        has_header = self.framing == "length"
        return TCPSource(
            host=_without_brackets(self.host),
            port=int(self.port),
            header_length=header_length(self.decoder) if has_header else 0,
            payload_length=payload_length(self.decoder) if has_header else "",
            decode=decode_function(self.decoder),
            listens=bool(self.valid),
            payload_bytes_max=self.max_size,
            time=times_of(self.time),
        )


class TCPSinkConfig(SinkConfig[R_contra]):
    """Connects to ``host:port`` and writes the result of ``encoder`` unchanged.

    ``host`` and ``port`` are as for ``TCPSourceConfig``, without port 0. ``encoder`` is a function
    decorated with ``wallaroo.encoder``, or an object with ``encode(record)``. ``name`` is the
    sink's name in logs and metrics.
    """

    def __init__(
        self,
        host: str,
        port: str | int,
        encoder: RecordEncoder[R_contra],
        *,
        name: str | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.encoder = encoder
        self.name = name
        place = caller_place()
        problems = [
            *_address_problems("TCPSinkConfig", host, port, port_min=1),
            *sink_name_problems("TCPSinkConfig", name),
        ]
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in problems),
            *encoder_mistakes(encoder, place),
        )

    def __repr__(self) -> str:
        return f"TCPSinkConfig({self.host!r}, {self.port!r}, {self.encoder!r})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def sink(self) -> TCPSink:
        """Return the sink for the plan; do not call it if there are mistakes."""
        return TCPSink(
            host=_without_brackets(self.host),
            port=int(self.port),
            encode=encode_function(self.encoder),
            name=self.name,
        )


@dataclass(frozen=True, slots=True)
class _TCPSettings:
    """What both forms of a TCP source come to."""

    host: str
    port: str | int
    decoder: Any
    framing: Framing
    name: str | None = None
    valid: bool = True
    max_size: int | None = None
    time: GivenTime = None


def _tcp_source(
    host: str,
    port: str | int,
    decoder: Any,
    *,
    framing: Framing = "length",
    time: GivenTime = None,
) -> _TCPSettings:
    return _TCPSettings(host, port, decoder, framing, time=time)


def _named_tcp_source(  # noqa: PLR0913  as in Wallaroo 0.6
    name: str,
    host: str,
    port: str | int,
    decoder: Any,
    valid: bool = True,
    parallelism: int = 10,
    max_size: int = MAX_SIZE_DEFAULT,
    max_received_count: int = 50,
    *,
    framing: Framing = "length",
    time: GivenTime = None,
) -> _TCPSettings:
    return _TCPSettings(host, port, decoder, framing, name, valid, max_size, time)


def _size_problems(size: object) -> Iterator[Problem]:
    is_size = isinstance(size, int) and not isinstance(size, bool) and size > 0
    if size is not None and not is_size:
        yield Problem(
            f"the max_size of TCPSourceConfig is {named(size)}", "give a number of bytes from 1 on"
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
    """Return the form for a socket; the plan adds the brackets again when it shows the address."""
    return host[1:-1] if host.startswith("[") else host
