"""Resources for workers that are not processes: made and closed without an event loop."""

import warnings
from collections.abc import Iterable
from typing import Any

from wallaroo.api.resources import Close, make_resource
from wallaroo.describing import error_text
from wallaroo.names import WorkerName
from wallaroo.operators.failures import is_interrupt
from wallaroo.testing.calls import WaitsError
from wallaroo.topology.plan import Application, resource_makers
from wallaroo.topology.resources import ResourceMaker


class MadeResources:
    """The resources of one worker."""

    def __init__(self, plan: Application) -> None:
        """Make all of them. If one cannot be made, close the others and raise ``WallarooError``."""
        self.made: dict[ResourceMaker, Any] = {}
        self._closes: list[tuple[ResourceMaker, Close]] = []
        for maker, step in resource_makers(plan).items():
            try:
                self.made[maker], close = _driven(maker, make_resource(maker))
            except BaseException as error:
                self.close()
                if is_interrupt(error) or isinstance(error, WaitsError):
                    raise
                raise maker.failure(step.name, error) from error
            self._closes.append((maker, close))

    def close(self) -> None:
        """Close all of them, the last one first; errors of that become warnings."""
        reasons = []
        while self._closes:
            maker, close = self._closes.pop()
            try:
                _driven(maker, close())
            except WaitsError as error:
                reasons.append(error.what)
            except Exception as error:  # noqa: BLE001  the user's code may raise anything
                reasons.append(f"resource {maker.name!r} cannot be closed: {error_text(error)}")
        for reason in reasons:
            warnings.warn(reason, RuntimeWarning, stacklevel=2)


def resources_of(plan: Application, names: Iterable[WorkerName]) -> dict[WorkerName, MadeResources]:
    """Return the resources of each worker. If one cannot be made, close the others and raise."""
    made: dict[WorkerName, MadeResources] = {}
    try:
        for name in names:
            made[name] = MadeResources(plan)
    except BaseException:
        for resources in made.values():
            resources.close()
        raise
    return made


def _driven(maker: ResourceMaker, awaitable: Any) -> Any:
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise WaitsError(
        f"resource {maker.name!r} waits for something outside, which a test without an event loop "
        "does not have",
        "give the application a resource for tests that is made at once",
    )
