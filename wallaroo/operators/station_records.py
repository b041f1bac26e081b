"""The steps of a dataflow at which records wait: what has reached them, and the chains behind."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wallaroo.metrics.probe import Probe
from wallaroo.metrics.station_times import StationTimes
from wallaroo.metrics.tally import Tally
from wallaroo.names import StepId, WorkerName
from wallaroo.operators.failures import Site
from wallaroo.operators.writing.bindings import Bindings
from wallaroo.operators.writing.chain import write_rest
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.plan import Application, Step, waiting_steps
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.timing import needs_time

WaitingRecord = tuple[Any, ...]
"""Key, record and payload; if it needs a time, 0 and the time follow."""


class Flow(Protocol):
    """What a dataflow does for all its chains."""

    def run_columns(
        self,
        runs: list[Callable[..., Any]],
        columns: list[list[Any]],
        read_ns: int | None,
        *,
        is_watched: bool,
    ) -> int:
        """Run records through the first of the chains, or some through the second, if they are
        watched; return the highest time."""
        ...

    def fail(
        self, error: BaseException, site: Site, key: Any, record: Any, payload: bytes | None
    ) -> None:
        """Note that a record has failed."""
        ...


class StationRecords:
    """The records that chains have put aside for such steps."""

    def __init__(
        self,
        plan: Application,
        me: WorkerName,
        tally: Tally,
        resources: Mapping[ResourceMaker, Any],
        flow: Flow,
    ) -> None:
        self.plan = plan
        self.me = me
        """The name of this worker."""
        self._flow = flow
        self._maps: Mapping[str, PartitionMap] = {}
        self._nodes = tally.nodes
        self._tally = tally
        self._resources = resources
        self.steps: list[Step] = [*waiting_steps(plan)]
        """In the order of the plan: each comes behind all that its records come from."""
        self.times = {step.id: StationTimes() for step in self.steps}
        self._records: dict[StepId, list[WaitingRecord]] = {step.id: [] for step in self.steps}
        self._pipelines = {
            step.id: index
            for index, flow in enumerate(plan.flows)
            for stage in flow.stages
            for step in stage.steps
        }
        self._rests: dict[StepId, list[Callable[..., Any]]] = {}
        self._timed = {
            step.id
            for flow_index, flow in enumerate(plan.flows)
            for index, stage in enumerate(flow.stages)
            for step in stage.steps
            if step.waiting is not None and needs_time(plan, flow_index, index)
        }

    @property
    def appends(self) -> dict[StepId, Callable[[Any], object]]:
        """What chains call, by step."""
        return {step: records.append for step, records in self._records.items()}

    def write_rests(self, bindings: Bindings, probes: list[Probe | None]) -> None:
        """Write the chains behind the steps, one for each of ``probes``."""
        for flow in self.plan.flows:
            for stage_index, stage in enumerate(flow.stages):
                for step_index, step in enumerate(stage.steps):
                    if step.waiting is not None:
                        self._rests[step.id] = [
                            write_rest(self.plan, flow, stage_index, step_index, bindings, probe)
                            for probe in probes
                        ]

    def bind(self, maps: Mapping[str, PartitionMap]) -> None:
        """Use these owners of keys from now on."""
        self._maps = maps

    def owns(self, state: str, key: Any) -> bool:
        """Return whether a key of a state belongs to this worker."""
        return self._maps[state].owner_of(key) == self.me

    def needs_time(self, step: StepId) -> bool:
        """Return whether records that leave a step need their time."""
        return step in self._timed

    def run_results(
        self,
        step: StepId,
        columns: list[list[Any]],
        *,
        is_watched: bool = False,
        read_ns: int = 0,
    ) -> None:
        """Run keys, results and payloads, and perhaps times, through the chain behind a step."""
        read = read_ns if self.needs_time(step) else None
        self._flow.run_columns(self._rests[step], columns, read, is_watched=is_watched)

    def fail(
        self, step: Step, error: BaseException, key: Any, record: Any, payload: bytes | None
    ) -> None:
        """Note that a record has failed at a step at which it has waited."""
        assert step.waiting is not None
        site = Site(
            self.plan.flows[self._pipelines[step.id]].name,
            step.name,
            step.waiting.has_key,
            function=step.function,
            node=self._nodes.of_step[step.id],
        )
        self._flow.fail(error, site, key, record, payload)

    def take(self, step: StepId) -> list[WaitingRecord]:
        """Return the records that have reached a step since the last call."""
        records = self._records[step]
        if not records:
            return records
        taken = records[:]
        records.clear()
        self._tally.waiting[self._nodes.of_step[step]] += len(taken)
        return taken

    def count_leaving(self, step: StepId, count: int) -> None:
        """Note that records wait no more at a step."""
        self._tally.waiting[self._nodes.of_step[step]] -= count

    def function_of(self, step: Step) -> Callable[..., Any]:
        """Return the user's function of a step, with its resources, which have to be made."""
        return step.bound(self._resources)

    def pipeline_of(self, step: StepId) -> int:
        """Return the index of the pipeline that a step is part of."""
        return self._pipelines[step]

    def reached(self) -> list[set[StepId]]:
        """Return, by pipeline, the steps at which its records may wait, there or behind it."""
        return [self._reached_from(index) for index in range(len(self.plan.flows))]

    def _reached_from(self, pipeline: int) -> set[StepId]:
        reached = self.plan.reached_from(pipeline)
        return {step.id for step in self.steps if self._pipelines[step.id] in reached}
