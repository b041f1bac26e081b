"""Configurations of the sources and sinks of pipelines.

The constructor of a configuration does not raise. ``build()`` reports its mistakes, with all
others.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

from wallaroo.api.addresses import PORT_MAX, is_host, parse_port
from wallaroo.api.codecs import Decoder, Encoder, decoder_mistakes, encoder_mistakes
from wallaroo.api.inspection import Problem, caller_place, method_problems, named
from wallaroo.api.roles import PayloadDecoder, RecordEncoder
from wallaroo.connectors.base import SinkConfig, SourceConfig
from wallaroo.connectors.file import FRAMINGS, FileSink, FileSource, Framing
from wallaroo.connectors.generator import GeneratorSource, RecordGenerator
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.type_variables import R_co, R_contra


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
    """

    def __init__(
        self,
        host: str,
        port: str | int,
        decoder: PayloadDecoder[R_co],
        *,
        framing: Framing = "length",
    ) -> None:
        self.host = host
        self.port = port
        self.decoder = decoder
        self.framing = framing
        place = caller_place()
        problems = [
            *_address_problems("TCPSourceConfig", host, port, port_min=0),
            *_framing_problems("TCPSourceConfig", framing),
        ]
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in problems),
            *decoder_mistakes(decoder, place, needs_header=framing == "length"),
        )

    def __repr__(self) -> str:
        framing = "" if self.framing == "length" else f", framing={self.framing!r}"
        return f"TCPSourceConfig({self.host!r}, {self.port!r}, {self.decoder!r}{framing})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def source(self) -> TCPSource:
        """Return the source for the plan; do not call it if there are mistakes."""
        has_header = self.framing == "length"
        return TCPSource(
            host=_without_brackets(self.host),
            port=int(self.port),
            header_length=_header_length(self.decoder) if has_header else 0,
            payload_length=_payload_length(self.decoder) if has_header else "",
            decode=_decode(self.decoder),
        )


class FileSourceConfig(SourceConfig[R_co]):
    """Reads the file at ``path`` once; the source ends at the end of the file.

    ``framing`` says what ``decoder`` is called with: ``"length"`` for payloads with length headers,
    as a TCP source reads them; ``"newline"`` for lines without their line ends. The decoder is the
    same as for ``TCPSourceConfig``; for lines its header is ignored, so ``@wallaroo.decoder``
    without parentheses is enough, or an object with ``decode(payload)``.

    A relative path starts in the folder in which ``wallaroo-run`` was started.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        decoder: PayloadDecoder[R_co],
        framing: Framing = "length",
    ) -> None:
        self.path = path
        self.decoder = decoder
        self.framing = framing
        place = caller_place()
        problems = [
            *_path_problems("FileSourceConfig", path),
            *_framing_problems("FileSourceConfig", framing),
        ]
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in problems),
            *decoder_mistakes(decoder, place, needs_header=framing == "length"),
        )

    def __repr__(self) -> str:
        return f"FileSourceConfig({self.path!r}, {self.decoder!r}, {self.framing!r})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def source(self) -> FileSource:
        """Return the source for the plan; do not call it if there are mistakes."""
        has_header = self.framing == "length"
        return FileSource(
            path=os.fspath(self.path),
            framing=self.framing,
            header_length=_header_length(self.decoder) if has_header else 0,
            payload_length=_payload_length(self.decoder) if has_header else "",
            decode=_decode(self.decoder),
        )


class GenSourceConfig(SourceConfig[R_co]):
    """Generates records: ``initial_value()`` returns the first, ``apply(v)`` the one after ``v``.

    The source ends when either returns ``None``.
    """

    def __init__(self, gen_instance: RecordGenerator[R_co]) -> None:
        self.gen_instance = gen_instance
        problems = method_problems(
            gen_instance,
            "the generator",
            {"initial_value": (), "apply": ("value",)},
            "give an object with initial_value() and apply(value)",
        )
        place = caller_place()
        self.mistakes: tuple[str, ...] = tuple(problem.at(place) for problem in problems)

    def __repr__(self) -> str:
        return f"GenSourceConfig({self.gen_instance!r})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def source(self) -> GeneratorSource:
        """Return the source for the plan; do not call it if there are mistakes."""
        return GeneratorSource(self.gen_instance)


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
            *_name_problems("TCPSinkConfig", name),
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
            encode=_encode(self.encoder),
            name=self.name,
        )


class FileSinkConfig(SinkConfig[R_contra]):
    """Writes the result of ``encoder`` unchanged to the file at ``path``; a run replaces the file.

    ``encoder`` and ``name`` are as for ``TCPSinkConfig``, ``path`` as for ``FileSourceConfig``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        encoder: RecordEncoder[R_contra],
        *,
        name: str | None = None,
    ) -> None:
        self.path = path
        self.encoder = encoder
        self.name = name
        place = caller_place()
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in _path_problems("FileSinkConfig", path)),
            *(problem.at(place) for problem in _name_problems("FileSinkConfig", name)),
            *encoder_mistakes(encoder, place),
        )

    def __repr__(self) -> str:
        return f"FileSinkConfig({self.path!r}, {self.encoder!r})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def sink(self) -> FileSink:
        """Return the sink for the plan; do not call it if there are mistakes."""
        return FileSink(os.fspath(self.path), _encode(self.encoder), self.name)


def _header_length(decoder: Any) -> int:
    length: int = decoder.header_length()
    return length


def _payload_length(decoder: Any) -> str | Callable[[bytes], int]:
    length: str | Callable[[bytes], int]
    length = decoder.length_fmt if isinstance(decoder, Decoder) else decoder.payload_length
    return length


def _decode(decoder: Any) -> Callable[[bytes], Any]:
    function: Callable[[bytes], Any]
    function = decoder.function if isinstance(decoder, Decoder) else decoder.decode
    return function


def _encode(encoder: Any) -> Callable[[Any], bytes | str | None]:
    function: Callable[[Any], bytes | str | None]
    function = encoder.function if isinstance(encoder, Encoder) else encoder.encode
    return function


def _name_problems(config: str, name: object) -> Iterator[Problem]:
    if name is not None and (not isinstance(name, str) or not name):
        yield Problem(f"the name of {config} is {named(name)}", 'give a text, such as "totals"')


def _path_problems(config: str, path: object) -> Iterator[Problem]:
    example = 'give a file, such as "data/lines.txt"'
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path or "\0" in path:
        yield Problem(f"the path of {config} is {named(path)}", example)
    elif path.endswith(os.sep):
        yield Problem(f"the path of {config} is {named(path)}, a folder", example)


def _framing_problems(config: str, framing: object) -> Iterator[Problem]:
    if framing not in FRAMINGS:
        known = " or ".join(f'"{each}"' for each in FRAMINGS)
        yield Problem(f"the framing of {config} is {named(framing)}", f"give {known}")


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
