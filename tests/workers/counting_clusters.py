"""Clusters to ask, without processes, that count by key and in all."""

from tests.wallaroo.coordinator.story import A
from tests.wallaroo.operators.mesh import tcp_sink
from tests.workers.asked_cluster import AskedCluster
from tests.workers.counting import count, counting
from wallaroo.checkpoint.manifest import Manifest, PartRef, WorkerCheckpoint
from wallaroo.coordinator.coordinator import Phase
from wallaroo.names import CheckpointId, Epoch
from wallaroo.topology.plan import Application


def plan() -> Application:
    return counting().to_stateful(count, dict, "sum").to_sink(tcp_sink()).build()


def manifest(number: int = 3) -> Manifest:
    part = PartRef("parts/1/w1", CheckpointId(number), 0, 100, 4)
    share = WorkerCheckpoint(A, [part], [], {}, [], {"counts": 9})
    return Manifest(
        number=CheckpointId(number),
        epoch=Epoch(1),
        is_claim=False,
        application="letters",
        outline=[],
        members=[A],
        partition_maps=[],
        workers={A: share},
        file_lengths={},
        taken_unix_s=1000.0,
        duration_s=0.5,
    )


def running_cluster() -> AskedCluster:
    """Return a cluster that runs, without checkpoints."""
    asked = AskedCluster(plan())
    asked.go_to(Phase.RUNNING)
    asked.fill("counts")
    return asked


def durable_cluster() -> AskedCluster:
    """Return a cluster that runs and has a checkpoint."""
    asked = AskedCluster(plan(), is_durable=True, manifest=manifest(1))
    asked.go_to(Phase.RUNNING)
    return asked
