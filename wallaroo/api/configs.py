"""Configurations of the sources and sinks of pipelines.

The constructor of a configuration does not raise. ``build()`` reports its mistakes, with all
others.
"""

import os
from collections.abc import Iterator
from typing import Any, overload

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
from wallaroo.api.inspection import Problem, caller_place, method_problems, name_problems, named
from wallaroo.api.roles import PayloadDecoder, RecordEncoder
from wallaroo.connectors.base import SinkConfig, SourceConfig
from wallaroo.connectors.file import FileSink, FileSource, Framing
from wallaroo.connectors.generator import GeneratorSource, RecordGenerator
from wallaroo.type_variables import R_co, R_contra


class FileSourceConfig(SourceConfig[R_co]):
    """Reads the file at ``path`` once; the source ends at the end of the file.

    ``framing`` says what ``decoder`` is called with: ``"length"`` for payloads with length headers,
    as a TCP source reads them; ``"newline"`` for lines without their line ends. The decoder is the
    same as for ``TCPSourceConfig``; for lines its header is ignored, so ``@wallaroo.decoder``
    without parentheses is enough, or an object with ``decode(payload)``.

    A relative path starts in the folder in which ``wallaroo-run`` was started. ``time`` is
    ``event_time(...)`` if records have times of their own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        decoder: PayloadDecoder[R_co],
        framing: Framing = "length",
        *,
        time: GivenTime = None,
    ) -> None:
        self.path = path
        self.decoder = decoder
        self.framing = framing
        self.time = time
        place = caller_place()
        problems = [
            *_path_problems("FileSourceConfig", path),
            *framing_problems("FileSourceConfig", framing),
        ]
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in problems),
            *decoder_mistakes(decoder, place, needs_header=framing == "length"),
            *time_mistakes("FileSourceConfig", time, place, gives_times=False),
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
            header_length=header_length(self.decoder) if has_header else 0,
            payload_length=payload_length(self.decoder) if has_header else "",
            decode=decode_function(self.decoder),
            time=times_of(self.time),
        )


class GenSourceConfig(SourceConfig[R_co]):
    """Generates records: ``initial_value()`` returns the first, ``apply(v)`` the one after ``v``.

    The source ends when either returns ``None``. A name before the object is the form of Wallaroo
    0.6. ``time`` is ``event_time(...)`` if records have times of their own.
    """

    @overload
    def __init__(self, gen_instance: RecordGenerator[R_co], *, time: GivenTime = None) -> None: ...

    @overload
    def __init__(
        self, name: str, gen_instance: RecordGenerator[R_co], *, time: GivenTime = None
    ) -> None: ...

    def __init__(self, *arguments: Any, **options: Any) -> None:
        has_name = len(arguments) > 1 or "name" in options
        form = _named_generator if has_name else _generator
        given = read_form("GenSourceConfig", form, arguments, options)
        self.name: str | None = given[0]
        self.gen_instance: RecordGenerator[R_co] = given[1]
        self.time: GivenTime = given[2]
        problems = [
            *([] if self.name is None else name_problems("the name of GenSourceConfig", self.name)),
            *method_problems(
                self.gen_instance,
                "the generator",
                {"initial_value": (), "apply": ("value",)},
                "give an object with initial_value() and apply(value)",
            ),
        ]
        place = caller_place()
        self.mistakes: tuple[str, ...] = (
            *(problem.at(place) for problem in problems),
            *time_mistakes("GenSourceConfig", self.time, place, gives_times=False),
        )

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}, "
        return f"GenSourceConfig({name}{self.gen_instance!r})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def source(self) -> GeneratorSource:
        """Return the source for the plan; do not call it if there are mistakes."""
        return GeneratorSource(self.gen_instance, times_of(self.time))


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
            *(problem.at(place) for problem in sink_name_problems("FileSinkConfig", name)),
            *encoder_mistakes(encoder, place),
        )

    def __repr__(self) -> str:
        return f"FileSinkConfig({self.path!r}, {self.encoder!r})"

    def mistakes_at(self, place: str, /) -> tuple[str, ...]:
        """Return its mistakes; they name the line that made this object."""
        return self.mistakes

    def sink(self) -> FileSink:
        """Return the sink for the plan; do not call it if there are mistakes."""
        return FileSink(os.fspath(self.path), encode_function(self.encoder), self.name)


def _generator(gen_instance: Any, *, time: Any = None) -> tuple[None, Any, Any]:
    return None, gen_instance, time


def _named_generator(name: str, gen_instance: Any, *, time: Any = None) -> tuple[str, Any, Any]:
    return name, gen_instance, time


def _path_problems(config: str, path: object) -> Iterator[Problem]:
    example = 'give a file, such as "data/lines.txt"'
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path or "\0" in path:
        yield Problem(f"the path of {config} is {named(path)}", example)
    elif path.endswith(os.sep):
        yield Problem(f"the path of {config} is {named(path)}, a folder", example)
