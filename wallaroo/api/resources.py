"""What a worker needs once, such as a model or a client, and steps that ask for it."""

from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from typing import Any, ClassVar

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import FunctionKind, Problem, function_kind, named
from wallaroo.function_names import short_name
from wallaroo.topology.resources import ResourceMaker
from wallaroo.type_variables import Q_co

Close = Callable[[], Awaitable[object]]


class Resource(Decorated[[], Q_co]):
    """Something that each worker makes once, if a step of it asks for it.

    A step gets it as a keyword argument. What the function yields, or returns, is the resource.
    """

    decorator: ClassVar[str] = "@wallaroo.resource"
    arguments: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[frozenset[FunctionKind]] = frozenset(FunctionKind)

    @property
    def maker(self) -> ResourceMaker:
        """What the plan knows of it."""
        return ResourceMaker(short_name(self.function), self.function)


def resource(
    function: Callable[[], Q_co]
    | Callable[[], Iterator[Q_co]]
    | Callable[[], Awaitable[Q_co]]
    | Callable[[], Any],
) -> Resource[Q_co]:
    """Make a resource of ``function()``, which each worker that runs a step with it calls once.

    A step of any kind asks for it by a keyword of its decorator, and gets it by the same keyword::

        @wallaroo.resource
        def model():
            return load_model("fraud.bin")

        @wallaroo.computation("score", model=model)
        def score(record, model):
            return model.predict(record)

    It is made before the worker takes its first record, and never by the initializer or for
    ``--plan``. If the function is a generator, what it yields is the resource, and what follows the
    ``yield`` closes it. Otherwise its ``close()`` is called at the end, if it has one. Functions
    and generators that are ``async`` run on the event loop of the worker.
    """
    return Resource(function)


def resource_problems(decorator: str, resources: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the problems of further keywords of a decorator, which have to be resources."""
    for keyword, value in resources.items():
        if not isinstance(value, Resource):
            yield Problem(
                f"{decorator} has the keyword {keyword}, which is {named(value)}",
                "give a function decorated with @wallaroo.resource, or remove the keyword",
            )


def makers_of(resources: Mapping[str, object]) -> tuple[tuple[str, ResourceMaker], ...]:
    """Return the resources of a step, by keyword."""
    return tuple(
        (keyword, each.maker) for keyword, each in resources.items() if isinstance(each, Resource)
    )


async def make_resource(maker: ResourceMaker) -> tuple[Any, Close]:
    """Return what ``maker`` makes, and what closes it.

    This waits for what the user's functions wait for, and for nothing else: if they wait for
    nothing, no event loop is needed.
    """
    match function_kind(maker.function):
        case FunctionKind.GENERATOR:
            generator = maker.function()

            async def end() -> None:
                next(generator, None)

            return _first(generator), end
        case FunctionKind.ASYNC_GENERATOR:
            steps = maker.function()

            async def end_async() -> None:
                await anext(steps, None)

            return await anext(steps), end_async
        case FunctionKind.COROUTINE:
            made = await maker.function()
        case FunctionKind.PLAIN:
            made = maker.function()

    async def close() -> None:
        ending = getattr(made, "close", None)
        if callable(ending):
            waits = ending()
            if isinstance(waits, Awaitable):
                await waits

    return made, close


def _first(generator: Generator[Any, None, None]) -> Any:
    try:
        return next(generator)
    except StopIteration:
        # A coroutine may not raise that one.
        raise StopAsyncIteration from None
