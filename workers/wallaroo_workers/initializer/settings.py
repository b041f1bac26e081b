"""What one run is asked for, and the hosts that follow from it."""

from dataclasses import dataclass, field

from wallaroo.coordinator.membership import RunRules
from wallaroo.coordinator.run_outcome import FailureRule, FailureWatch
from wallaroo.coordinator.worker_names import first_names
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import WorkerName
from wallaroo.topology.plan import Plan
from wallaroo_workers.dashboard.settings import DashboardSettings
from wallaroo_workers.initializer.placement.hosts import Hosts, HostSettings
from wallaroo_workers.initializer.placement.local import Placement
from wallaroo_workers.initializer.resources.checkpoint_store import CheckpointSettings
from wallaroo_workers.settings import ApplicationSettings, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What ``wallaroo-run`` was asked for."""

    application: ApplicationSettings
    options: RunOptions
    worker_count: int | None = None
    """Workers of this host; ``None``: as many as the last checkpoint had, or else 1."""
    worker_names: tuple[str, ...] = ()
    """Theirs; empty for w1, w2 and so on."""
    control_address: str = "127.0.0.1:0"
    ready_file: str | None = None
    source_worker: str = ""
    """Where sources run that run on one worker only; empty for any."""
    may_restart: bool = True
    restarts_max: int = 10
    """Losses of one worker within a minute before the run ends."""
    worker_timeout_s: float = 10.0
    """How long a worker may give no sign of life."""
    is_patient: bool = False
    """Whether a worker that is lost before all are ready is started again, too."""
    stop_timeout_s: float | None = None
    """A stop that takes longer becomes one at once, and no error; nobody else can force it."""
    failures: FailureRule = field(default_factory=FailureRule)
    """What records that fail mean for the run, and for the status of the command."""
    checkpoints: CheckpointSettings | None = None
    """``None`` where checkpoints are off."""
    otlp_endpoint: str = ""
    """Where metrics are sent by OpenTelemetry's protocol; empty for nowhere."""
    page: DashboardSettings | None = None
    """``None`` for a run without its page."""
    hosts: HostSettings = field(default_factory=HostSettings)

    def rules(self) -> RunRules:
        """Return what the coordinator of the run has to know."""
        chosen = self.checkpoints or CheckpointSettings(location="", journal_folder="", folder="")
        return RunRules(
            source_worker=self.source_worker,
            may_restart=self.may_restart,
            restarts_max=self.restarts_max,
            is_patient=self.is_patient,
            worker_timeout_s=self.worker_timeout_s,
            stop_timeout_s=self.stop_timeout_s,
            checkpoint_interval_s=chosen.interval_s,
            checkpoint_failures_max=chosen.failures_max,
            may_lose_input=chosen.allow_lost_input,
        )

    def own_workers(self) -> tuple[WorkerName, ...]:
        """Return the workers of this host, as far as they are known before the last checkpoint."""
        if self.worker_names:
            return tuple(map(WorkerName, self.worker_names))
        count = self.worker_count
        if count is None:
            count = 1 if self.hosts.agent_count else 0
        return first_names(count)


def new_hosts(settings: ClusterSettings, plan: Plan, here: Placement) -> Hosts:
    """Return the hosts that a run is on; ``here`` starts the workers of this one."""
    return Hosts(
        settings.hosts,
        settings.application,
        settings.options,
        plan,
        here,
        settings.worker_timeout_s,
    )


def new_failure_watch(settings: ClusterSettings, plan: Plan) -> FailureWatch:
    """Return what counts the records of a run and judges its failures."""
    counts = RunCounts(
        Nodes(plan).by_pipeline,
        is_durable=settings.checkpoints is not None,
        counts_steps=settings.options.measures,
    )
    return FailureWatch(counts, settings.failures)
