"""Compares the result of a simulated run with a plain run of its input in one process."""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wallaroo.checkpoint.manifest import Manifest, decode_manifest, manifest_name, manifest_number
from wallaroo.connectors.base import Promise, Sink
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.errors import WallarooParameterError
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import sums
from wallaroo.names import CheckpointId, SinkId, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.routing.keys import display_key, short_repr
from wallaroo.testing.calls import PlainStations
from wallaroo.testing.cutting import Cutter
from wallaroo.testing.resources import MadeResources
from wallaroo.testing.store import Objects
from wallaroo.testing.streams import Receivers
from wallaroo.timing.instants import END
from wallaroo.topology.plan import Application

States = dict[str, dict[Any, Any]]
"""By name of the state, then by key."""

View = Callable[[Any], Any]

LAST_RESULTS = 1000
DIFFERENCES_SHOWN_MAX = 8
PARTITIONS = 16
BESIDE = "~"
"""Behind the name of a state, in the names of those that have its timers and alarms."""
SHOWN_BEFORE = 20
SHOWN_CHARACTERS = 100


def same(value: object) -> Any:
    """Return the object unchanged: the view that compares everything."""
    return value


def with_few_partitions(plan: Application) -> Application:
    """Return the plan with few partitions, so that a run does not spend its time on them."""
    states = {
        name: replace(state, hashed_partition_count=min(state.hashed_partition_count, PARTITIONS))
        for name, state in plan.states.items()
    }
    return replace(plan, states=states)


def plain(value: object) -> Any:
    """Return a state object as comparable values, even if its class compares in another way."""
    content = _content(value)
    if isinstance(value, type | str | bytes | int | float):
        return content
    slots = _slots(value)
    attributes = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    attributes |= getattr(value, "__dict__", {})
    if content is value:
        # It has only attributes, or is of a C class without any, which can compare itself.
        is_own = slots or hasattr(value, "__dict__")
        return (type(value).__name__, plain(attributes)) if is_own else value
    return (type(value).__name__, content, plain(attributes)) if attributes else content


def _content(value: object) -> Any:
    """Return the content of a container as plain values; ``value`` itself for anything else."""
    if isinstance(value, dict):
        return {_plain_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | deque):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, BaseException):
        return plain(value.args)
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if hasattr(value, "tolist") and not isinstance(value, type):
        # Arrays of numpy and of the standard library, whose own == does not return a bool.
        return plain(value.tolist())
    return value


def _plain_key(key: object) -> Any:
    """Return a key of a dict as a plain value that can be a key."""
    if type(key) is tuple:
        return tuple(map(_plain_key, key))
    shown = plain(key)
    return key if shown is key else repr(shown)


def _slots(value: object) -> list[str]:
    """Return the names of attributes that an object keeps in slots."""
    names: list[str] = []
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            is_private = name.startswith("__") and not name.endswith("__")
            names.append(f"_{kind.__name__.lstrip('_')}{name}" if is_private else name)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


class Expected:
    """The final states and the output of a run in one process."""

    def __init__(
        self,
        plan: Application,
        records: Mapping[int, Sequence[Sequence[Any]]],
        cutter: Cutter,
    ) -> None:
        me = WorkerName("alone")
        resources = MadeResources(plan)
        options = DataflowOptions(clock_ns=lambda: 0, resources=resources.made)
        dataflow = Dataflow(plan, me, options)
        stations = PlainStations(dataflow)
        self.maps = {each.state: each for each in initial_maps(plan, (me,))}
        dataflow.bind((me,), self.maps)
        written: dict[int, list[Any]] = {index: [] for index in range(len(plan.sinks))}
        for pipeline, senders in records.items():
            for payloads in senders:
                dataflow.run_source(pipeline, list(payloads))
                stations.settle()
                for sink, rows in dataflow.take_output():
                    written[sink] += rows
        for sink, rows in last_results(dataflow):
            written[sink] += rows
        resources.close()
        mistakes: list[str] = []
        self.output: dict[int, list[Any]] = {}
        for index, rows in written.items():
            value = plan.sinks[index]
            if not value.takes_bytes:
                self.output[index] = rows
            else:
                chunk = b"".join(rows)
                self.output[index] = cutter.cut_whole(chunk, value.describe(), mistakes)
        if mistakes:
            raise WallarooParameterError(mistakes)
        self.states: States = states_of(plan, dataflow.states)
        self.counts: Counts = dataflow.counts()[me]
        self.failures: list[Failure] = dataflow.take_failures()


def states_of(plan: Application, states: Mapping[str, Mapping[Any, Any]]) -> States:
    """Return the objects of all states that time does not change; what those have that it does is
    compared as results."""
    timed = {name for name, state in plan.states.items() if state.timing is not None}
    return {
        name: dict(state)
        for name, state in states.items()
        if name not in timed and name.partition(BESIDE)[0] not in timed
    }


def last_results(dataflow: Dataflow) -> Iterator[tuple[SinkId, list[Any]]]:
    """Give the results of all windows that are open, and whatever else waits to be given."""
    yield from dataflow.take_output()
    if dataflow.timed is not None:
        dataflow.timed.keyed.end_input()
        for name in dataflow.timed.names:
            dataflow.timed.advance(name, END)
            while dataflow.timed.fire_some(LAST_RESULTS):
                yield from dataflow.take_output()


def failure_mistakes(failures: Sequence[Failure], expected: bool | int) -> list[str]:
    """Return the unexpected failures of the plain run."""
    count = len(failures)
    if count == expected if not isinstance(expected, bool) else bool(count) == expected:
        return []
    awaited = "some to fail" if expected is True else f"{int(expected)} to fail"
    lines = [f"{count} records fail in a plain run without crashes; the test expects {awaited}"]
    lines += [
        f"step {failure.step!r}, key {failure.key!r}, payload {failure.payload!r}: {failure.error}"
        for failure in failures
    ]
    if count:
        lines.insert(1, f"if they are meant to fail, give expect_failures={count}, or True")
    return lines


def newest_manifest(objects: Objects) -> Manifest:
    """Return the manifest with the highest number."""
    numbers = {manifest_number(name): name for name in objects.by_name if manifest_number(name)}
    name = numbers[max(number for number in numbers if number is not None)]
    return decode_manifest(objects.by_name[name], name)


def manifest_of(objects: Objects, number: int) -> Manifest:
    """Return the manifest with this number."""
    name = manifest_name(number)
    return decode_manifest(objects.by_name[name], name)


def committed_line(objects: Objects) -> list[Manifest]:
    """Return the newest manifest and all that it follows, newest first."""
    by_number = {manifest.number: manifest for manifest in objects.manifests()}
    line: list[Manifest] = []
    number = max(by_number, default=0)
    while number:
        line.append(by_number[CheckpointId(number)])
        number = line[-1].base
    return line


def kept_checkpoints(objects: Objects, count_max: int) -> list[int]:
    """Return the last checkpoints that were not abandoned for an older one."""
    manifests: dict[int, Manifest] = {}
    for name, data in objects.by_name.items():
        if (number := manifest_number(name)) is not None:
            manifests[number] = decode_manifest(data, name)
    kept: list[int] = []
    number = max(manifests, default=0)
    while number in manifests:
        if not manifests[number].is_claim:
            kept.append(number)
        number = manifests[number].base
    # After a change of members, the order of a connection holds for newer checkpoints only.
    return [number for number in kept[:count_max] if number >= objects.oldest_kept]


def stream_output(receivers: Receivers, sink: int, cutter: Cutter) -> list[bytes]:
    """Return the whole records that a stream's receivers read, in order for each connection."""
    return [
        record
        for connection in receivers.connections.get(sink, [])
        for record in cutter.cut(bytes(connection.content))
    ]


def state_differences(expected: States, found: States, view: View) -> list[str]:
    """Return a line for each key whose state differs."""
    lines = []
    for name, states in expected.items():
        others = found.get(name, {})
        for key in [*states, *(key for key in others if key not in states)]:
            wanted = view(plain(states[key])) if key in states else "nothing"
            has = view(plain(others[key])) if key in others else "nothing"
            if wanted != has:
                where = f"state {name!r}, key {short_repr(display_key(key))}"
                lines.append(f"{where}: {_where_they_part(repr(has), repr(wanted))}")
    return lines


def counts_in(manifest: Manifest) -> Counts:
    """Return the counts of all workers together, by node."""
    return sums(manifest.counts())


def count_differences(plan: Application, expected: Counts, counted: Counts) -> list[str]:
    """Return a line for each node with another count, with or without crashes.

    It compares up to the first state on the way of records: what follows may depend on the order.
    """
    lines = []
    nodes = Nodes(plan)
    behind_states = _behind_states(plan)
    shared_sinks = {
        nodes.of_sink[sink] for index in behind_states for sink in plan.flows[index].sinks
    }
    for index, of_pipeline in enumerate(nodes.by_pipeline):
        for node in [] if index in behind_states else of_pipeline:
            if node.index in shared_sinks:
                continue
            looked_at = slice(None) if node.state is None else slice(1)
            wanted, has = expected[node.id][looked_at], counted.get(node.id, [])[looked_at]
            if has != wanted:
                lines.append(f"{node.id} counted {has}, and not {wanted}")
            if node.state is not None:
                break
    return lines


def _behind_states(plan: Application) -> set[int]:
    """Return the inner pipelines whose records have met a state before they begin."""
    flows = plan.flows
    with_state = (
        index
        for index, flow in enumerate(flows)
        if any(step.state is not None for stage in flow.stages for step in stage.steps)
    )
    return {
        behind for index in with_state for behind in plan.reached_from(index) if behind != index
    }


def _where_they_part(has: str, wanted: str) -> str:
    """Return both texts, shortened around their first difference if they are long."""
    same = 0
    while has[same : same + 1] == wanted[same : same + 1]:
        same += 1
    begin = max(same - SHOWN_BEFORE, 0)
    end = begin + SHOWN_CHARACTERS
    dots = "..." if begin else ""
    return f"{dots}{has[begin:end]}, and not {dots}{wanted[begin:end]}"


def is_exact(sink: Sink, *, is_durable: bool) -> bool:
    """Return whether a sink gets each result once, whatever happens."""
    needs_store = sink.promise in (Promise.OUTBOX, Promise.TWO_PHASES)
    return sink.promise is Promise.STAGED_FILE or (needs_store and is_durable)


def output_differences(
    plan: Application,
    expected: Mapping[int, list[Any]],
    found: Mapping[int, list[Any]],
    view: View,
    *,
    is_durable: bool,
) -> list[str]:
    """Return a line for each record that is missing, unknown or repeated."""

    def countable(record: Any) -> Any:
        seen = plain(view(record))
        try:
            hash(seen)
        except TypeError:
            return repr(seen)
        return seen

    lines = []
    for sink, records in expected.items():
        wanted, has = Counter(map(countable, records)), Counter(map(countable, found[sink]))
        where = plan.sinks[sink].describe()
        missing = wanted - has
        lines += [f"{where} lacks {each!r}, {n} times" for each, n in missing.items()]
        surplus = has - wanted
        if not is_exact(plan.sinks[sink], is_durable=is_durable):
            # After a failure a stream may get records again, but no wrong ones.
            surplus = Counter({each: n for each, n in surplus.items() if each not in wanted})
        lines += [f"{where} has {each!r}, {n} times too often" for each, n in surplus.items()]
    return lines
