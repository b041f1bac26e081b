"""What a dataflow looks up in a plan."""

from wallaroo.names import EdgeId
from wallaroo.topology.plan import Application, Exchange, Flow


def pipelines_of_edges(plan: Application) -> dict[EdgeId, tuple[Flow, Exchange]]:
    """Return each exchange with its pipeline, by edge."""
    return {
        stage.exchange.edge: (pipeline, stage.exchange)
        for pipeline in plan.flows
        for stage in pipeline.stages
        if stage.exchange is not None
    }


def pipelines_before(plan: Application) -> list[list[int]]:
    """Return, by pipeline, itself and those whose records reach it on the same worker."""
    reached = [plan.reached_from(index) for index in range(len(plan.flows))]
    return [
        [before for before, there in enumerate(reached) if index in there]
        for index in range(len(reached))
    ]


def keyed_by_source(plan: Application) -> frozenset[int]:
    """Return the pipelines whose records are routed by the keys that their source gives."""
    return frozenset(
        index
        for index, pipeline in enumerate(plan.pipelines)
        for stage in pipeline.stages
        if stage.exchange is not None and stage.exchange.by_source_key
    )
