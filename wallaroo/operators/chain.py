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

Measured on the example, with 1,350 ns a record in the user's own functions: without a list between
the stages of one worker a record costs 60 to 80 ns less; one flat list for each destination instead
of tuples saves 30 ns; `try` inside the loop costs nothing since Python 3.11, and isolates the error
of each record. Which step failed is not tracked while records run: it follows from the line number
in the traceback.
"""

import enum
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, NoReturn

from wallaroo.connectors.base import Sink
from wallaroo.connectors.keyed_records import UTF_8
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.probe import Probe
from wallaroo.metrics.tally import Tally
from wallaroo.names import EdgeId, SinkId
from wallaroo.operators.changes import StateChanges, StateWriter
from wallaroo.operators.counting import ChainCounters
from wallaroo.operators.failures import Site, StopOnError, forget_traceback, traceback_of
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.results import (
    DELETE,
    checked_pair,
    encoded_bytes,
    records_of_multi,
    refuse_none,
)
from wallaroo.operators.routes import Routes
from wallaroo.routing.keys import canonical_key
from wallaroo.topology.plan import (
    CONSTANT_KEY,
    SOURCE_KEY,
    Application,
    Exchange,
    ExchangeKind,
    Pipeline,
    Step,
)

CHAINS_KEPT_MAX = 256

LOOPS_NESTED_MAX = 5
"""Python allows 20 nested blocks; each multi computation takes two of them."""


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
    """Across an exchange, as objects: ``run(keys, records, payloads)``."""


@dataclass(slots=True)
class Bindings:
    """The objects that the written code refers to; the dataflow makes them for one set of
    members."""

    is_single_worker: bool
    states: dict[str, KeyedState]
    routes: dict[EdgeId, Routes]
    """For keyed exchanges: key to the list of its worker, ``None`` for this one."""
    distributors: dict[EdgeId, Callable[[], list[Any] | None]]
    """For round-robin exchanges: returns the list of the next worker, ``None`` for this one."""
    travels_as_payload: frozenset[EdgeId]
    sink_appends: dict[SinkId, Callable[[Any], object]]
    fail: Callable[[BaseException, Site, Any, Any, bytes | None], None]
    """Called with the error, its site, key, record and payload."""
    nodes: Nodes
    tally: Tally
    """Where chains count changes of the number of records, if steps are counted."""
    tracking: list[tuple[dict[str, Any], int, StateChanges]] = field(default_factory=list)
    """The namespaces of chains that track changes, with the number of the step."""

    def send_payloads(self, edges: frozenset[EdgeId]) -> None:
        """Send original payloads over these edges only, once the chains are written again."""
        self.travels_as_payload = edges

    def freeze(self, writers: Mapping[str, StateWriter]) -> None:
        """Freeze the keys that changed; from now on changes belong to the next checkpoint."""
        for name, writer in writers.items():
            self.states[name].freeze(writer)
        for names, step, change in self.tracking:
            _bind_changes(names, step, change)


def write_chain(
    plan: Application,
    pipeline: Pipeline,
    stage_index: int,
    entry: Entry,
    bindings: Bindings,
    probe: Probe | None = None,
) -> Callable[..., None]:
    """Return the function that runs a list of records from ``stage_index`` on.

    With a ``probe`` the function also measures the user's functions.
    """
    return _ChainWriter(plan, pipeline, bindings, probe).write(stage_index, 0, entry)


@dataclass(slots=True)
class _ChainWriter:
    plan: Application
    pipeline: Pipeline
    bindings: Bindings
    probe: Probe | None = None
    lines: list[str] = field(default_factory=list)
    sites: dict[int, Site] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    depth: int = 1
    loop_count: int = 0
    function: Callable[..., Any] | None = None
    node: int = 0
    """The node that records have reached, for counters."""
    counters: ChainCounters = field(init=False)
    has_key: bool = False

    def __post_init__(self) -> None:
        self.counters = ChainCounters(self.bindings.tally)

    def write(self, stage_index: int, step_index: int, entry: Entry) -> Callable[..., None]:
        arguments, loop, decodes = _ENTRY_FORMS[entry]
        self.has_key = entry in (Entry.KEYED_PAYLOADS, Entry.OBJECTS)
        self._line(f"def run({arguments}):", depth=0)
        self._line("key = record = payload = None")
        with_failures = self._open_loop(loop)
        if entry in _KEYED_BY_SOURCE:
            # What follows runs at the owner of the key: its stage is behind the exchange.
            stage_index += 1
            self._route_by_source_key(stage_index, has_payload=decodes)
        if decodes:
            self._decode(self.pipeline.stages[stage_index].exchange)
        self._steps(stage_index, step_index)
        self._close_loop(with_failures)
        # Add to an existing line, since errors are identified by line numbers.
        self.lines[1] += self.counters.begin()
        for line in self.counters.end():
            self._line(line, depth=1)
        self.names |= self.counters.names()
        place = f"pipeline {self.pipeline.name}, stage {stage_index}, step {step_index}"
        return self._compiled(f"<{place}, from {entry.value}>")

    # The loop, and the isolation of errors

    def _open_loop(self, loop: str) -> int:
        self._line(loop)
        self.depth += 1
        self.loop_count += 1
        self._line("try:")
        self.depth += 1
        return self.depth - 1

    def _close_loop(self, depth: int) -> None:
        self.depth = depth
        # Whatever the user's function raises is a failure of its record, also sys.exit() or a
        # cancelled task. StopOnError is raised by an inner loop, for a record of that loop.
        self._line("except StopOnError: raise")
        self._line("except BaseException as error:")
        self._line("fail(error, key, record, payload)", depth=depth + 1)
        self.depth = depth - 1

    # What happens to a record, in order

    def _decode(self, exchange: Exchange | None) -> None:
        decoder = self.pipeline.source.decoder
        assert decoder is not None
        nodes = self.bindings.nodes
        # The owner of a record decodes it again, but it was counted where its source is.
        self.node = (
            nodes.of_source[self.plan.pipelines.index(self.pipeline)]
            if exchange is None
            else nodes.of_edge[exchange.edge]
        )
        decode = self._user_name("decode", decoder)
        self._line(f"record = {decode}(payload)")
        site = Site(self.pipeline.name, "decoder", self.has_key, is_decoder=True, node=self.node)
        self.sites[len(self.lines)] = site
        self._line(f"if record is None: {self.counters.filtered(self.node)}continue")

    def _steps(self, stage_index: int, step_index: int) -> None:
        steps = self.pipeline.stages[stage_index].steps
        for index in range(step_index, len(steps)):
            self._step(steps[index])
            if steps[index].is_multi and self.loop_count == LOOPS_NESTED_MAX:
                self._call_the_rest(stage_index, index + 1)
                return
        self._leave_stage(stage_index)

    def _step(self, step: Step) -> None:
        self.function = step.function
        self.node = self.bindings.nodes.of_step[step.id]
        function = self._user_name(f"step_{step.id}", step.function)
        result = "records" if step.is_multi else "record"
        if step.state is None:
            self._line(f"{result} = {function}(record)", site=step.name)
        else:
            self._state_call(step, function, result)
        if step.is_multi:
            self._fan_out(step)
        else:
            self._line(f"if record is None: {self.counters.filtered(self.node)}continue")

    def _state_call(self, step: Step, function: str, result: str) -> None:
        assert step.state is not None
        state = self.bindings.states[step.state]
        states = self._name(f"states_{step.id}", state.objects)
        create = self._user_name(
            f"create_{step.id}", self.plan.states[step.state].create, is_step=False
        )
        if self.probe is not None:
            self.names[states] = self.probe.watched(step.state, state.objects)
        delete = self._name(f"delete_{step.id}", state.delete)
        self._line(f"state = {states}.get(key)")
        change = state.changes
        if change is not None:
            _bind_changes(self.names, step.id, change)
            self.bindings.tracking.append((self.names, step.id, change))
            # `frozen` is empty except for a moment after each barrier, so this costs 5 ns. It comes
            # before a new object is created: the barrier may hold that the key was deleted.
            self._line(
                f"if frozen_{step.id} and mark_of_{step.id}(key) is frozen_mark_{step.id}: "
                f"copy_first_{step.id}(key)"
            )
        self._line("if state is None:")
        self._line(f"    state = {create}()", site=step.name)
        self._line(f"    if state is None: refuse_none({step.state!r})", site=step.name)
        self._line(f"    {states}[key] = state")
        if step.always_changes:
            self._take_result(step, function, delete, result)
        else:
            self._unpack_pair(step, function, delete)
        if change is not None:
            # Truth-testing may call the user's `__bool__`, so this line needs a site.
            is_changed = "" if step.always_changes else "changed and "
            self._line(
                f"if {is_changed}mark_of_{step.id}(key) is not current_{step.id}:", site=step.name
            )
            self._line(f"    marks_{step.id}[key] = current_{step.id}")
            self._line(f"    note_changed_{step.id}(key)")
        if not step.always_changes:
            self._line(f"{result} = result")
        self.names |= {"checked_pair": checked_pair, "DELETE": DELETE, "refuse_none": refuse_none}

    def _unpack_pair(self, step: Step, function: str, delete: str) -> None:
        self._line(f"pair = {function}(record, state)", site=step.name)
        # Anything but a pair is the user's mistake, and so is one that fails here (a generator).
        self._line("try: result, changed = pair", site=step.name)
        self._line("except (TypeError, ValueError): result, changed = checked_pair(pair)",
                   site=step.name)  # fmt: skip
        # A two-letter string also unpacks into two values, so check that the second is a bool.
        # `DELETE` is none either, so a state that is never deleted pays nothing for it.
        self._line("if changed is not True and changed is not False:")
        self._line("    checked_pair(pair)", site=step.name)
        self._line(f"    if changed is DELETE: {delete}(key)")

    def _take_result(self, step: Step, function: str, delete: str, result: str) -> None:
        self._line(f"{result} = {function}(record, state)", site=step.name)
        # A tuple is an ordinary result, unless its second element says that the state is deleted.
        self._line(f"if {result}.__class__ is tuple and len({result}) == 2"
                   f" and {result}[1] is DELETE:")  # fmt: skip
        self._line(f"    {result} = {result}[0]")
        self._line(f"    {delete}(key)")

    def _fan_out(self, step: Step) -> None:
        self.names["records_of_multi"] = records_of_multi
        self._line("if records.__class__ is not list: records = records_of_multi(records)",
                   site=step.name)  # fmt: skip
        for line in self.counters.fanned_out(self.node):
            self._line(line)
        outer_key = f"key_{step.id}"
        if self.has_key:
            self._line(f"{outer_key} = key")
        self._open_loop("for record in records:")
        if self.has_key:
            # The previous item may have passed another exchange, which changed the key.
            self._line(f"key = {outer_key}")
        self._line(f"if record is None: {self.counters.not_made(self.node)}continue")

    def _call_the_rest(self, stage_index: int, step_index: int) -> None:
        rest = _ChainWriter(self.plan, self.pipeline, self.bindings, self.probe)
        run = rest.write(stage_index, step_index, Entry.OBJECTS)
        name = self._name(f"rest_{stage_index}_{step_index}", run)
        self._line(f"{name}((key,), (record,), (payload,))")
        self._unwind()

    def _leave_stage(self, stage_index: int) -> None:
        if stage_index + 1 < len(self.pipeline.stages):
            exchange = self.pipeline.stages[stage_index + 1].exchange
            assert exchange is not None
            self._exchange(exchange)
            self._steps(stage_index + 1, 0)
        else:
            self._sinks()
            self._unwind()

    def _route_by_source_key(self, stage_index: int, *, has_payload: bool) -> None:
        exchange, form = self.pipeline.stages[stage_index].exchange, self.pipeline.source.key
        assert exchange is not None
        self.node = self.bindings.nodes.of_edge[exchange.edge]
        self.names |= {"canonical_key": canonical_key, "no_key": _raise_no_key}
        first = len(self.lines) + 1
        self._line("if key is None: no_key()")
        if form == UTF_8:
            self._line("key = key.decode()")
        elif callable(form):
            self.function = form
            self._line(f"key = {self._user_name('key_of', form, is_step=False)}(key)")
        self._line("if key.__class__ is not str: key = canonical_key(key)")
        # Nothing is decoded yet, so a dead letter shows the payload.
        site = Site(self.pipeline.name, SOURCE_KEY, has_key=False, is_decoder=has_payload,
                    function=self.function, node=self.node)  # fmt: skip
        self.sites |= dict.fromkeys(range(first, len(self.lines) + 1), site)
        self.has_key = True
        self._route(exchange)

    def _exchange(self, exchange: Exchange) -> None:
        self._find_key(exchange)
        self._route(exchange)

    def _route(self, exchange: Exchange) -> None:
        if self.bindings.is_single_worker:
            return
        if exchange.kind is ExchangeKind.KEYED:
            routes = self.bindings.routes[exchange.edge]
            known = self._name(f"known_{exchange.edge}", routes.known.get)
            find = self._name(f"find_{exchange.edge}", routes.find)
            self._line(f"out = {known}(key, False)", site=exchange.partition_name)
            self._line(f"if out is False: out = {find}(key)", site=exchange.partition_name)
        else:
            distribute = self.bindings.distributors[exchange.edge]
            self._line(f"out = {self._name(f'distribute_{exchange.edge}', distribute)}()")
        as_payload = exchange.edge in self.bindings.travels_as_payload
        self._line("if out is not None:")
        travelling = ("key", "payload") if as_payload else ("key", "record", "payload")
        for value in travelling:
            self._line(f"    out.append({value})")
        self._line("    continue")

    def _find_key(self, exchange: Exchange) -> None:
        self.has_key = False
        self.function = exchange.partition
        self.node = self.bindings.nodes.of_edge[exchange.edge]
        if exchange.kind is ExchangeKind.ROUND_ROBIN:
            self._line("key = None")
            return
        if exchange.partition is None:
            self._line(f"key = {CONSTANT_KEY!r}")
        else:
            partition = self._user_name(
                f"partition_{exchange.edge}", exchange.partition, is_step=False
            )
            self.names["canonical_key"] = canonical_key
            self._line(f"key = {partition}(record)", site=exchange.partition_name)
            self._line("if key.__class__ is not str: key = canonical_key(key)",
                       site=exchange.partition_name)  # fmt: skip
        self.has_key = True

    def _sinks(self) -> None:
        sinks = self.pipeline.sinks
        for sink_id in sinks:
            # With several sinks, the failure of one encoder must not affect the others: a loop of
            # one iteration gives each its own "continue" and its own isolation.
            depth = self._open_loop("for _ in (0,):") if len(sinks) > 1 else 0
            self._sink(sink_id, self.plan.sinks[sink_id])
            if depth:
                self._close_loop(depth)
                self.loop_count -= 1

    def _sink(self, sink_id: SinkId, sink: Sink) -> None:
        append = self._name(f"sink_{sink_id}", self.bindings.sink_appends[sink_id])
        self.function = sink.encode
        self.node = self.bindings.nodes.of_sink[sink_id]
        if sink.encode is None:
            self._line(f"{append}(record)")
            return
        encode = self._user_name(f"encode_{sink_id}", sink.encode)
        site = f"encoder of {sink.describe()}"
        is_filtered = f"if encoded is None: {self.counters.filtered(self.node)}continue"
        self._line(f"encoded = {encode}(record)", site=site)
        if sink.takes_bytes:
            self.names["encoded_bytes"] = encoded_bytes
            self._line("if encoded.__class__ is not bytes:", site=site)
            self._line(f"    {is_filtered}")
            self._line("    if encoded.__class__ is str: encoded = encoded.encode()", site=site)
            self._line("    else: encoded = encoded_bytes(encoded)", site=site)
        else:
            self._line(is_filtered)
        self._line(f"{append}(encoded)")

    def _unwind(self) -> None:
        """Close the loops of multi computations; the outermost one is closed by its opener."""
        while self.loop_count > 1:
            self._close_loop(self.depth - 1)
            self.loop_count -= 1

    # Text, names, and the step of each line

    def _line(self, text: str, *, depth: int | None = None, site: str | None = None) -> None:
        self.lines.append("    " * (self.depth if depth is None else depth) + text)
        if site is not None:
            self.sites[len(self.lines)] = Site(
                self.pipeline.name, site, self.has_key, function=self.function, node=self.node
            )

    def _name(self, name: str, value: Any) -> str:
        self.names[name] = value
        return name

    def _user_name(self, name: str, function: Callable[..., Any], *, is_step: bool = True) -> str:
        """Return a name for a function of the user; its time counts for the step, or beside it."""
        if self.probe is not None:
            timed = self.probe.timed if is_step else self.probe.timed_beside
            function = timed(self.node, function)
        return self._name(name, function)

    def _compiled(self, file_name: str) -> Callable[..., None]:
        text = "\n".join(self.lines) + "\n"
        # Debuggers and tracebacks find the written code here, like the code of a module.
        linecache.cache[file_name] = (len(text), None, text.splitlines(keepends=True), file_name)
        self.names["StopOnError"] = StopOnError
        self.names["fail"] = _failure_reporter(self.sites, self.pipeline.name, self.bindings.fail)
        # The text consists of lines of this module, of names that it made itself, and of constants
        # written by repr; it contains no text of the user.
        exec(_code(text, file_name), self.names)
        run: Callable[..., None] = self.names["run"]
        return run


_ENTRY_FORMS = {
    Entry.PAYLOADS: ("payloads", "for payload in payloads:", True),
    Entry.KEYS_AND_PAYLOADS: (
        "keys, payloads",
        "for key, payload in zip(keys, payloads):",
        True,
    ),
    Entry.KEYS_AND_VALUES: ("keys, values", "for key, record in zip(keys, values):", False),
    Entry.VALUES: ("values", "for record in values:", False),
    Entry.KEYED_PAYLOADS: ("keys, payloads", "for key, payload in zip(keys, payloads):", True),
    Entry.OBJECTS: (
        "keys, records, payloads",
        "for key, record, payload in zip(keys, records, payloads):",
        False,
    ),
}
"""The arguments of the function for each entry, its loop, and whether it decodes first."""


_KEYED_BY_SOURCE = (Entry.KEYS_AND_PAYLOADS, Entry.KEYS_AND_VALUES)


def _raise_no_key() -> NoReturn:
    raise ValueError("the record has no key")


@lru_cache(CHAINS_KEPT_MAX)
def _code(text: str, file_name: str) -> CodeType:
    """Return the compiled text; each epoch writes the same texts again."""
    return compile(text, file_name, "exec")


def _bind_changes(names: dict[str, Any], step: int, change: StateChanges) -> None:
    names[f"marks_{step}"] = change.marks
    names[f"mark_of_{step}"] = change.marks.get
    names[f"current_{step}"] = change.current_mark
    names[f"frozen_mark_{step}"] = change.frozen_mark
    names[f"note_changed_{step}"] = change.changed.append
    names[f"frozen_{step}"] = change.frozen
    names[f"copy_first_{step}"] = change.copy_first


def _failure_reporter(
    sites: dict[int, Site],
    pipeline: str,
    fail: Callable[[BaseException, Site, Any, Any, bytes | None], None],
) -> Callable[[BaseException, Any, Any, bytes | None], None]:
    """Return the function that a chain's ``except`` calls; it finds an error's site by its line."""

    def report(error: BaseException, key: Any, record: Any, payload: bytes | None) -> None:
        found = traceback_of(error)
        assert found is not None
        site = sites.get(found.tb_lineno)
        if site is None:
            # This line calls no user code, so the fault is ours; hiding it in the dead letters
            # would be worse than stopping.
            raise AssertionError(f"the chain of pipeline {pipeline!r} failed by itself") from error
        shown = payload if site.is_decoder else record
        fail(error, site, key if site.has_key else None, shown, payload)
        # An exception object that is raised again keeps its traceback, which grows each time.
        forget_traceback(error)

    return report
