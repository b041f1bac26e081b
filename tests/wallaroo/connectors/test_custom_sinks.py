"""Sinks that authors write, as values of the plan."""

from dataclasses import replace
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.topology.test_fingerprint import PLAN
from wallaroo.api.readers import read_sink
from wallaroo.connectors.base import Promise, Sink
from wallaroo.connectors.file import FileSink
from wallaroo.topology.fingerprint import displaced, outline
from wallaroo.topology.graph import SourceLocation

PLACE = SourceLocation("app.py", 7)


@wallaroo.encoder
def encode_text(text: str) -> str:
    return text + "\n"


def encode_plainly(text: str) -> bytes:
    return text.encode()


class Lines(wallaroo.Sink[str]):
    encoder = encode_text

    def write(self, records: list[Any]) -> None: ...


class Rows(wallaroo.OnceSink[str]):
    def __init__(self, table: str = "rows", encoder: Any = None) -> None:
        self.table = table
        self.encoder = encoder

    def open(self, slot: str) -> None: ...

    def last(self) -> int | None:
        return None

    def write(self, records: list[Any], number: int) -> None: ...

    def identity(self) -> str:
        return f"table {self.table}"


def read(config: Any) -> Sink:
    return read_sink(config, "sink_config", PLACE)


def outline_of(*sinks: Sink) -> tuple[str, ...]:
    return outline(replace(PLAN, sinks=sinks))


def mistakes_of(config: object) -> list[str]:
    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        read(config)
    return [*caught.value.mistakes]


def test_a_class_says_what_its_sink_promises() -> None:
    assert read(Lines()).promise is Promise.AT_LEAST_ONCE
    assert read(Rows()).promise is Promise.OUTBOX
    assert read(Rows()).describe() == "sink table rows, outbox"


def test_an_encoder_of_the_class_is_called_with_the_record_alone() -> None:
    encode = read(Lines()).encode
    assert encode is not None
    assert encode("a") == "a\n"
    assert read(Rows(encoder=encode_plainly)).encode is encode_plainly
    assert read(Rows()).encode is None


def test_an_outline_has_the_identity_and_the_encoder_but_not_the_name() -> None:
    named = Lines()
    named.name = "lines"
    line = f"sink 0 Sink(identity='{__name__}.Lines', encode={__name__}.encode_text)"
    assert line in outline_of(read(Lines()))
    assert outline_of(read(named)) == outline_of(read(Lines()))


def test_what_a_checkpoint_keeps_of_a_sink_goes_by_its_place() -> None:
    file, rows, others = FileSink("a", str), read(Rows()), read(Rows("others"))
    then = outline_of(file, rows)
    assert displaced(then, outline_of(file, rows)) == ""
    assert displaced(then, outline_of(file, others)) != ""
    assert "is sink 1 now" in displaced(then, outline_of(rows, file))
    lines = read(Lines())
    assert displaced(outline_of(lines, file), outline_of(file)) != ""
    assert displaced(outline_of(file, lines), outline_of(file)) == ""


def test_all_mistakes_of_a_sink_are_told_at_once() -> None:
    class Wrong(wallaroo.Sink[str]):
        name = ""
        encoder = 5

    missing, name, encoder = mistakes_of(Wrong())
    assert missing == "app.py:7: Wrong has no method write(); write it"
    assert "the name of Wrong is" in name
    assert "the encoder of Wrong is" in encoder


def test_methods_that_cannot_be_called_are_mistakes() -> None:
    class Wrong(wallaroo.Sink[str]):
        def open(self, slot: str) -> None:  # type: ignore[override]
            ...

        def write(self) -> None:  # type: ignore[override]
            ...

        close = None  # type: ignore[assignment]

    not_callable, opened, written = mistakes_of(Wrong())
    wanted = "write a method: def close(self)"
    assert not_callable == f"app.py:7: close of Wrong is a NoneType; {wanted}"
    assert opened.startswith("app.py:7: Wrong.open(slot")
    assert opened.endswith("write def open(self)")
    assert written.startswith("app.py:7: Wrong.write()")
    assert written.endswith("write def write(self, records)")


def test_a_method_that_yields_is_a_mistake() -> None:
    class Lazy(wallaroo.Sink[str]):
        def write(self, records: list[Any]) -> Any:
            yield from records

    (mistake,) = mistakes_of(Lazy())
    assert mistake.startswith("app.py:7: write of Lazy has `yield` in it")


def test_a_write_of_a_once_sink_gets_the_number() -> None:
    class Unnumbered(Rows):
        def write(self, records: list[Any]) -> None:  # type: ignore[override]
            ...

    (mistake,) = mistakes_of(Unnumbered())
    assert mistake.endswith("write def write(self, records, number)")


def test_methods_may_take_more_than_they_get() -> None:
    class Wide(wallaroo.Sink[str]):
        def open(self, *_: Any, _retries: int = 3) -> None: ...

        async def write(self, records: list[Any], timeout_s: float = 1.0) -> None: ...

    read(Wide())


def test_a_decorated_encoder_that_is_wrong_is_told() -> None:
    @wallaroo.encoder
    def encode_two(_one: str, _two: str) -> bytes:
        return b""

    assert "encode_two" in mistakes_of(Rows(encoder=encode_two))[0]


def test_a_sink_of_two_phases_needs_all_its_methods() -> None:
    class Parts(wallaroo.TwoPhaseSink[str]): ...

    missing = mistakes_of(Parts())
    assert len(missing) == 6
    assert missing[0].endswith("Parts has no method open(); write it")
    assert Parts().sink().promise is Promise.TWO_PHASES
