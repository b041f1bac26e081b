"""What a coordinator is told when a run begins."""

from wallaroo.coordinator.coordinator import FIRST_EPOCH, Membership
from wallaroo.coordinator.manifest_writer import StartingPoint, initial_maps
from wallaroo.coordinator.source_assignment import initial_assignment
from wallaroo.names import NO_BARRIER, WorkerName
from wallaroo.topology.fingerprint import difference, outline
from wallaroo.topology.plan import Plan
from wallaroo_workers.initializer.settings import ClusterSettings


def membership_of(
    plan: Plan,
    workers: tuple[WorkerName, ...],
    source_addresses: list[str],
    beginning: StartingPoint | None,
    settings: ClusterSettings,
) -> Membership:
    """Return who begins, and who owns what; ``beginning`` is ``None`` without checkpoints."""
    chosen = settings.checkpoints
    maps = initial_maps(plan, workers) if beginning is None else beginning.maps
    return Membership(
        workers=workers,
        outline=list(outline(plan)),
        difference=difference,
        partition_maps=[each.to_wire() for each in maps],
        source_addresses=source_addresses,
        sources=initial_assignment(plan, workers, settings.source_worker),
        may_restart=settings.may_restart,
        is_patient=settings.is_patient,
        is_durable=beginning is not None,
        epoch=FIRST_EPOCH if beginning is None else beginning.epoch,
        manifest=0 if beginning is None else beginning.manifest,
        last_barrier=NO_BARRIER if beginning is None else beginning.last_barrier,
        checkpoint_failures_max=None if chosen is None else chosen.failures_max,
        needed_input=None if beginning is None else beginning.needed_input,
        may_lose_input=chosen is not None and chosen.allow_lost_input,
        counts={} if beginning is None else beginning.counts,
    )
