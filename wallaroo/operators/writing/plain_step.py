"""The lines of a computation without state."""

from wallaroo.operators.writing.text import ChainText
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write the call of the user's function, which gives ``text.result_of(step)``."""
    function = text.user_name(f"step_{step.id}", step.bound(text.bindings.resources))
    text.line(f"{text.result_of(step)} = {function}(record)", site=step.name)
