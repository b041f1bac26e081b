"""The settings of one run, and the objects that are made from them."""

from dataclasses import dataclass, field

from wallaroo.coordinator.membership import RunRules
from wallaroo.coordinator.run_outcome import FailureRule, FailureWatch
from wallaroo.coordinator.stop_intent import AtStop
from wallaroo.coordinator.worker_names import first_names
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import WorkerName
from wallaroo.topology.plan import Application
from wallaroo_workers.dashboard.settings import DashboardSettings
from wallaroo_workers.initializer.placement.hosts import Hosts, HostSettings
from wallaroo_workers.initializer.placement.local import Placement
from wallaroo_workers.initializer.resources.checkpoint_store import CheckpointSettings
from wallaroo_workers.settings import ApplicationSettings, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The options of ``wallaroo-run``."""

    application: ApplicationSettings
    options: RunOptions
    worker_count: int | None = None
    """Workers of this host; ``None`` for as many as in the last checkpoint, or else 1."""
    worker_names: tuple[str, ...] = ()
    """Names of these workers; empty for w1, w2 and so on."""
    control_address: str = "127.0.0.1:0"
    ready_file: str | None = None
    health_address: str = ""
    """Where probes ask whether the application accepts records; empty for nowhere."""
    source_worker: str = ""
    """The worker that runs all single-worker sources; empty to let a rule choose."""
    may_restart: bool = True
    restarts_max: int = 10
    """Losses of one worker within a minute before the run ends."""
    worker_timeout_s: float = 10.0
    """A worker that sends no heartbeat for so long is lost."""
    is_patient: bool = False
    """Whether a worker that is lost before all are ready is restarted, too."""
    stop_timeout_s: float | None = None
    """A stop that takes longer becomes an immediate one without an error; if set, only this can
    force a stop."""
    at_stop: AtStop = AtStop.AUTO
    failures: FailureRule = field(default_factory=FailureRule)
    """What failed records mean for the run and for the exit status."""
    checkpoints: CheckpointSettings | None = None
    """``None`` if checkpoints are off."""
    otlp_endpoint: str = ""
    """Where to send metrics by OpenTelemetry's protocol; empty for nowhere."""
    page: DashboardSettings | None = None
    """``None`` for a run without a dashboard."""
    hosts: HostSettings = field(default_factory=HostSettings)

    def rules(self) -> RunRules:
        """Return the rules for the coordinator of the run."""
        chosen = self.checkpoints or CheckpointSettings(location="", journal_folder="", folder="")
        return RunRules(
            source_worker=self.source_worker,
            may_restart=self.may_restart,
            restarts_max=self.restarts_max,
            is_patient=self.is_patient,
            worker_timeout_s=self.worker_timeout_s,
            stop_timeout_s=self.stop_timeout_s,
            at_stop=self.at_stop,
            checkpoint_interval_s=chosen.interval_s,
            checkpoint_interval_s_per_worker=chosen.interval_s_per_worker,
            checkpoint_failures_max=chosen.failures_max,
            may_lose_input=chosen.allow_lost_input,
        )

    def own_workers(self) -> tuple[WorkerName, ...]:
        """Return this host's workers; empty if the last checkpoint decides about them."""
        if self.worker_names:
            return tuple(map(WorkerName, self.worker_names))
        count = self.worker_count
        if count is None:
            count = 1 if self.hosts.agent_count else 0
        return first_names(count)


def new_hosts(settings: ClusterSettings, plan: Application, here: Placement) -> Hosts:
    """Return the hosts of a run; ``here`` starts the workers of this host."""
    return Hosts(
        settings.hosts,
        settings.application,
        settings.options,
        plan,
        here,
        settings.worker_timeout_s,
        may_lose_input=settings.checkpoints is not None and settings.checkpoints.allow_lost_input,
    )


def new_failure_watch(settings: ClusterSettings, plan: Application) -> FailureWatch:
    """Return the object that counts the records of a run and judges its failures."""
    counts = RunCounts(
        Nodes(plan).by_pipeline,
        is_durable=settings.checkpoints is not None,
        counts_steps=settings.options.measures,
    )
    return FailureWatch(counts, settings.failures)
