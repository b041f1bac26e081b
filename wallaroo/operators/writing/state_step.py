"""The lines of a state computation: its state is found or created, and changes are noted."""

from wallaroo.operators.results import DELETE, checked_pair, refuse_none
from wallaroo.operators.writing.text import ChainText
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write the call of the user's function with the state of the record's key."""
    assert step.state is not None
    function = text.user_name(f"step_{step.id}", step.bound(text.bindings.resources))
    state = text.bindings.states[step.state]
    objects = state.objects
    if text.probe is not None:
        objects = text.probe.watched(step.state, objects)
    states = text.name(f"states_{step.id}", objects)
    text.line(f"state = {states}.get(key)")
    write_copy_first(text, step)
    write_creation(text, step)
    write_call(text, step, f"{function}(record, state)")


def write_copy_first(text: ChainText, step: Step) -> None:
    """Write how a state that a running checkpoint still has to write is kept as it is."""
    assert step.state is not None
    change = text.bindings.states[step.state].changes
    if change is not None:
        text.bindings.track(text.names, step.id, change)
        # `frozen` is empty except for a moment after each barrier, so this costs 5 ns. It comes
        # before a new object is created: the barrier may hold that the key was deleted.
        text.line(
            f"if frozen_{step.id} and mark_of_{step.id}(key) is frozen_mark_{step.id}: "
            f"copy_first_{step.id}(key)"
        )


def write_creation(text: ChainText, step: Step, then: str = "") -> None:
    """Write how the state of a new key is created, and what follows ``then``."""
    assert step.state is not None
    create = text.user_name(f"create_{step.id}", text.plan.states[step.state].create, is_step=False)
    text.line("if state is None:")
    text.line(f"    state = {create}()", site=step.name)
    text.line(f"    if state is None: refuse_none({step.state!r})", site=step.name)
    text.line(f"    states_{step.id}[key] = state{then}")
    text.refer(refuse_none=refuse_none)


def write_call(text: ChainText, step: Step, call: str, site: str | None = None) -> None:
    """Write the call of a function of the user with a state, and note whether that has changed."""
    assert step.state is not None
    state = text.bindings.states[step.state]
    delete = text.name(f"delete_{step.id}", state.delete)
    site = site or step.name
    if step.always_changes:
        _write_result(text, step, call, delete, site)
    else:
        _write_pair(text, call, delete, site)
    if state.changes is not None:
        # Truth-testing may call the user's `__bool__`, so this line needs a site.
        is_changed = "" if step.always_changes else "changed and "
        text.line(f"if {is_changed}mark_of_{step.id}(key) is not current_{step.id}:", site=site)
        text.line(f"    marks_{step.id}[key] = current_{step.id}")
        text.line(f"    note_changed_{step.id}(key)")
    if not step.always_changes:
        text.line(f"{text.result_of(step)} = result")
    text.refer(checked_pair=checked_pair, DELETE=DELETE)


def _write_pair(text: ChainText, call: str, delete: str, site: str) -> None:
    """Write a call that returns a result and whether the state has changed."""
    text.line(f"pair = {call}", site=site)
    # Anything but a pair is the user's mistake, and so is one that fails here (a generator).
    text.line("try: result, changed = pair", site=site)
    text.line("except (TypeError, ValueError): result, changed = checked_pair(pair)", site=site)
    # A two-letter string also unpacks into two values, so check that the second is a bool.
    # `DELETE` is none either, so a state that is never deleted pays nothing for it.
    text.line("if changed is not True and changed is not False:")
    text.line("    checked_pair(pair)", site=site)
    text.line(f"    if changed is DELETE: {delete}(key)")


def _write_result(text: ChainText, step: Step, call: str, delete: str, site: str) -> None:
    """Write a call that returns its result alone."""
    result = text.result_of(step)
    text.line(f"{result} = {call}", site=site)
    # A tuple is an ordinary result, unless its second element says that the state is deleted.
    text.line(f"if {result}.__class__ is tuple and len({result}) == 2 and {result}[1] is DELETE:")
    text.line(f"    {result} = {result}[0]")
    text.line(f"    {delete}(key)")
