"""All pipelines of a worker, bound to one set of members: records in, batches and output out.

The dataflow owns the state objects and the outgoing lists; it does no I/O. The engine calls
``run_source`` or ``run_batch`` with a slice of records, and then takes batches and output.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any, cast

from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.probe import RECORDS as PROBED_RECORDS
from wallaroo.metrics.probe import Probe
from wallaroo.metrics.tally import Counts, Tally, add_counts, copy_counts
from wallaroo.names import EdgeId, SinkId, WorkerName
from wallaroo.operators.batch_format import SAMPLE_RECORDS_MIN, Clock, cheaper_form
from wallaroo.operators.batches import (
    BadRecord,
    Batch,
    BatchFormat,
    PartialBatch,
    pack_objects,
    pack_partials,
    pack_payloads,
    unpack,
    unpack_partials,
)
from wallaroo.operators.changes import StateWriter
from wallaroo.operators.combining import Combiner, copied
from wallaroo.operators.failures import Failure, Site, StopOnError, describe_failure
from wallaroo.operators.key_splitter import KeySplitter
from wallaroo.operators.keyed_times import states_of
from wallaroo.operators.routes import Routes
from wallaroo.operators.saved_state import Progress, SavedState
from wallaroo.operators.station_records import StationRecords
from wallaroo.operators.timed_states import timed_states_of
from wallaroo.operators.writing.bindings import Bindings
from wallaroo.operators.writing.chain import Entry, write_chain
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.routing.payload_keys import NAME as PAYLOAD_KEY
from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.partial_panes import PartialPane
from wallaroo.topology.combining import combining_steps
from wallaroo.topology.lookups import keyed_by_source, pipelines_before, pipelines_of_edges
from wallaroo.topology.plan import (
    Application,
    Exchange,
    ExchangeKind,
    Flow,
    Pipeline,
)
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.timing import timed_edges, timed_flows

Run = Callable[..., Any]

NO_TIMES: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OutgoingBatch:
    """Records for another worker, ready for its link."""

    edge: EdgeId
    worker: WorkerName
    form: BatchFormat
    record_count: int
    body: bytes
    delivered_ns: int = 0
    """When its source received the oldest of its records; 0 if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataflowOptions:
    """How records travel, and what an error of the user's code does."""

    form: BatchFormat | None = None
    """The form of records whose payload may travel; ``None`` chooses by measured cost."""
    clock: Clock = field(default=lambda: 0.0)
    """The clock that measures the cost."""
    stop_on_error: bool = False
    tracks_changes: bool = False
    """Whether checkpoints are on."""
    on_exit: Callable[[SystemExit], None] | None = None
    """Called if the user's code calls ``sys.exit()``; with ``None`` that is only a failure."""
    clock_ns: Callable[[], int] | None = None
    """The clock that measures user code; with ``None`` steps are not counted either."""
    resources: Mapping[ResourceMaker, Any] = field(default_factory=dict)
    """What steps get by keyword; it is complete before the first ``bind``."""
    is_interrupt: Callable[[BaseException], bool] | None = None
    """Says of an error whether it is meant for the process, as Ctrl-C is, and stops the run."""
    wall_ns: Callable[[], int] = field(default=lambda: 0)
    """Nanoseconds since 1970, for alarms and keys that expire."""


class Dataflow:
    """The chains of one worker, with their states and outgoing lists."""

    def __init__(self, plan: Application, me: WorkerName, options: DataflowOptions) -> None:
        self._plan = plan
        self._me = me
        self._options = options
        self.states = states_of(plan, tracks_changes=options.tracks_changes)
        self._sink_output: dict[SinkId, list[Any]] = {SinkId(i): [] for i in range(len(plan.sinks))}
        self._output_of = [
            [self._sink_output[sink] for sink in plan.sinks_reached_from(index)]
            for index in range(len(plan.flows))
        ]
        self._before = pipelines_before(plan)
        self._outgoing: dict[tuple[EdgeId, WorkerName], list[Any]] = {}
        self._failures: list[Failure] = []
        self._nodes = Nodes(plan)
        self.tally = Tally(plan, counts_steps=options.clock_ns is not None)
        """The records counted on this worker."""
        self.timed = timed_states_of(self, plan, options.tracks_changes, options.wall_ns)
        more = {} if self.timed is None else self.timed.saved_states()
        self.saved_states: dict[str, SavedState] = {**self.states, **more}
        """What checkpoints and moves take of each state, in the order of the plan."""
        self.waiting = StationRecords(plan, me, self.tally, options.resources, self)
        self.probe: Probe | None = None
        if options.clock_ns is not None:
            self.probe = Probe(len(self._nodes.all), list(plan.states), options.clock_ns)
        self.carried: dict[str, Counts] = {}
        """Counts of earlier processes, by worker, as restored from a checkpoint."""
        self._sources: list[list[Run]] = []
        """By pipeline with a source: the chain, and a watched copy of it if there is a probe."""
        self._batches: dict[tuple[EdgeId, bool], list[Run]] = {}
        self._index_of = {flow.name: index for index, flow in enumerate(plan.flows)}
        self._pipeline_of_edge = pipelines_of_edges(plan)
        self._travels_as_payload = frozenset(
            edge
            for edge, (_, exchange) in self._pipeline_of_edge.items()
            if exchange.is_before_decoder
            or (exchange.payload_may_travel and options.form is not BatchFormat.OBJECTS)
        )
        self._unmeasured = {
            edge
            for edge in self._travels_as_payload
            if options.form is None and not self._pipeline_of_edge[edge][1].is_before_decoder
        }
        self._timed_edges, self._timed_flows = timed_edges(plan), timed_flows(plan)
        self._combiners = {edge: Combiner(step) for edge, step in combining_steps(plan).items()}
        self._by_source_key = keyed_by_source(plan)
        self._splitters: dict[int, tuple[KeySplitter, EdgeId]] = {}
        """By pipeline whose records are keyed before they are decoded."""
        self._bindings: Bindings

    def bind(self, workers: tuple[WorkerName, ...], maps: dict[str, PartitionMap]) -> None:
        """Write the chains for these members. States are kept; outgoing lists must be empty."""
        assert not any(self._outgoing.values()), "take_batches() before the members change"
        assert not any(each.waits for each in self._combiners.values())
        self.waiting.bind(maps)
        self._outgoing = {
            (edge, worker): []
            for edge in self._pipeline_of_edge
            for worker in workers
            if worker != self._me
        }
        bindings = self._bindings = Bindings(
            is_single_worker=workers == (self._me,),
            states=self.states,
            routes={},
            distributors={},
            travels_as_payload=self._travels_as_payload,
            timed_edges=self._timed_edges,
            combiners=self._combiners,
            sink_appends={sink: output.append for sink, output in self._sink_output.items()},
            fail=self.fail,
            resources=self._options.resources,
            held_appends=self.waiting.appends,
            timed_stores={} if self.timed is None else self.timed.stores,
            gives={} if self.timed is None else self.timed.gives,
            keyed_steps={} if self.timed is None else self.timed.keyed.steps,
            nodes=self._nodes,
            tally=self.tally,
        )
        for edge, (_, exchange) in self._pipeline_of_edge.items():
            if exchange.kind is ExchangeKind.KEYED:
                partition_map = self._map_of(exchange, workers, maps)
                bindings.routes[edge] = self._routes(edge, partition_map)
                if edge in self._combiners:
                    self._combiners[edge].bind(self._me, workers, partition_map)
            else:
                bindings.distributors[edge] = self._distributor(edge, workers)
            if exchange.payload_key is not None and not exchange.decodes_first:
                splitter = KeySplitter(exchange.payload_key, bindings.routes[edge])
                self._splitters[self.pipeline_of(edge)] = splitter, edge
        self._write_chains()

    def _map_of(
        self,
        exchange: Exchange,
        workers: tuple[WorkerName, ...],
        maps: dict[str, PartitionMap],
    ) -> PartitionMap:
        """Return who owns which keys; if the space has no state, that follows from the members."""
        for state in self._plan.states.values():
            if state.space == exchange.space:
                return maps[state.name]
        hashed = self._plan.hashed_partition_count
        return PartitionMap.initial(exchange.space, hashed, (), workers)

    def _routes(self, edge: EdgeId, partition_map: PartitionMap) -> Routes[list[Any]]:
        lists = [self._outgoing.get((edge, owner)) for owner in partition_map.owners]
        return Routes(partition_map, lists)

    def _distributor(
        self, edge: EdgeId, workers: tuple[WorkerName, ...]
    ) -> Callable[[], list[Any] | None]:
        # Each worker starts with itself, so that records at a low rate stay local.
        start = workers.index(self._me)
        turns = [self._outgoing.get((edge, worker)) for worker in workers]
        return itertools.cycle(turns[start:] + turns[:start]).__next__

    def _write_chains(self) -> None:
        bindings = self._bindings
        bindings.tracking.clear()
        if self.timed is not None:
            self.timed.keyed.unbind()
        self._sources = []
        self._batches = {}
        self.waiting.write_rests(bindings, self._probes())
        if self.timed is not None:
            self.timed.write_chains(bindings)
        for pipeline in self._plan.flows:
            for index, stage in enumerate(pipeline.stages[1:], start=1):
                assert stage.exchange is not None
                edge = stage.exchange.edge
                if not stage.exchange.is_before_decoder:
                    self._batches[edge, True] = self._chains(pipeline, index, Entry.OBJECTS)
                if stage.exchange.payload_may_travel:
                    self._batches[edge, False] = self._chains(pipeline, index, Entry.KEYED_PAYLOADS)
        self._sources = [self._source_chains(pipeline) for pipeline in self._plan.pipelines]

    def _source_chains(self, pipeline: Pipeline) -> list[Run]:
        first = pipeline.stages[1].exchange if len(pipeline.stages) > 1 else None
        if first is not None and first.payload_key is not None and not first.decodes_first:
            # This worker's own records take the way of those that arrive from other workers.
            return self._batches[first.edge, False]
        decodes = pipeline.source.decoder is not None
        if first is not None and first.by_source_key:
            entry = Entry.KEYS_AND_PAYLOADS if decodes else Entry.KEYS_AND_VALUES
        else:
            entry = Entry.PAYLOADS if decodes else Entry.VALUES
        return self._chains(pipeline, 0, entry)

    def _chains(self, pipeline: Flow, stage: int, entry: Entry) -> list[Run]:
        return [
            write_chain(self._plan, pipeline, stage, entry, self._bindings, probe)
            for probe in self._probes()
        ]

    def _probes(self) -> list[Probe | None]:
        return [None] if self.probe is None else [None, self.probe]

    def freeze(self, writers: Mapping[str, StateWriter]) -> None:
        """Freeze all changed keys: everything before a barrier is processed.

        ``writers`` get them, by state.
        """
        for name, writer in writers.items():
            self.saved_states[name].freeze(writer)
        self._bindings.changes_are_frozen()

    def progress(self) -> dict[str, Progress]:
        """Return how far each timed state is."""
        progress = {name: state.progress for name, state in self.saved_states.items()}
        return {name: each for name, each in progress.items() if each is not None}

    # Records in

    def run_source(
        self, pipeline: int, records: list[Any], *, is_watched: bool = False, read_ns: int = 0
    ) -> int:
        """Run payloads, or values of a generator, through ``pipeline`` from its source.

        Return their highest time, if they need one; they were read at ``read_ns``.
        """
        self.tally.taken[pipeline] += len(records)
        if self.timed is not None:
            self.timed.begin_slice(read_ns)
        runs, columns = self._sources[pipeline], [records]
        is_timed = pipeline in self._timed_flows
        if pipeline in self._splitters:
            columns = self._split(pipeline, records)
        elif pipeline in self._by_source_key:
            assert isinstance(records, KeyedRecords)
            assert records.keys is not None
            columns = [records.keys, records]
        if is_timed and self._plan.pipelines[pipeline].gives_times:
            assert isinstance(records, KeyedRecords)
            assert records.times is not None
            columns.append(records.times)
        return self.run_columns(runs, columns, read_ns if is_timed else None, is_watched=is_watched)

    def run_columns(
        self, runs: list[Run], columns: list[list[Any]], read_ns: int | None, *, is_watched: bool
    ) -> int:
        """Run records through the first of the chains; some of them, if they are watched, through
        the second, which is measured. ``read_ns`` is ``None`` if they need no time.

        Return the highest time that the chain has found.
        """
        more = () if read_ns is None else (read_ns,)
        if not is_watched or not columns[0]:
            found = runs[0](*columns, *more)
            return BEFORE_ALL if found is None else found
        assert self.probe is not None
        first = self.probe.choose_first(len(columns[0]))
        end = first + PROBED_RECORDS
        top = BEFORE_ALL
        for run, part in (
            (runs[0], slice(0, first)),
            (runs[1], slice(first, end)),
            (runs[0], slice(end, None)),
        ):
            if columns[0][part]:
                found = run(*(column[part] for column in columns), *more)
                top = top if found is None else max(top, found)
        return top

    def _split(self, pipeline: int, payloads: list[bytes]) -> list[list[Any]]:
        """Send payloads to the owners of their keys; return keys and payloads of this worker."""
        splitter, edge = self._splitters[pipeline]
        keys, own, bad = splitter.split(payloads)
        for payload, error in bad:
            name, node = self._plan.pipelines[pipeline].name, self._nodes.of_edge[edge]
            site = Site(name, PAYLOAD_KEY, has_key=False, is_decoder=True, node=node)
            self.fail(error, site, None, payload, payload)
        return [keys, own]

    def unpack(self, edge: EdgeId, form: BatchFormat, body: bytes) -> Batch:
        """Return the batch that another worker packed; records that fail become failures."""
        batch: Batch
        if form is BatchFormat.PARTIALS:
            batch, bad = unpack_partials(body)
        else:
            has_times = edge in self._timed_edges
            batch, bad = unpack(form, body, self._plan.deserialize, has_times=has_times)
        self.tally.received[edge] += sum(one.record_count for one in bad)
        self._fail_all(edge, bad)
        return batch

    def run_batch(
        self,
        edge: EdgeId,
        batch: Batch,
        first: int,
        count: int,
        *,
        is_watched: bool = False,
        read_ns: int = 0,
    ) -> None:
        """Run ``count`` records of ``batch`` through the chain of ``edge``, from ``first`` on.

        The oldest of the batch was read at ``read_ns``.
        """
        if isinstance(batch, PartialBatch):
            panes = batch.panes[first : first + count]
            self.tally.received[edge] += sum(pane.record_count for pane in panes)
            self._add_partials(edge, panes)
            return
        runs = self._batches[edge, batch.records is not None]
        self.tally.received[edge] += count
        if self.timed is not None:
            self.timed.begin_slice(read_ns)
        read = read_ns if batch.times is not None else None
        self.run_columns(runs, batch.columns(first, count), read, is_watched=is_watched)

    def _add_partials(self, edge: EdgeId, panes: list[PartialPane]) -> None:
        state = self._combiners[edge].step.state
        assert self.timed is not None and state is not None
        self.timed.add_partials(state, panes)

    def pipeline_of(self, edge: EdgeId) -> int:
        """Return the index, in ``Application.flows``, of the pipeline that has this edge."""
        return self._index_of[self._pipeline_of_edge[edge][0].name]

    def carry_counts(self, counts: dict[str, Counts]) -> None:
        """Carry on these counts, by worker: the processes that counted them have ended."""
        for worker, more in counts.items():
            add_counts(self.carried.setdefault(worker, {}), more)

    def counts(self) -> dict[str, Counts]:
        """Return the counts of this worker, and those that it carries on, by worker."""
        counts = copy_counts(self.carried)
        add_counts(counts.setdefault(self._me, {}), self.tally.counts())
        return counts

    # What came out

    def take_batches(
        self, delivered_ns: Mapping[int, int] = NO_TIMES, *, holds_partials: bool = False
    ) -> Iterable[OutgoingBatch]:
        """Yield the batches for other workers, and clear their lists.

        ``delivered_ns`` says, by pipeline in which records began, when the oldest was received.
        With ``holds_partials``, records that are combined stay here.
        """
        measured: list[EdgeId] = []
        has_switched = self._judge_combiners()
        for (edge, worker), flat in self._outgoing.items():
            if not flat:
                continue
            if edge in self._unmeasured and self._objects_are_cheaper(edge, flat):
                measured.append(edge)
            has_times = edge in self._timed_edges
            if edge in self._travels_as_payload:
                form, count = BatchFormat.PAYLOADS, len(flat) // (2 + has_times)
                body = pack_payloads(flat, has_times=has_times)
            else:
                form, count = BatchFormat.OBJECTS, len(flat) // (3 + has_times)
                body, bad = pack_objects(flat, self._plan.serialize, has_times=has_times)
                count -= len(bad)
                self._fail_all(edge, bad)
            flat.clear()
            self.tally.sent[edge] += count
            if count:
                oldest_ns = self._oldest_ns(self.pipeline_of(edge), delivered_ns)
                yield OutgoingBatch(edge, worker, form, count, body, oldest_ns)
        if not holds_partials:
            for edge, combiner in self._combiners.items():
                yield from self._take_partials(edge, combiner, delivered_ns)
                has_switched |= combiner.judge_partials()
        if measured:
            # Only now, because the other lists of the same edge still hold payloads.
            self._travels_as_payload -= set(measured)
            self._bindings.send_payloads(self._travels_as_payload)
        if measured or has_switched:
            self._write_chains()

    def _judge_combiners(self) -> bool:
        """Return whether records that travelled so far are combined from now on."""
        found = False
        for edge, combiner in self._combiners.items():
            waiting = [self._outgoing[edge, each] for each in combiner.others]
            decode = self._pipeline_of_edge[edge][0].decoder
            if edge in self._travels_as_payload:
                assert decode is not None
                found |= combiner.judge(waiting, 3, decode)
            else:
                found |= combiner.judge(waiting, 4, copied)
        return found

    def _take_partials(
        self, edge: EdgeId, combiner: Combiner, delivered_ns: Mapping[int, int]
    ) -> Iterable[OutgoingBatch]:
        oldest_ns = self._oldest_ns(self.pipeline_of(edge), delivered_ns)
        for worker, panes in combiner.take():
            if worker == self._me:
                self._add_partials(edge, panes)
                continue
            body, bad = pack_partials(panes)
            if bad:
                combiner.give_up()
                self._fail_all(edge, bad)
            count = sum(pane.record_count for pane in panes)
            count -= sum(one.record_count for one in bad)
            self.tally.sent[edge] += count
            if body:
                yield OutgoingBatch(edge, worker, BatchFormat.PARTIALS, count, body, oldest_ns)

    def _oldest_ns(self, pipeline: int, delivered_ns: Mapping[int, int]) -> int:
        known = [
            delivered_ns[before] for before in self._before[pipeline] if before in delivered_ns
        ]
        return min(known, default=0)

    def _objects_are_cheaper(self, edge: EdgeId, flat: list[Any]) -> bool:
        if edge in self._timed_edges:
            # Times cost the same in both forms.
            flat = [*chain.from_iterable(zip(flat[0::3], flat[1::3], strict=True))]
        if len(flat) < 2 * SAMPLE_RECORDS_MIN:
            return False
        self._unmeasured.remove(edge)
        decoder = self._pipeline_of_edge[edge][0].decoder
        assert decoder is not None
        plan, clock = self._plan, self._options.clock
        form = cheaper_form(flat, decoder, plan.serialize, plan.deserialize, clock)
        return form is BatchFormat.OBJECTS

    def output_counts(self, pipeline: int) -> list[int]:
        """Return how many results wait for ``take_output``.

        There is a number for each of ``Application.sinks_reached_from`` this pipeline.
        """
        return [len(output) for output in self._output_of[pipeline]]

    def take_output(self) -> Iterable[tuple[SinkId, list[Any]]]:
        """Yield the rows for each sink; each list is cleared when the next one is asked for."""
        for sink, output in self._sink_output.items():
            if output:
                yield sink, output
                output.clear()

    def count_refused(self, sink: SinkId, count: int) -> None:
        """Count results that a sink has refused."""
        self.tally.failed[self._nodes.of_sink[sink]] += count

    @property
    def stops_on_error(self) -> bool:
        """Whether a record that fails stops the cluster."""
        return self._options.stop_on_error

    def take_failures(self) -> list[Failure]:
        """Return the records that failed since the last call."""
        failures, self._failures = self._failures, []
        return failures

    def fail(
        self, error: BaseException, site: Site, key: Any, record: Any, payload: bytes | None
    ) -> None:
        """Note that a record has failed; raise ``StopOnError`` if that stops the run."""
        # isinstance() would ask the error itself for its class.
        if self._options.on_exit is not None and issubclass(type(error), SystemExit):
            self._options.on_exit(cast(SystemExit, error))
        failure = describe_failure(error, site, key, record, payload)
        self.tally.failed[site.node] += 1
        is_interrupt = self._options.is_interrupt
        if self._options.stop_on_error or (is_interrupt is not None and is_interrupt(error)):
            raise StopOnError(failure) from error
        self._failures.append(failure)

    def _fail_all(self, edge: EdgeId, bad: list[BadRecord]) -> None:
        pipeline, exchange = self._pipeline_of_edge[edge]
        kind = "parallel" if exchange.kind is ExchangeKind.ROUND_ROBIN else "keyed"
        where = f"exchange before {exchange.state or f'{kind} step'}"
        for one in bad:
            has_key, node = one.key is not None, self._nodes.of_edge[edge]
            site = Site(pipeline.name, where, has_key, node=node)
            # An accumulator is one dead letter, but each of its records has failed.
            self.tally.failed[node] += one.record_count - 1
            self.fail(one.error, site, one.key, one.record, one.payload)
