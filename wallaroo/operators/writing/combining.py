"""The lines of an exchange that combines records before they travel.

A record ends here: it is added to what this worker has of its pane. The owner of its key is looked
up later, once for all records of a key, when they are sent.
"""

from wallaroo.operators.combining import Combiner
from wallaroo.operators.writing.text import ChainText
from wallaroo.operators.writing.window_step import write_addition
from wallaroo.topology.plan import Exchange


def write_combining(text: ChainText, exchange: Exchange, combiner: Combiner) -> None:
    """Write what becomes of a record whose key is known."""
    edge, partials = exchange.edge, combiner.partials
    locate = text.name(f"partial_{edge}", partials.locate)
    bound = [f"{each}_{edge}" for each in ("from", "until", "parts", "part", "counts", "count")]
    low, high, parts, get, counts, get_count = bound
    text.start_with(f"{low} = {high} = 0")
    text.line(f"if not {low} <= time < {high}:")
    text.line(f"    {', '.join(bound)} = {locate}(time)")
    text.enter(text.node, combiner.step.function)
    write_addition(text, combiner.step, parts, get)
    if partials.has_counts:
        # Only now: a record whose update has raised is not sent.
        text.line(f"{counts}[key] = {get_count}(key, 0) + 1")
