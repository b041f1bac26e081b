"""What a coordinator is told when a run begins."""

from typing import Protocol

from wallaroo.cluster.checkpoints import Beginning, initial_maps
from wallaroo.cluster.coordinator import FIRST_EPOCH, Membership
from wallaroo.connectors.file import FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text
from wallaroo.topology.fingerprint import difference, outline
from wallaroo.topology.plan import Plan
from wallaroo_workers.initializer.checkpoints import CheckpointSettings


class Chosen(Protocol):
    """What ``wallaroo-run`` was asked for, as far as a coordinator has to know."""

    @property
    def may_restart(self) -> bool:
        """Whether a worker that is lost is started again."""
        ...

    @property
    def checkpoints(self) -> CheckpointSettings | None:
        """``None`` where checkpoints are off."""
        ...


def membership_of(
    plan: Plan,
    workers: tuple[WorkerName, ...],
    source_addresses: list[str],
    beginning: Beginning | None,
    settings: Chosen,
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
        source_workers=[
            workers[hash_text(f"source/{pipeline.name}") % len(workers)]
            if isinstance(pipeline.source, GeneratorSource | FileSource)
            else ""
            for pipeline in plan.pipelines
        ],
        may_restart=settings.may_restart,
        is_durable=beginning is not None,
        epoch=FIRST_EPOCH if beginning is None else beginning.epoch,
        manifest=0 if beginning is None else beginning.manifest,
        checkpoint_failures_max=chosen.failures_max if chosen is not None else None,
    )
