"""The lines of a filter: the record goes on if the user's function returns something true."""

from wallaroo.operators.writing.text import ChainText
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write the condition, in which the truth of what the function returned is asked for too."""
    function = text.user_name(f"step_{step.id}", step.function)
    is_filtered = f"{text.counters.filtered(text.node)}continue"
    text.line(f"if not {function}(record): {is_filtered}", site=step.name)
