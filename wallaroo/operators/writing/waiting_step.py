"""The line of a step at which records wait; what follows it is a chain of its own."""

from wallaroo.operators.writing.text import ChainText
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write how a record is put aside until the step takes it."""
    held = text.name(f"held_{step.id}", text.bindings.held_appends[step.id])
    # The tuple has the arguments of ``Held``; a record with a time has no number yet.
    values = "key, record, payload, 0, time" if text.has_time else "key, record, payload"
    text.line(f"{held}(({values}))")
