"""Runs an application over given items, in this process, without sockets and without faults.

Each worker is a ``Dataflow``, as in a real worker. What crosses an exchange is packed and unpacked
as it would be, so with several workers a record that cannot be pickled fails here too.

If anything depends on time, records run one by one, and all clocks follow each of them: what is
late, and when windows fire, does not depend on how records are read.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from wallaroo.connectors.base import Assignment, Promise, Sink, Source
from wallaroo.connectors.keyed_records import KeyedRecords, SourceKey
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.coordinator.worker_names import first_names
from wallaroo.errors import WallarooParameterError
from wallaroo.names import SinkId
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import (
    Failure,
    Site,
    StopOnError,
    describe_failure,
    is_interrupt,
)
from wallaroo.testing.calls import PlainStations
from wallaroo.testing.checked_items import checked_items, is_keyed
from wallaroo.testing.resources import resources_of
from wallaroo.testing.virtual_time import (
    Advance,
    AdvanceWall,
    ItemTimes,
    Record,
    VirtualTime,
)
from wallaroo.topology.plan import Application, InnerPipeline, Pipeline, Stage

AnyFlow = TypeVar("AnyFlow", Pipeline, InnerPipeline)

SLICE_RECORDS = 500
GENERATED_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Collected:
    """What came out of an application."""

    outputs: dict[str, list[Any]]
    """For each sink, by its name, what its pipeline gave, before the encoder, in order."""
    encoded: dict[str, list[Any]]
    """The same after the encoder: what the sink would have written."""
    failures: tuple[Failure, ...]
    """Records that user code could not process, with ``step``, ``key``, ``error``, ``payload``."""
    late: dict[str, int] = field(default_factory=dict)
    """For each state with windows, how many records were late, whatever became of them."""


def collect(
    application: Application, inputs: Mapping[str, Iterable[Any]], *, workers: int = 1
) -> Collected:
    """Run ``application`` over ``inputs`` in this process, and return what each sink gets.

    ``application`` is what ``application_setup`` returns. Its addresses and files are not used.
    ``inputs`` has a list of items for each source, by the name of the source, and the sources are
    read in this order. An item that is ``bytes`` is a payload and goes through the decoder of its
    source, if it has one. Any other item is a record. If records are routed by
    ``wallaroo.source_key``, an item is a pair of a key and such an item. A generator that is left
    out makes its own records, and has to end::

        collected = collect(plan, {"votes": [b"a\\0\\0\\0\\1"]})
        assert collected.encoded["sink 0"] == [b"a => 1\\n"]

    If anything depends on time, the clocks follow each record, and behind all items the input has
    ended, so all windows fire. An item may be ``Record(value, at=...)``, which has this time,
    ``Advance(...)``, which moves the event time of its source, or ``AdvanceWall(...)``, which moves
    the wall clock. That clock stands at 1970 otherwise. Records of a source with ingest time have
    the time of that clock, and ``at`` moves it.

    With several ``workers`` records travel between them as in a cluster. All records that follow
    from some items are processed before the next items are read, so the order of a key is kept.

    Raises ``WallarooParameterError`` for a mistake in the call, such as an unknown source.
    """
    items = checked_items(application, inputs, workers)
    return _Collection(application, items, workers).run()


class _Collection:
    """One call of ``collect``."""

    def __init__(self, plan: Application, items: Mapping[str, list[Any]], workers: int) -> None:
        self._failures: list[Failure] = []
        self._sources: dict[str, _Given] = {}
        """By name of a source."""
        self._times = ItemTimes()
        pipelines = tuple(
            self._times.of_items(self._fed(each, items.get(each.name))) for each in plan.pipelines
        )
        given = replace(plan, pipelines=pipelines)
        self._plan, self._plain = _with_plain_sinks(_with_objects(given, plan))
        self._rows: dict[int, list[Any]] = {index: [] for index in range(len(self._plan.sinks))}
        self._names = first_names(workers)
        maps = {each.state: each for each in initial_maps(plan, self._names)}
        self._resources = resources_of(self._plan, self._names)
        self._dataflows = {
            name: Dataflow(
                self._plan,
                name,
                DataflowOptions(
                    is_interrupt=is_interrupt,
                    resources=self._resources[name].made,
                    wall_ns=lambda: self._clocks.now_ns,
                ),
            )
            for name in self._names
        }
        for dataflow in self._dataflows.values():
            dataflow.bind(self._names, maps)
        self._stations = [PlainStations(dataflow) for dataflow in self._dataflows.values()]
        self._clocks = VirtualTime(self._plan, self._dataflows.values())
        self._order = [*items, *(name for name in self._sources if name not in items)]

    def run(self) -> Collected:
        """Run all items; return what came out."""
        index_of = {pipeline.name: index for index, pipeline in enumerate(self._plan.pipelines)}
        self._turns = itertools.cycle(self._dataflows.values())
        try:
            for name in self._order:
                self._run_source(index_of[name], self._sources[name])
            self._clocks.end_input()
            self._settle()
        except StopOnError as stop:
            # What has interrupted user code.
            assert stop.__cause__ is not None
            raise stop.__cause__ from None
        finally:
            for resources in self._resources.values():
                resources.close()
        sink_count = len(self._plain)
        names = [self._plan.sink_name(SinkId(index)) for index in range(sink_count)]
        return Collected(
            outputs={name: self._rows[self._plain[index]] for index, name in enumerate(names)},
            encoded={name: self._rows[index] for index, name in enumerate(names)},
            failures=tuple(self._failures),
            late=self._clocks.late_counts(),
        )

    def _run_source(self, pipeline: int, given: "_Given") -> None:
        if not self._clocks.is_needed:
            for start in range(0, len(given.records), SLICE_RECORDS):
                self._run_slice(pipeline, given.records[start : start + SLICE_RECORDS])
            return
        for step in given.steps:
            if isinstance(step, Advance | AdvanceWall):
                self._clocks.advance(pipeline, step)
                self._settle()
            else:
                self._times.at = step.at
                record = given.records[step.position : step.position + 1]
                self._run_slice(pipeline, record, self._clocks.read_at(pipeline, step.at))
        self._clocks.ended(pipeline)
        self._settle()

    def _run_slice(self, pipeline: int, records: list[Any], read_ns: int = 0) -> None:
        highest = next(self._turns).run_source(pipeline, records, read_ns=read_ns)
        self._settle()
        if self._clocks.is_needed:
            self._clocks.processed(pipeline, highest)
            self._settle()

    def _settle(self) -> None:
        """Process everything that travels between the workers, and keep what came out."""
        is_busy = True
        while is_busy or self._clocks.fire() or self._clocks.follow():
            is_busy = any(stations.settle() for stations in self._stations)
            for dataflow in self._dataflows.values():
                for sent in [*dataflow.take_batches()]:
                    is_busy = True
                    owner = self._dataflows[sent.worker]
                    batch = owner.unpack(sent.edge, sent.form, sent.body)
                    owner.run_batch(sent.edge, batch, 0, len(batch.keys))
        for dataflow in self._dataflows.values():
            for sink, rows in dataflow.take_output():
                self._rows[sink] += rows
            self._failures += dataflow.take_failures()

    # Items, as the chains take them

    def _fed(self, pipeline: Pipeline, items: list[Any] | None) -> Pipeline:
        """Keep the items of a pipeline's source; return the pipeline as it has to be to take them.

        Records instead of payloads need a source without a decoder.
        """
        source = pipeline.source
        if items is None:
            self._sources[pipeline.name] = _given([_Item(each) for each in _generated(pipeline)])
            return pipeline
        has_keys = is_keyed(pipeline)
        read = [_read_item(item, has_key=has_keys) for item in items]
        values = [item for item in read if isinstance(item, _Item)]
        if source.decoder is not None and not all(item.is_payload for item in values):
            read = [*self._decoded(pipeline, read)]
            pipeline = replace(pipeline, source=_Records(source))
        self._sources[pipeline.name] = _given(read, has_keys=has_keys)
        return pipeline

    def _decoded(
        self, pipeline: Pipeline, items: Iterable["_Item | Advance | AdvanceWall"]
    ) -> Iterator["_Item | Advance | AdvanceWall"]:
        """Yield the records among these items, and those of payloads between them."""
        decode = pipeline.source.decoder
        assert decode is not None
        for item in items:
            if isinstance(item, _Item) and item.is_payload:
                record = self._record(pipeline, decode, item.value)
                if record is not None:
                    yield replace(item, value=record)
            else:
                yield item

    def _record(self, pipeline: Pipeline, decode: Callable[[Any], Any], payload: bytes) -> Any:
        try:
            return decode(payload)
        except BaseException as error:
            if is_interrupt(error):
                raise
            site = Site(pipeline.name, "decoder", has_key=False, is_decoder=True, function=decode)
            self._failures.append(describe_failure(error, site, None, payload, payload))
            return None


@dataclass(frozen=True, slots=True)
class _Item:
    """A record or a payload of the input."""

    value: Any
    key: Any = None
    at: int | None = None

    @property
    def is_payload(self) -> bool:
        """Whether it is decoded first; what the user gives as a record is not."""
        return self.at is None and isinstance(self.value, bytes)


class _RecordStep(NamedTuple):
    """A record of a source, by its place, and the time that its item has."""

    position: int
    at: int | None


class _Given(NamedTuple):
    """What a source gives."""

    records: list[Any]
    """As its chain takes them."""
    steps: list[_RecordStep | Advance | AdvanceWall]
    """These records in order, and when clocks move between them."""


def _read_item(item: Any, *, has_key: bool) -> _Item | Advance | AdvanceWall:
    key = None
    if isinstance(item, Advance | AdvanceWall):
        return item
    if has_key:
        key, item = item
    return _Item(item.value, key, item.at) if isinstance(item, Record) else _Item(item, key)


def _given(items: Iterable[_Item | Advance | AdvanceWall], *, has_keys: bool = False) -> _Given:
    records: list[Any] = []
    keys: list[Any] = []
    steps: list[_RecordStep | Advance | AdvanceWall] = []
    for item in items:
        if isinstance(item, _Item):
            steps.append(_RecordStep(len(records), item.at))
            records.append(item.value)
            keys.append(item.key)
        else:
            steps.append(item)
    return _Given(KeyedRecords(records, keys) if has_keys else records, steps)


@dataclass(frozen=True, slots=True)
class _Records(Source):
    """A source that gives the records of another one, already decoded."""

    original: Source

    assignment = Assignment.ONE_WORKER
    runner = ""

    @property
    def kind(self) -> str:
        """The kind of the source that it stands for."""
        return self.original.kind

    @property
    def key(self) -> SourceKey | None:
        """The keys of the source that it stands for."""
        return self.original.key

    def describe(self) -> str:
        """Return the line of the source that it stands for."""
        return self.original.describe()

    def identity(self) -> str:
        """Return the identity of the source that it stands for."""
        return self.original.identity()


@dataclass(frozen=True, slots=True)
class _PlainSink:
    """A sink that gets records beside another one, before the encoder of that."""

    kind: ClassVar[str] = "Collected"
    runner: ClassVar[str] = ""
    promise: ClassVar[Promise] = Promise.AT_LEAST_ONCE
    takes_bytes: ClassVar[bool] = False
    encode: ClassVar[None] = None
    path: ClassVar[None] = None
    label: ClassVar[None] = None

    name: str

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"records for {self.name}"

    def identity(self) -> str:
        """Return what makes it the same sink."""
        return f"Collected(name={self.name!r})"


def _with_plain_sinks(plan: Application) -> tuple[Application, dict[int, int]]:
    """Return the plan with a second sink before each encoder, and the number of it, by sink."""
    sinks: list[Sink] = [*plan.sinks]
    plain: dict[int, int] = {}
    for index, sink in enumerate(plan.sinks):
        if sink.encode is None and not sink.takes_bytes:
            plain[index] = index
        else:
            plain[index] = len(sinks)
            sinks.append(_PlainSink(plan.sink_name(SinkId(index))))

    def with_both(flow: AnyFlow, /) -> AnyFlow:
        both = (dict.fromkeys((plain[sink], sink)) for sink in flow.sinks)
        return replace(flow, sinks=tuple(SinkId(each) for some in both for each in some))

    return _changed(replace(plan, sinks=tuple(sinks)), with_both), plain


def _with_objects(plan: Application, original: Application) -> Application:
    """Return the plan in which records of sources that have no payloads any more travel whole."""
    pairs = zip(plan.pipelines, original.pipelines, strict=True)
    changed = [index for index, (now, before) in enumerate(pairs) if now is not before]
    reached = {flow for index in changed for flow in plan.reached_from(index)}
    names = {plan.flows[index].name for index in reached}

    def with_objects(flow: AnyFlow, /) -> AnyFlow:
        stages = tuple(map(_without_payload, flow.stages))
        return replace(flow, stages=stages) if flow.name in names else flow

    return _changed(plan, with_objects)


def _without_payload(stage: Stage) -> Stage:
    if stage.exchange is None:
        return stage
    return replace(stage, exchange=replace(stage.exchange, payload_may_travel=False))


class _Change(Protocol):
    def __call__(self, flow: AnyFlow, /) -> AnyFlow: ...


def _changed(plan: Application, change: _Change) -> Application:
    """Return the plan with another form of each pipeline."""
    pipelines = tuple(change(each) for each in plan.pipelines)
    return replace(plan, pipelines=pipelines, inner=tuple(change(each) for each in plan.inner))


def _generated(pipeline: Pipeline) -> list[Any]:
    generated = pipeline.source.generated()
    if generated is None:
        return []
    made = [*itertools.islice(generated, GENERATED_MAX + 1)]
    if len(made) > GENERATED_MAX:
        raise WallarooParameterError(
            f"the source {pipeline.name!r} makes its own records, and does not end within "
            f"{GENERATED_MAX:,} of them; give its items in inputs"
        )
    return made
