"""What a coordinator is told when a run begins."""

from wallaroo.cluster.checkpoints import Beginning, initial_maps
from wallaroo.cluster.coordinator import FIRST_EPOCH, Membership
from wallaroo.connectors.file import FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.names import NO_BARRIER, WorkerName
from wallaroo.routing.hashing import hash_text
from wallaroo.topology.fingerprint import difference, outline
from wallaroo.topology.plan import Plan


def membership_of(
    plan: Plan,
    workers: tuple[WorkerName, ...],
    source_addresses: list[str],
    beginning: Beginning | None,
    *,
    source_worker: str,
    may_restart: bool,
    is_patient: bool,
    checkpoint_failures_max: int | None,
) -> Membership:
    """Return who begins, and who owns what; ``beginning`` is ``None`` without checkpoints.

    ``source_worker`` is to run what runs on one worker only; empty for any.
    """
    maps = initial_maps(plan, workers) if beginning is None else beginning.maps
    return Membership(
        workers=workers,
        outline=list(outline(plan)),
        difference=difference,
        partition_maps=[each.to_wire() for each in maps],
        source_addresses=source_addresses,
        source_workers=[
            source_worker or workers[hash_text(f"source/{pipeline.name}") % len(workers)]
            if isinstance(pipeline.source, GeneratorSource | FileSource)
            else ""
            for pipeline in plan.pipelines
        ],
        may_restart=may_restart,
        is_patient=is_patient,
        is_durable=beginning is not None,
        epoch=FIRST_EPOCH if beginning is None else beginning.epoch,
        manifest=0 if beginning is None else beginning.manifest,
        last_barrier=NO_BARRIER if beginning is None else beginning.last_barrier,
        checkpoint_failures_max=checkpoint_failures_max,
    )
