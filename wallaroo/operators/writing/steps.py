"""One step of a chain: the lines of its kind, then what happens to its results.

A kind of step is a value of the plan that names the module of its writer (``Step.writer``). That
module has ``write_step(text, step)``, which writes the lines that call the user's function and
leave the result in ``record``, or in ``records`` if the step is a multi computation. A filter
leaves ``record`` as it is. Nothing asks for the kind of a step.

What time changes has ``write_fired(text, step)`` as well, which begins the chain behind the port
*fired*: it leaves ``key``, ``record`` and ``time``.
"""

import importlib
from collections.abc import Callable
from functools import cache

from wallaroo.operators.results import records_of_multi
from wallaroo.operators.writing.text import ChainText
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write a step; after it, ``record`` is a result of it, unless records wait there."""
    text.enter(text.bindings.nodes.of_step[step.id], step.function)
    _writer(step.writer)(text, step)
    if step.waiting is not None or step.window is not None:
        return
    write_results(text, step)


def write_results(text: ChainText, step: Step) -> None:
    """Write what happens to the results of the user's function."""
    if step.is_multi:
        _fan_out(text, step)
    elif not step.is_filter:
        text.line(f"if record is None: {text.counters.filtered(text.node)}continue")


def write_result(text: ChainText, step: Step) -> None:
    """Write how a result enters the chain behind a step at which its record has waited."""
    text.enter(text.bindings.nodes.of_step[step.id], step.function)
    text.line(f"if record is None: {text.counters.filtered(text.node)}continue")


def write_fired(text: ChainText, step: Step) -> int:
    """Write the start of the chain behind the port *fired*; return what ``close_loop`` needs."""
    writer: Callable[[ChainText, Step], int] = importlib.import_module(step.writer).write_fired
    return writer(text, step)


@cache
def _writer(module: str) -> Callable[[ChainText, Step], None]:
    writer: Callable[[ChainText, Step], None] = importlib.import_module(module).write_step
    return writer


def _fan_out(text: ChainText, step: Step) -> None:
    text.refer(records_of_multi=records_of_multi)
    text.line("if records.__class__ is not list: records = records_of_multi(records)",
              site=step.name)  # fmt: skip
    for line in text.counters.fanned_out(text.node):
        text.line(line)
    outer_key = f"key_{step.id}"
    if text.has_key:
        text.line(f"{outer_key} = key")
    text.open_loop("for record in records:")
    if text.has_key:
        # The previous item may have passed another exchange, which changed the key.
        text.line(f"key = {outer_key}")
    text.line(f"if record is None: {text.counters.not_made(text.node)}continue")
