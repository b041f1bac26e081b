"""Writes the loop that runs records through a pipeline: the record path itself.

For each entry point of records (a source, or a batch that crossed an exchange) one function is
written and compiled when a plan is bound. A record runs through all steps of a stage. If its key is
owned by this worker, it runs straight on through the next exchange and its stage, without a list, a
call or a look-up by name in between. For `decode -> partition -> state -> encode` on two workers
the function is::

    def run(payloads):
        key = record = None
        for payload in payloads:
            try:
                record = decode(payload)
                if record is None: continue
                key = partition_0(record)
                if key.__class__ is not str: key = canonical_key(key)
                out = known_0(key, False)
                if out is False: out = find_0(key)
                if out is not None:             # owned by another worker
                    out.append(key)
                    out.append(payload)
                    continue
                state = states_0.get(key)
                if state is None:
                    state = create_0()
                    if state is None: refuse_none('words')
                    states_0[key] = state
                pair = step_0(record, state)
                ...

The lines of each part are written by a module of its own: ``steps.py`` and the modules that kinds
of steps name, ``exchange.py``, ``sinks.py``. Here is only the order in which a record meets them.

An inner pipeline is written into the chains of all pipelines that feed it, as a block at their ends
or in a branch, with the same numbers of steps and nodes. Of several blocks behind one point, each
but the last is in a loop of one iteration, so that what fails or ends a record in it does not keep
the record from the others. A block becomes a function of its own, which the chain calls, if too
much is around it already: Python nests no more blocks, or the text would double with each split
whose branches are merged again.

Measured on the example, with 1,350 ns a record in the user's own functions: without a list between
the stages of one worker a record costs 60 to 80 ns less; one flat list for each destination instead
of tuples saves 30 ns; `try` inside the loop costs nothing since Python 3.11, and isolates the error
of each record. Which step failed is not tracked while records run: it follows from the line number
in the traceback.
"""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

from wallaroo.metrics.probe import Probe
from wallaroo.operators.failures import Site
from wallaroo.operators.keyed_handlers import StepHandler
from wallaroo.operators.writing.bindings import Bindings
from wallaroo.operators.writing.exchange import (
    write_end_key,
    write_exchange,
    write_exchange_by_source_key,
)
from wallaroo.operators.writing.sinks import write_sinks
from wallaroo.operators.writing.steps import write_fired, write_result, write_results, write_step
from wallaroo.operators.writing.text import ChainText
from wallaroo.operators.writing.time_lines import write_start, write_time
from wallaroo.operators.writing.timed_step import write_handler
from wallaroo.topology.plan import Application, Exchange, Feed, Flow, Pipeline, Step
from wallaroo.topology.ports import Port
from wallaroo.topology.timing import needs_time

LOOPS_NESTED_MAX = 5
"""Python allows 20 nested blocks; each multi computation takes two of them."""
LINES_INLINED_MAX = 1000
"""Behind so many lines, inner pipelines are functions of their own."""
INDENTED_MAX = 40
"""Behind so many levels as well; Python allows 100."""


class Entry(enum.Enum):
    """How records enter a chain."""

    PAYLOADS = "payloads"
    """From a source that decodes: ``run(payloads)``."""
    KEYS_AND_PAYLOADS = "keys and payloads of the source"
    """From a source with keys of its own: ``run(keys, payloads)``. Only the owner decodes."""
    KEYS_AND_VALUES = "keys and values of the source"
    """The same without a decoder: ``run(keys, values)``."""
    VALUES = "values"
    """From a source that generates its records: ``run(values)``."""
    KEYED_PAYLOADS = "keyed payloads"
    """Across an exchange, to be decoded again: ``run(keys, payloads)``."""
    OBJECTS = "objects"
    """Across an exchange, as objects: ``run(keys, records, payloads)``.

    If records need a time, all of these get two more arguments: ``times``, unless the chain finds
    the times itself, and ``read_ns``, see ``time_lines.py``.
    """


def write_chain(
    plan: Application,
    pipeline: Flow,
    stage_index: int,
    entry: Entry,
    bindings: Bindings,
    probe: Probe | None = None,
) -> Callable[..., Any]:
    """Return the function that runs a list of records from ``stage_index`` on.

    With a ``probe`` the function also measures the user's functions.
    """
    return _ChainWriter(plan, pipeline, bindings, probe).write(stage_index, 0, entry)


def write_rest(
    plan: Application,
    pipeline: Flow,
    stage_index: int,
    step_index: int,
    bindings: Bindings,
    probe: Probe | None = None,
) -> Callable[..., Any]:
    """Return the function that runs results of a step at which records wait: ``run(keys, results,
    payloads)``."""
    writer = _ChainWriter(plan, pipeline, bindings, probe)
    return writer.write(stage_index, step_index + 1, Entry.OBJECTS)


def write_port(
    plan: Application, pipeline: Flow, port: Port, bindings: Bindings
) -> Callable[..., None]:
    """Return the function that runs what leaves a pipeline by this port, with its times.

    For *late*: ``run(keys, records, times)``. For *fired* the last step says what it takes.
    """
    return _ChainWriter(plan, pipeline, bindings, None).write_port(port)


def write_handler_chain(
    plan: Application,
    pipeline: Flow,
    stage_index: int,
    step_index: int,
    handler: StepHandler,
    bindings: Bindings,
) -> Callable[..., None]:
    """Return the function that calls what a timer or an alarm calls, and runs the results through
    what is behind the step: ``run(due, read_ns)``, as the loop of the handler says."""
    writer = _ChainWriter(plan, pipeline, bindings, None)
    return writer.write_handler(stage_index, step_index, handler)


class _ChainWriter:
    """Writes the parts of one chain in the order in which a record meets them."""

    def __init__(
        self,
        plan: Application,
        pipeline: Flow,
        bindings: Bindings,
        probe: Probe | None,
        called: dict[str, Callable[..., Any]] | None = None,
    ) -> None:
        self._text = ChainText(plan, pipeline, bindings, probe)
        self._called = {} if called is None else called
        """Functions that this chain and those that it calls share, by name."""

    def write(self, stage_index: int, step_index: int, entry: Entry) -> Callable[..., Any]:
        form = _ENTRY_FORMS[entry]
        text = self._text
        before = self._step_before(stage_index, step_index)
        if before is not None and before.waiting is not None:
            text.know_key(before.waiting.has_key)
        else:
            text.know_key(entry in (Entry.KEYED_PAYLOADS, Entry.OBJECTS))
        outermost = self._begin(stage_index, step_index, entry)
        decodes = form.decodes
        combines = False
        if entry in _KEYED_BY_SOURCE:
            exchange = self._exchange(stage_index + 1)
            decodes = self._travel_by_source_key(exchange, decodes=decodes)
            combines = text.bindings.combiner(exchange) is not None
            # What follows runs at the owner of the key: its stage is behind the exchange.
            stage_index += 1
        if decodes:
            self._decode(text.pipeline.stages[stage_index].exchange)
        if before is not None and before.waiting is not None:
            write_result(text, before)
        if not combines:
            self._steps(stage_index, step_index)
        text.unwind(1)
        text.close_loop(outermost)
        place = f"pipeline {text.pipeline.name}, stage {stage_index}, step {step_index}"
        return text.finish(f"{place}, from {entry.value}")

    def write_port(self, port: Port) -> Callable[..., None]:
        text, index = self._text, self._index
        pipeline = text.pipeline
        fed = [inner for inner, _ in text.plan.fed_by_port(index, port)]
        # Nothing was read here: what leaves a window or a timer has a time of its own.
        text.know_time()
        text.start_with("read_ns = 0")
        if port is Port.FIRED:
            outermost = write_fired(text, pipeline.stages[-1].steps[-1])
        else:
            text.know_key()
            text.begin("keys, records, times")
            outermost = text.open_loop("for key, record, time in zip(keys, records, times):")
        self._blocks(index, fed)
        text.unwind(1)
        text.close_loop(outermost)
        return text.finish(f"pipeline {pipeline.name}, port {port.value}")

    def _begin(self, stage_index: int, step_index: int, entry: Entry) -> int:
        """Write the start of the function and open its loop; return what closes that."""
        text, pipeline, form = self._text, self._text.pipeline, _ENTRY_FORMS[entry]
        if not needs_time(text.plan, self._index, stage_index):
            arguments, loop = form.texts(has_times=False, is_timed=False)
            text.begin(arguments)
            return text.open_loop(loop)
        # A source's chain finds the times. So does what it calls before it has found them.
        source = None
        if isinstance(pipeline, Pipeline) and (
            entry in _AT_SOURCE or self._is_before_time(stage_index, step_index)
        ):
            source = pipeline
        has_times = source is None or source.gives_times
        arguments, loop = form.texts(has_times=has_times, is_timed=True)
        text.begin(arguments)
        if source is None:
            text.know_time()
        else:
            write_start(text, source)
        outermost = text.open_loop(loop)
        if source is not None and source.gives_times:
            self._write_time(source, has_record=not form.decodes)
        return outermost

    def _is_before_time(self, stage_index: int, step_index: int) -> bool:
        pipeline = self._text.pipeline
        if not isinstance(pipeline, Pipeline) or not pipeline.reads_time_in_records:
            return False
        return stage_index == 0 and step_index <= pipeline.time_after

    def _time_if_here(self, stage_index: int, step_index: int) -> None:
        """Write how a record gets its time, if it gets it before this step."""
        text, pipeline = self._text, self._text.pipeline
        if text.has_time or not isinstance(pipeline, Pipeline):
            return
        is_here = self._is_before_time(stage_index, step_index)
        if is_here and step_index == pipeline.time_after and needs_time(text.plan, self._index, 0):
            self._write_time(pipeline)

    def _write_time(self, pipeline: Pipeline, *, has_record: bool = True) -> None:
        nodes, before = self._text.bindings.nodes, self._step_before(0, pipeline.time_after)
        node = nodes.of_source[self._index] if before is None else nodes.of_step[before.id]
        write_time(self._text, pipeline, node, has_record=has_record)

    def _travel_by_source_key(self, exchange: Exchange, *, decodes: bool) -> bool:
        """Write an exchange by the key of the source; return whether only the owner decodes."""
        if decodes and exchange.decodes_first:
            self._decode(None)
            decodes = False
        if not decodes:
            self._time_if_here(0, 0)
        write_exchange_by_source_key(self._text, exchange, has_payload=decodes)
        return decodes

    def write_handler(
        self, stage_index: int, step_index: int, handler: StepHandler
    ) -> Callable[..., None]:
        text = self._text
        step = text.pipeline.stages[stage_index].steps[step_index]
        text.know_key()
        text.know_time()
        text.begin("due, read_ns")
        outermost = text.open_loop(handler.loop)
        text.enter(text.bindings.nodes.of_step[step.id], handler.function)
        for line in text.counters.fired(text.node):
            text.line(line)
        write_handler(text, step, handler)
        write_results(text, step)
        self._steps(stage_index, step_index + 1)
        text.unwind(1)
        text.close_loop(outermost)
        return text.finish(f"pipeline {text.pipeline.name}, {handler.site}")

    def _step_before(self, stage_index: int, step_index: int) -> Step | None:
        steps = self._text.pipeline.stages[stage_index].steps
        return steps[step_index - 1] if step_index else None

    def _decode(self, exchange: Exchange | None) -> None:
        text = self._text
        decoder = text.pipeline.decoder
        assert decoder is not None
        nodes = text.bindings.nodes
        # The owner of a record decodes it again, but it was counted where its source is.
        text.enter(
            nodes.of_source[self._index] if exchange is None else nodes.of_edge[exchange.edge]
        )
        text.line(f"record = {text.user_name('decode', decoder)}(payload)")
        text.note_site(
            Site(text.pipeline.name, "decoder", text.has_key, is_decoder=True, node=text.node)
        )
        text.line(f"if record is None: {text.counters.filtered(text.node)}continue")

    def _steps(self, stage_index: int, step_index: int) -> None:
        text = self._text
        steps = text.pipeline.stages[stage_index].steps
        for index in range(step_index, len(steps)):
            self._time_if_here(stage_index, index)
            write_step(text, steps[index])
            if steps[index].waiting is not None:
                return
            if steps[index].is_multi and text.loop_count == LOOPS_NESTED_MAX:
                self._call_the_rest(stage_index, index + 1)
                return
        self._time_if_here(stage_index, len(steps))
        self._leave_stage(stage_index)

    def _call_the_rest(self, stage_index: int, step_index: int) -> None:
        text = self._text
        name = f"rest_{stage_index}_{step_index}"
        if self._index >= len(text.plan.pipelines):
            name = f"rest_{self._index}_{stage_index}_{step_index}"
        self._call(name, text.pipeline, stage_index, step_index)

    def _call(self, name: str, pipeline: Flow, stage_index: int, step_index: int) -> None:
        """Write the call of a function that takes the record on from this step."""
        text = self._text
        run = self._called.get(name)
        if run is None:
            writer = _ChainWriter(text.plan, pipeline, text.bindings, text.probe, self._called)
            run = self._called[name] = writer.write(stage_index, step_index, Entry.OBJECTS)
        called = text.name(name, run)
        if not needs_time(text.plan, text.plan.flows.index(pipeline), stage_index):
            text.line(f"{called}((key,), (record,), (payload,))")
        elif text.has_time:
            text.line(f"{called}((key,), (record,), (payload,), (time,), read_ns)")
        else:
            # The time is found behind this point.
            text.line(f"top = max(top, {called}((key,), (record,), (payload,), read_ns))")

    def _leave_stage(self, stage_index: int) -> None:
        if stage_index + 1 < len(self._text.pipeline.stages):
            exchange = self._exchange(stage_index + 1)
            write_exchange(self._text, exchange)
            if self._text.bindings.combiner(exchange) is None:
                self._steps(stage_index + 1, 0)
        else:
            self._leave_pipeline()

    def _exchange(self, stage_index: int) -> Exchange:
        exchange = self._text.pipeline.stages[stage_index].exchange
        assert exchange is not None
        return exchange

    @property
    def _index(self) -> int:
        """The index of the pipeline that the next lines belong to."""
        return self._text.plan.flows.index(self._text.pipeline)

    # The end of a pipeline, and what it feeds

    def _leave_pipeline(self) -> None:
        text, index = self._text, self._index
        pipeline = text.pipeline
        fed = text.plan.fed_by_port(index, Port.END)
        write_sinks(text, are_last=not fed)
        if not fed:
            return
        if pipeline.key is not None:
            write_end_key(text, pipeline.key, index)
        if pipeline.branches:
            self._branches(index, fed)
        else:
            self._blocks(index, [inner for inner, _ in fed])

    def _branches(self, index: int, fed: list[tuple[int, Feed]]) -> None:
        """Write a condition for each branch, and what the branch feeds under it."""
        text = self._text
        node, first = text.bindings.nodes.of_end[index], text.bindings.tally.first_branch[index]
        for branch, predicate in enumerate(text.pipeline.branches):
            text.enter(node, predicate.function)
            condition = "elif" if branch else "if"
            name = text.user_name(f"branch_{index}_{branch}", predicate.function)
            text.line(f"{condition} {name}(record):", site=predicate.name)
            with text.indented():
                for line in text.counters.branched(first + branch):
                    text.line(line)
                self._blocks(index, [inner for inner, feed in fed if feed.branch == branch])
        text.line("else:")
        with text.indented():
            last = len(text.pipeline.branches)
            self._blocks(index, [inner for inner, feed in fed if feed.branch == last])

    def _blocks(self, index: int, fed: list[int]) -> None:
        """Write the inner pipelines that all get the record which has reached this point."""
        text = self._text
        loop_count = text.loop_count
        saved_key = f"key_of_{index}" if text.has_key else None
        if len(fed) > 1:
            text.line(f"record_of_{index} = record")
            if saved_key is not None:
                text.line(f"{saved_key} = key")
        for position, inner in enumerate(fed):
            if position:
                text.line(f"record = record_of_{index}")
                if saved_key is not None:
                    text.line(f"key = {saved_key}")
            self._block(inner, is_last=position == len(fed) - 1)
            text.unwind(loop_count)

    def _block(self, inner: int, *, is_last: bool) -> None:
        text = self._text
        if (
            text.loop_count >= LOOPS_NESTED_MAX
            or text.line_count >= LINES_INLINED_MAX
            or text.level >= INDENTED_MAX
        ):
            self._call(f"flow_{inner}", text.plan.flows[inner], 0, 0)
            return
        loop_count = text.loop_count
        depth = 0 if is_last else text.open_loop("for _ in (0,):")
        with text.inside(text.plan.flows[inner]):
            self._steps(0, 0)
        if depth:
            text.unwind(loop_count + 1)
            text.close_single_loop(depth)


class _EntryForm(NamedTuple):
    """The lists that a chain gets, the variables of its loop, and whether it decodes first."""

    lists: tuple[str, ...]
    variables: tuple[str, ...]
    decodes: bool = False

    def texts(self, *, has_times: bool, is_timed: bool) -> tuple[str, str]:
        """Return arguments and loop; perhaps with a list of times, and when they were read."""
        lists = (*self.lists, "times") if has_times else self.lists
        variables = ", ".join((*self.variables, "time") if has_times else self.variables)
        arguments = ", ".join((*lists, "read_ns") if is_timed else lists)
        rows = f"zip({', '.join(lists)})" if len(lists) > 1 else lists[0]
        return arguments, f"for {variables} in {rows}:"


_ENTRY_FORMS = {
    Entry.PAYLOADS: _EntryForm(("payloads",), ("payload",), decodes=True),
    Entry.KEYS_AND_PAYLOADS: _EntryForm(("keys", "payloads"), ("key", "payload"), decodes=True),
    Entry.KEYS_AND_VALUES: _EntryForm(("keys", "values"), ("key", "record")),
    Entry.VALUES: _EntryForm(("values",), ("record",)),
    Entry.KEYED_PAYLOADS: _EntryForm(("keys", "payloads"), ("key", "payload"), decodes=True),
    Entry.OBJECTS: _EntryForm(("keys", "records", "payloads"), ("key", "record", "payload")),
}

_KEYED_BY_SOURCE = (Entry.KEYS_AND_PAYLOADS, Entry.KEYS_AND_VALUES)
_AT_SOURCE = (Entry.PAYLOADS, Entry.VALUES, *_KEYED_BY_SOURCE)
