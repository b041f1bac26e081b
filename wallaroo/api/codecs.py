"""Decorators for partition functions, decoders and encoders."""

import struct
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, ParamSpec, overload

from wallaroo.api.decorated import Decorated, is_decorated
from wallaroo.api.inspection import Problem, method_problems, named
from wallaroo.connectors.tcp import HEADER_BYTES_MAX
from wallaroo.describing import error_text
from wallaroo.errors import WallarooParameterError
from wallaroo.topology.graph import SourceLocation
from wallaroo.type_variables import Q_co

P = ParamSpec("P")

HEADER_BYTES_DEFAULT = 4
LENGTH_FORMAT_DEFAULT = ">I"


class Partition(Decorated[P, Q_co]):
    """A partition function: ``f(record)`` returns the key whose state the record needs."""

    decorator: ClassVar[str] = "@wallaroo.partition"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

    def partition(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)

    def extract_key(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class Encoder(Decorated[P, Q_co]):
    """An encoder: ``f(record)`` returns the output as ``bytes``, ``str`` for UTF-8, or ``None``."""

    decorator: ClassVar[str] = "@wallaroo.encoder"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

    def encode(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


class Decoder(Decorated[P, Q_co]):
    """A decoder: ``f(payload)`` returns a record, or ``None`` to drop the frame.

    A frame is a header of ``header_length()`` bytes, which is one integer in ``length_fmt``, and a
    payload of that many bytes. A decoder that is written without parentheses has no header: it is
    for lines.
    """

    decorator: ClassVar[str] = "@wallaroo.decoder(header_length, length_fmt)"
    arguments: ClassVar[tuple[str, ...]] = ("payload",)

    def __init__(
        self,
        function: Callable[P, Q_co],
        header_length: int = HEADER_BYTES_DEFAULT,
        length_fmt: str = LENGTH_FORMAT_DEFAULT,
        *,
        has_header: bool = True,
    ) -> None:
        super().__init__(function, _header_problems(header_length, length_fmt))
        self.has_header = has_header
        self._header_length = header_length
        self.length_fmt = length_fmt

    def header_length(self) -> int:
        """Return the number of bytes of the header."""
        self._refuse_mistakes()
        self._refuse_no_header()
        return self._header_length

    def payload_length(self, header: bytes) -> int:
        """Return the number of bytes of the payload after ``header``."""
        self._refuse_mistakes()
        self._refuse_no_header()
        (length,) = struct.unpack(self.length_fmt, header)
        return int(length)

    def decode(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)

    def header_mistakes(self) -> tuple[str, ...]:
        """Return mistakes that only matter for frames, beyond ``mistakes``."""
        if self.has_header:
            return ()
        bare = Problem(
            "@wallaroo.decoder is written without parentheses",
            f'write @wallaroo.decoder({HEADER_BYTES_DEFAULT}, "{LENGTH_FORMAT_DEFAULT}"), or give '
            'the source framing="newline" if it takes lines',
        )
        return (bare.at(self.place),)

    def _refuse_no_header(self) -> None:
        if mistakes := self.header_mistakes():
            raise WallarooParameterError(mistakes)


KeyExtractor = Partition
OctetDecoder = Decoder
OctetEncoder = Encoder


def partition(function: Callable[P, Q_co]) -> Partition[P, Q_co]:
    """Make a partition function of ``f(record)``, which returns the record's key.

    A key is ``str``, ``bytes``, ``int``, ``bool`` or a tuple of these.
    """
    return Partition(function)


key_extractor = partition
"""The same decorator by its name in ``key_by`` and in applications for Wallaroo 0.6."""


def encoder(function: Callable[P, Q_co]) -> Encoder[P, Q_co]:
    """Make an encoder of ``f(record)``; the sink writes its result unchanged, without framing."""
    return Encoder(function)


@overload
def decoder(function: Callable[P, Q_co], /) -> Decoder[P, Q_co]: ...


@overload
def decoder(
    header_length: int = HEADER_BYTES_DEFAULT, length_fmt: str = LENGTH_FORMAT_DEFAULT
) -> Callable[[Callable[P, Q_co]], Decoder[P, Q_co]]: ...


def decoder(
    header_length: Any = HEADER_BYTES_DEFAULT, length_fmt: str = LENGTH_FORMAT_DEFAULT
) -> Any:
    """Make a decoder of ``f(payload)`` for frames with a length header.

    ``length_fmt`` is a ``struct`` format of one integer with exactly ``header_length`` bytes, 1 to
    8. For a source of lines (``framing="newline"``), write ``@wallaroo.decoder`` alone; lines have
    no header.
    """
    if callable(header_length):
        return Decoder(header_length, has_header=False)

    def decorate(function: Callable[P, Q_co]) -> Decoder[P, Q_co]:
        return Decoder(function, header_length, length_fmt)

    return decorate


def decoder_mistakes(
    decoder: object, place: SourceLocation, *, needs_header: bool = True
) -> tuple[str, ...]:
    """Return the mistakes of a decoder, which may be any object with its methods."""
    if isinstance(decoder, Decoder) and is_decorated(decoder):
        return (*decoder.mistakes, *(decoder.header_mistakes() if needs_header else ()))
    methods: dict[str, tuple[str, ...]] = {"decode": ("payload",)}
    remedy = "decorate a function with @wallaroo.decoder"
    if needs_header:
        methods = {"header_length": (), "payload_length": ("header",), **methods}
        remedy = f"decorate a function with {Decoder.decorator}"
    problems = [*method_problems(decoder, "the decoder", methods, remedy)]
    if needs_header and not problems:
        problems += _asked_header_problems(decoder)
    return tuple(problem.at(place) for problem in problems)


def encoder_mistakes(encoder: object, place: SourceLocation) -> tuple[str, ...]:
    """Return the mistakes of an encoder, which may be any object with its method."""
    if isinstance(encoder, Encoder) and is_decorated(encoder):
        return encoder.mistakes
    remedy = f"decorate a function with {Encoder.decorator}"
    problems = method_problems(encoder, "the encoder", {"encode": ("record",)}, remedy)
    return tuple(problem.at(place) for problem in problems)


def _asked_header_problems(decoder: object) -> Iterator[Problem]:
    """Yield the problems of a decoder in class style, whose methods have to be called."""
    try:
        length = decoder.header_length()  # type: ignore[attr-defined]  # its presence is known
    except BaseException as error:  # noqa: BLE001  the user's code may raise anything
        yield Problem(
            f"header_length() of {named(decoder)} raised {error_text(error)}",
            "return a constant from it",
        )
    else:
        yield from _header_length_problems(length)


def _header_length_problems(length: object) -> Iterator[Problem]:
    if isinstance(length, bool) or not isinstance(length, int):
        yield Problem(f"header_length is {named(length)}", "give the bytes of the header")
    elif not 1 <= length <= HEADER_BYTES_MAX:
        yield Problem(f"header_length is {length}", f"give 1 to {HEADER_BYTES_MAX} bytes")


def _header_problems(length: object, length_fmt: object) -> Iterator[Problem]:
    problems = [*_header_length_problems(length)]
    yield from problems
    example = f'{HEADER_BYTES_DEFAULT} and "{LENGTH_FORMAT_DEFAULT}" is the usual pair'
    try:
        layout = struct.Struct(length_fmt) if isinstance(length_fmt, str) else None
    except (struct.error, UnicodeEncodeError) as error:
        yield Problem(f"length_fmt {length_fmt!r} is not a struct format: {error}", example)
        return
    if layout is None:
        yield Problem(f"length_fmt is {named(length_fmt)}", f"give a struct format; {example}")
    elif not _is_one_integer(layout):
        yield Problem(f"length_fmt {length_fmt!r} is not exactly one integer", example)
    elif layout.size != length and not problems:
        yield Problem(
            f"length_fmt {length_fmt!r} is {layout.size} bytes, but header_length is {length}",
            f"make them agree; {example}",
        )


def _is_one_integer(layout: struct.Struct) -> bool:
    # Padding would be header bytes that are not part of the length; a bool is not an integer here.
    values = layout.unpack(bytes(layout.size))
    return len(values) == 1 and type(values[0]) is int and "x" not in layout.format
