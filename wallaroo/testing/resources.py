"""Resources for workers that are not processes: made and closed without an event loop."""

from collections.abc import Callable, Coroutine
from typing import Any

from wallaroo.api.inspection import FunctionKind, function_kind
from wallaroo.errors import WallarooError
from wallaroo.topology.plan import Application, resource_makers
from wallaroo.topology.resources import ResourceMaker

Close = Callable[[], object]


class MadeResources:
    """The resources of one worker."""

    def __init__(self, plan: Application) -> None:
        self.made: dict[ResourceMaker, Any] = {}
        self._closes: list[Close] = []
        for maker in resource_makers(plan):
            self.made[maker], close = _made(maker)
            self._closes.append(close)

    def close(self) -> None:
        """Close all of them, the last one first."""
        while self._closes:
            self._closes.pop()()


def _made(maker: ResourceMaker) -> tuple[Any, Close]:
    match function_kind(maker.function):
        case FunctionKind.GENERATOR:
            generator = maker.function()
            return next(generator), lambda: next(generator, None)
        case FunctionKind.ASYNC_GENERATOR:
            async_generator = maker.function()
            made = _driven(maker, anext(async_generator))
            return made, lambda: _driven(maker, anext(async_generator, None))
        case FunctionKind.COROUTINE:
            made = _driven(maker, maker.function())
        case FunctionKind.PLAIN:
            made = maker.function()
    return made, getattr(made, "close", _nothing)


def _driven(maker: ResourceMaker, awaitable: Any) -> Any:
    steps: Coroutine[Any, Any, Any] = awaitable.__await__()
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    raise WallarooError(
        f"resource {maker.name!r} waits for something outside, which a test without an event loop "
        "does not have",
        "give the application a resource for tests that is made at once",
    )


def _nothing() -> None:
    """Nothing has to be closed."""
