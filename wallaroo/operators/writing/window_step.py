"""The lines of windows: how a record is added to its window, and what begins with a result.

Windows are the last step of their pipeline, so nothing follows these lines. A record that causes a
result by itself, or goes on as a late one, is given before the next record is taken.
"""

from wallaroo.operators.writing.text import ChainText
from wallaroo.timing.window_spec import (
    AggregationSpec,
    BuiltIn,
    CountWindows,
    EphemeralWindows,
    LatePolicy,
    Result,
    SessionWindows,
    WindowSpec,
    refuse_no_accumulator,
)
from wallaroo.topology.plan import Step


def write_step(text: ChainText, step: Step) -> None:
    """Write how a record is added to the windows of its key."""
    spec, number = step.window, step.id
    assert spec is not None and step.state is not None
    store = text.bindings.timed_stores[step.state]
    give = f"{text.name(f'give_{number}', text.bindings.gives[step.state])}(time)"
    if isinstance(spec.windows, SessionWindows | EphemeralWindows | CountWindows):
        add = text.user_name(f"add_{number}", store.add)
        lines = [f"{add}(key, record, time)", give]
        if isinstance(spec.windows, SessionWindows) and _may_extend(spec):
            _write_extension(text, step, spec.windows.gap_ns)
            lines = ["else:", *(f"    {line}" for line in lines)]
        for line in lines:
            text.line(line, site=step.name if f"{add}(" in line else None)
    else:
        _write_pane(text, step, spec, give)


def write_fired(text: ChainText, step: Step) -> int:
    """Write the start of the chain behind the port *fired*, up to its result as the record; return
    what ``close_loop`` needs."""
    spec = step.window
    assert spec is not None
    aggregation = spec.aggregation
    text.know_key()
    text.begin("keys, accumulators, window, kind, time")
    text.refer(Result=Result)
    outermost = text.open_loop("for key, record in zip(keys, accumulators):")
    text.enter(text.bindings.nodes.of_step[step.id], aggregation.output or aggregation.value)
    if aggregation.output is not None:
        output = text.user_name(f"output_{step.id}", aggregation.output)
        window = ", window" if aggregation.output_takes_window else ""
        text.line(f"record = {output}(key, record{window})", site=step.name)
        text.line(f"if record is None: {text.counters.filtered(text.node)}continue")
    else:
        value = "record"
        if aggregation.value is not None:
            shown = text.user_name(f"value_{step.id}", aggregation.value)
            value = f"{shown}(record)"
        text.line(
            f"record = Result(key, {value}, window.start, window.end, kind.value)", site=step.name
        )
    for line in text.counters.fired(text.node):
        text.line(line)
    return outermost


def _write_pane(text: ChainText, step: Step, spec: WindowSpec, give: str) -> None:
    """Write how a record is added to its pane, the bounds of which are in two local variables."""
    number, rules = step.id, spec.firing
    assert step.state is not None
    windows = text.bindings.timed_stores[step.state].windows
    text.start_with(f"low_{number} = high_{number} = 0")
    locate = text.user_name(f"locate_{number}", windows.locate)
    text.line(f"if not low_{number} <= time < high_{number}:")
    text.line(f"    found = {locate}(key, record, time)", site=step.name)
    text.line("    if found is None:")
    if rules.late is not LatePolicy.DROP:
        text.line(f"        {give}")
    text.line("        continue")
    text.line(
        f"    low_{number}, high_{number}, panes_{number}, get_{number}, new_{number} = found"
    )
    has_trigger = rules.until or rules.early_count or spec.fires_each_record
    panes, get = f"panes_{number}", f"get_{number}"
    if spec.is_in_parts and not has_trigger:
        write_addition(text, step, panes, get)
        return
    missing = _initial(text, step) if spec.is_in_parts else f"new_{number}(key)"
    _write_update(text, step, panes, get, missing)
    if has_trigger:
        added = text.user_name(f"added_{number}", windows.added)
        text.line(f"{added}(low_{number}, key, accumulator)", site=step.name)
        text.line(give)


def write_addition(text: ChainText, step: Step, accumulators: str, get: str) -> None:
    """Write how a record is added to the accumulator of its key; the accumulators have no layer
    below them, and ``get`` is their method of this name."""
    assert step.window is not None
    if step.window.aggregation.built_in is None:
        _write_update(text, step, accumulators, get, _initial(text, step))
    else:
        _write_built_in(text, step, f"{accumulators}[key]", get)


def _initial(text: ChainText, step: Step) -> str:
    assert step.window is not None
    initial = step.window.aggregation.initial
    return f"{text.user_name(f'initial_{step.id}', initial, is_step=False)}()"


def _write_built_in(text: ChainText, step: Step, put: str, get: str) -> None:
    """Write the same as the update of a built-in aggregation does, without a call."""
    assert step.window is not None
    aggregation = step.window.aggregation
    if aggregation.extract is None:
        assert aggregation.built_in is BuiltIn.COUNT
        text.line(f"{put} = {get}(key, 0) + 1")
        return
    value = f"{text.user_name(f'value_{step.id}', aggregation.extract)}(record)"
    match aggregation.built_in:
        case BuiltIn.SUM:
            lines = [f"{put} = {get}(key, 0) + {value}"]
        case BuiltIn.MEAN:
            lines = [
                f"value = {value}",
                f"held = {get}(key)",
                f"if held is None: {put} = 0 + value, 1",
                f"else: {put} = held[0] + value, held[1] + 1",
            ]
        case _:
            is_better = ">" if aggregation.built_in is BuiltIn.MAX else "<"
            lines = [
                f"value = {value}",
                f"held = {get}(key)",
                f"if held is None or value {is_better} held[0]: {put} = (value,)",
            ]
    for line in lines:
        text.line(line, site=step.name)


def _may_extend(spec: WindowSpec) -> bool:
    """Return whether a chain may extend a session by itself: nobody looks at each record."""
    windows = spec.windows
    is_plain = isinstance(windows, SessionWindows) and windows.longest_ns is None
    return is_plain and not spec.firing.has_trigger


def _write_extension(text: ChainText, step: Step, gap_ns: int) -> None:
    """Write how a record is added to the only session of its key, if it is in it; that needs no
    other timer."""
    assert step.state is not None and step.window is not None
    number, aggregation = step.id, step.window.aggregation
    state, windows = text.bindings.states[step.state], text.bindings.timed_stores[step.state]
    sessions_of = text.name(f"sessions_of_{number}", state.objects.get)
    # Clocks move only between slices.
    text.start_with(f"closed_{number} = {text.name(f'windows_{number}', windows)}.closed_until")
    text.line(f"mine = {sessions_of}(key)")
    is_in = f"mine[0].start <= time < mine[0].end > closed_{number}"
    text.line(f"if mine is not None and len(mine) == 1 and {is_in}:")
    with text.indented():
        if state.changes is not None:
            text.line(f"{text.name(f'changing_{number}', windows.before_change)}(key)")
        text.line("session = mine[0]")
        text.line("accumulator = session.accumulator")
        _write_call(text, step, aggregation)
        text.line("session.accumulator = accumulator")
        text.line(f"if time + {gap_ns} > session.end: session.end = time + {gap_ns}")


def _write_update(text: ChainText, step: Step, accumulators: str, get: str, missing: str) -> None:
    assert step.window is not None
    text.line(f"accumulator = {get}(key)")
    text.line(f"if accumulator is None: accumulator = {missing}", site=step.name)
    _write_call(text, step, step.window.aggregation)
    # Only now: a key has no window if the update of its only record has raised.
    text.line(f"{accumulators}[key] = accumulator")


def _write_call(text: ChainText, step: Step, aggregation: AggregationSpec) -> None:
    """Write how the user's function changes the variable ``accumulator``."""
    update = text.user_name(f"update_{step.id}", aggregation.update)
    time = ", time" if aggregation.update_takes_time else ""
    call = f"{update}(record, accumulator{time})"
    text.line(f"accumulator = {call}" if aggregation.update_returns else call, site=step.name)
    if aggregation.update_returns:
        text.refer(refuse_no_accumulator=refuse_no_accumulator)
        refuse = f"refuse_no_accumulator({aggregation.name!r})"
        text.line(f"if accumulator is None: {refuse}", site=step.name)
