"""The lines of a state computation with a context, timers, alarms or a state that expires.

What its timers and alarms call runs in chains of its own, each of which goes on behind the step as
a record does. So does what is called for a key that expires.
"""

from wallaroo.operators.expiring_state import ExpiringState
from wallaroo.operators.keyed_handlers import HandlerKind, StepHandler
from wallaroo.operators.writing.state_step import write_call, write_copy_first, write_creation
from wallaroo.operators.writing.text import ChainText
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write the call of the user's function with the state of the record's key, and a context."""
    assert step.state is not None and step.timing is not None
    number = step.id
    keyed = text.bindings.keyed_steps[number]
    function = text.user_name(f"step_{number}", step.bound(text.bindings.resources))
    _bind_objects(text, step)
    if isinstance(keyed.state, ExpiringState) and keyed.state.expiry.by_event_time:
        text.line(
            f"if {_time(text, step)} >= turns_at_{number}: turn_{number}({_time(text, step)})"
        )
    text.line(f"state = states_{number}.get(key)")
    write_copy_first(text, step)
    _write_search(text, step)
    arguments = "record, state"
    if step.timing.takes_context:
        context = text.name(f"context_{number}", keyed.context)
        text.line(f"{context}.key = key")
        text.line(f"{context}.time = {_time(text, step)}")
        arguments = f"record, state, {context}"
    write_call(text, step, f"{function}({arguments})")


def write_handler(text: ChainText, step: Step, handler: StepHandler) -> None:
    """Write the call of what a timer or an alarm calls, or of ``on_expire``."""
    number, site = step.id, handler.site
    text.line("record = payload = None")
    function = text.user_name(f"handler_{number}", handler.function)
    if handler.kind is HandlerKind.EXPIRY:
        result = text.result_of(step)
        text.line(f"{result} = {function}(key, state)", site=site)
        return
    keyed = text.bindings.keyed_steps[number]
    _bind_objects(text, step)
    # A timer that looks at a key does not touch it: only records keep a key from expiring.
    text.line(f"state = {text.name(f'peek_{number}', keyed.state.get)}(key)")
    write_copy_first(text, step)
    write_creation(text, step, _created(text, step))
    context = text.name(f"context_{number}", keyed.context)
    text.line(f"{context}.key = key")
    text.line(f"{context}.time = time")
    write_call(text, step, f"{function}(state, {context})", site)


def _bind_objects(text: ChainText, step: Step) -> None:
    """Let the chain look into the young objects, which are others from time to time."""
    assert step.state is not None
    keyed = text.bindings.keyed_steps[step.id]
    keyed.bind_objects(text.names, text.probe)


def _write_search(text: ChainText, step: Step) -> None:
    """Write how an object is found that is not among the young ones, or is made."""
    keyed, number = text.bindings.keyed_steps[step.id], step.id
    if not isinstance(keyed.state, ExpiringState):
        write_creation(text, step)
        return
    revive = text.name(f"revive_{number}", keyed.state.revive)
    text.line("if state is None:")
    text.line(f"    state = {revive}(key)")
    if keyed.state.expiry.is_exact:
        is_over = text.name(f"is_over_{number}", keyed.state.is_expired_at)
        expire = text.name(f"expire_{number}", keyed.expire_now)
        text.line(f"if {is_over}(key, {_time(text, step)}):")
        text.line(f"    {expire}(key, {_time(text, step)})")
        text.line("    state = None")
    write_creation(text, step, _created(text, step))


def _created(text: ChainText, step: Step) -> str:
    state = text.bindings.keyed_steps[step.id].state
    if not isinstance(state, ExpiringState):
        return ""
    return f"; {text.name(f'created_{step.id}', state.created)}(key)"


def _time(text: ChainText, step: Step) -> str:
    """Return the time of the record as the chain has it."""
    if text.has_time:
        return "time"
    # Keys that expire by the wall clock need no time of the record.
    context = text.name(f"context_{step.id}", text.bindings.keyed_steps[step.id].context)
    return f"{context}.read_time"
