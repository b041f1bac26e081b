"""Which exchanges may combine records before they travel: those straight before some windows."""

from wallaroo.names import EdgeId
from wallaroo.timing.window_spec import CalendarWindows, FixedWindows, LatePolicy, WindowSpec
from wallaroo.topology.plan import Application, Exchange, ExchangeKind, Stage, Step


def combining_steps(plan: Application) -> dict[EdgeId, Step]:
    """Return the window steps whose records may be combined before their exchange, by its edge."""
    if plan.serialize is not None:
        # The application says how its records travel, which it cannot for accumulators.
        return {}
    return {
        stage.exchange.edge: stage.steps[0]
        for flow in plan.flows
        for stage in flow.stages
        if stage.exchange is not None and _may_combine(stage.exchange, stage)
    }


def _may_combine(exchange: Exchange, stage: Stage) -> bool:
    if exchange.kind is not ExchangeKind.KEYED or exchange.is_before_decoder or not stage.steps:
        return False
    window = stage.steps[0].window
    return window is not None and needs_no_record(window)


def needs_no_record(spec: WindowSpec) -> bool:
    """Return whether accumulators of several records are all that the owner of a key needs.

    Other late policies than *drop* need each late record, and so do early results after so many
    records.
    """
    rules = spec.firing
    return (
        isinstance(spec.windows, FixedWindows | CalendarWindows)
        and spec.is_in_parts
        and spec.aggregation.is_commutative
        and rules.late is LatePolicy.DROP
        and rules.early_count is None
    )
