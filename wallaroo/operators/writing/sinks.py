"""The lines that encode a record for the sinks of its pipeline."""

from wallaroo.connectors.base import Sink
from wallaroo.names import SinkId
from wallaroo.operators.results import encoded_bytes
from wallaroo.operators.writing.text import ChainText


def write_sinks(text: ChainText, *, are_last: bool = True) -> None:
    """Write how each sink of the pipeline gets the record; ``are_last``: it ends there."""
    sinks = text.pipeline.sinks
    are_apart = len(sinks) > 1 or not are_last
    for sink_id in sinks:
        # With several sinks, the failure of one encoder must not affect the others: a loop of
        # one iteration gives each its own "continue" and its own isolation.
        depth = text.open_loop("for _ in (0,):") if are_apart else 0
        _write_sink(text, sink_id, text.plan.sinks[sink_id])
        if depth:
            text.close_single_loop(depth)


def _write_sink(text: ChainText, sink_id: SinkId, sink: Sink) -> None:
    append = text.name(f"sink_{sink_id}", text.bindings.sink_appends[sink_id])
    text.enter(text.bindings.nodes.of_sink[sink_id], sink.encode)
    if sink.encode is None:
        text.line(f"{append}(record)")
        return
    encode = text.user_name(f"encode_{sink_id}", sink.encode)
    site = f"encoder of {text.plan.sink_title(sink_id)}"
    is_filtered = f"if encoded is None: {text.counters.filtered(text.node)}continue"
    text.line(f"encoded = {encode}(record)", site=site)
    if sink.takes_bytes:
        text.refer(encoded_bytes=encoded_bytes)
        text.line("if encoded.__class__ is not bytes:", site=site)
        text.line(f"    {is_filtered}")
        text.line("    if encoded.__class__ is str: encoded = encoded.encode()", site=site)
        text.line("    else: encoded = encoded_bytes(encoded)", site=site)
    else:
        text.line(is_filtered)
    text.line(f"{append}(encoded)")
