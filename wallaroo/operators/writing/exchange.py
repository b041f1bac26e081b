"""The lines of an exchange: the key of a record, and the list of the worker that owns it."""

from collections.abc import Callable
from typing import Any, NoReturn

from wallaroo.connectors.keyed_records import UTF_8
from wallaroo.names import EdgeId
from wallaroo.operators.failures import Site
from wallaroo.operators.writing.combining import write_combining
from wallaroo.operators.writing.text import ChainText
from wallaroo.routing.keys import canonical_key
from wallaroo.routing.payload_keys import NAME as PAYLOAD_KEY
from wallaroo.routing.payload_keys import PayloadKey
from wallaroo.topology.plan import (
    CONSTANT_KEY,
    SOURCE_KEY,
    EndKey,
    Exchange,
    ExchangeKind,
    Pipeline,
)

KEPT_KEY = "key"
"""The name of the key that a record has already, in dead letters."""


def write_exchange(text: ChainText, exchange: Exchange) -> None:
    """Write how a record finds its key and leaves if another worker owns it."""
    _write_key(text, exchange)
    _write_route(text, exchange)


def write_exchange_by_source_key(text: ChainText, exchange: Exchange, *, has_payload: bool) -> None:
    """Write the same for a record with the key of its source; it may not be decoded yet."""
    assert isinstance(text.pipeline, Pipeline)
    form = text.pipeline.source.key
    function = form if callable(form) else None
    text.enter(text.bindings.nodes.of_edge[exchange.edge], function)
    text.refer(canonical_key=canonical_key, no_key=_raise_no_key)
    lines = ["if key is None: no_key()"]
    if form == UTF_8:
        lines.append("key = key.decode()")
    elif function is not None:
        lines.append(f"key = {text.user_name('key_of', function, is_step=False)}(key)")
    lines.append("if key.__class__ is not str: key = canonical_key(key)")
    for line in lines:
        text.line(line)
    # Nothing is decoded yet, so a dead letter shows the payload.
    site = Site(text.pipeline.name, SOURCE_KEY, has_key=False, is_decoder=has_payload,
                function=function, node=text.node)  # fmt: skip
    text.note_site(site, len(lines))
    text.know_key()
    _write_route(text, exchange)


def write_end_key(text: ChainText, key: EndKey, flow: int) -> None:
    """Write how a record gets the key that it has behind the last step of a pipeline."""
    text.know_key(False)
    text.enter(text.bindings.nodes.of_end[flow], key.partition)
    _write_key_of_record(text, key.partition, key.name, f"end_{flow}")


def _write_key(text: ChainText, exchange: Exchange) -> None:
    text.enter(text.bindings.nodes.of_edge[exchange.edge], exchange.partition)
    if exchange.keeps_key:
        return
    text.know_key(False)
    if exchange.payload_key is not None:
        _write_payload_key(text, exchange.payload_key, exchange.edge)
        return
    if exchange.kind is ExchangeKind.ROUND_ROBIN and exchange.partition is None:
        text.line("key = None")
        return
    _write_key_of_record(text, exchange.partition, exchange.partition_name, str(exchange.edge))


def _write_payload_key(text: ChainText, key: PayloadKey, edge: EdgeId) -> None:
    """Write how the key is cut out of the payload of a record that is decoded already."""
    text.refer(canonical_key=canonical_key)
    key_of = text.name(f"key_in_payload_{edge}", key.key_of)
    text.line(f"key = canonical_key({key_of}(payload))")
    text.note_site(
        Site(text.pipeline.name, PAYLOAD_KEY, has_key=False, is_decoder=True, node=text.node)
    )
    text.know_key()


def _write_key_of_record(
    text: ChainText, partition: Callable[[Any], Any] | None, name: str, where: str
) -> None:
    if partition is None:
        text.line(f"key = {CONSTANT_KEY!r}")
    else:
        function = text.user_name(f"partition_{where}", partition, is_step=False)
        text.refer(canonical_key=canonical_key)
        text.line(f"key = {function}(record)", site=name)
        text.line("if key.__class__ is not str: key = canonical_key(key)", site=name)
    text.know_key()


def _write_route(text: ChainText, exchange: Exchange) -> None:
    bindings = text.bindings
    if bindings.is_single_worker:
        return
    combiner = bindings.combiner(exchange)
    if combiner is not None:
        write_combining(text, exchange, combiner)
        return
    if exchange.kind is ExchangeKind.KEYED:
        routes = bindings.routes[exchange.edge]
        known = text.name(f"known_{exchange.edge}", routes.known.get)
        find = text.name(f"find_{exchange.edge}", routes.find)
        site = KEPT_KEY if exchange.keeps_key else exchange.partition_name
        text.line(f"out = {known}(key, False)", site=site)
        text.line(f"if out is False: out = {find}(key)", site=site)
    else:
        distribute = bindings.distributors[exchange.edge]
        text.line(f"out = {text.name(f'distribute_{exchange.edge}', distribute)}()")
    as_payload = exchange.edge in bindings.travels_as_payload
    text.line("if out is not None:")
    travelling = ("key", "payload") if as_payload else ("key", "record", "payload")
    if exchange.edge in bindings.timed_edges:
        travelling = (*travelling, "time")
    for value in travelling:
        text.line(f"    out.append({value})")
    text.line("    continue")


def _raise_no_key() -> NoReturn:
    raise ValueError("the record has no key")
