"""Timers, alarms and expiry, as the decorator of a state computation declares them."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from wallaroo.api.inspection import (
    Problem,
    caller_place,
    function_place,
    function_problems,
    name_problems,
    named,
    read_duration,
)
from wallaroo.durations import duration_ns
from wallaroo.errors import WallarooParameterError
from wallaroo.function_names import short_name
from wallaroo.timing.keyed_timing import (
    NAME_BYTES_MAX,
    TTL_MIN_NS,
    Expiry,
    Handler,
    KeyedTiming,
    TtlClock,
)
from wallaroo.topology.graph import SourceLocation

CONTEXT_POSITION = 2
"""``f(record, state, ctx)``."""
HANDLER_ARGUMENTS = ("state", "ctx")
_SETTERS = {"set_timer": "on_timer", "set_alarm": "on_alarm"}


class ExpiryOptions(NamedTuple):
    """What the user gave to the decorator."""

    ttl: object = None
    ttl_clock: object = None
    exact: object = False
    on_expire: object = None

    def problems(self, decorator: str) -> Iterator[Problem]:
        """Yield what is wrong with them."""
        if self.ttl is None:
            for name, value in (
                ("ttl_clock", self.ttl_clock),
                ("exact", self.exact or None),
                ("on_expire", self.on_expire),
            ):
                if value is not None:
                    what = f"{name} is given to {decorator} without ttl"
                    yield Problem(what, "say by ttl= how long a key is kept")
            return
        yield from read_duration("ttl", self.ttl, minimum_ns=TTL_MIN_NS)[1]
        known = [each.value for each in TtlClock]
        if self.ttl_clock is not None and self.ttl_clock not in known:
            remedy = 'give "event" or "wall", or leave it out'
            yield Problem(f"ttl_clock is {named(self.ttl_clock)}", remedy)
        if not isinstance(self.exact, bool):
            yield Problem(f"exact is {named(self.exact)}", "give True or False")
        elif self.exact and self.ttl_clock == TtlClock.WALL.value:
            what = 'exact=True goes by event time, and ttl_clock is "wall"'
            yield Problem(what, "leave one of them out")
        if self.on_expire is not None:
            yield from function_problems(self.on_expire, "on_expire", ("key", "state"))

    def read(self) -> Expiry | None:
        """Return them as a plan has them; they have no problems."""
        if self.ttl is None:
            return None
        clock = TtlClock(self.ttl_clock) if self.ttl_clock is not None else None
        clock = TtlClock.EVENT if self.exact else clock
        return Expiry(ttl_ns=duration_ns("ttl", self.ttl), clock=clock, is_exact=bool(self.exact))


NO_EXPIRY = ExpiryOptions()


class StateTiming:
    """What a decorated function declares; its mistakes are those of the computation."""

    def __init__(self, function: object, keywords: tuple[str, ...], expiry: ExpiryOptions) -> None:
        """``keywords`` are the parameters that get a resource."""
        self.takes_context: bool = takes_context(function, keywords)
        self._function = function
        self._expiry = expiry
        self._handlers: dict[str, dict[str, Callable[..., Any]]] = {"on_timer": {}, "on_alarm": {}}
        self._is_used = False

    def add(self, method: str, name: object, function: object, computation: str) -> list[str]:
        """Add a handler that ``on_timer`` or ``on_alarm`` is given; return its mistakes.

        Raises ``WallarooParameterError`` if the computation is in a pipeline already.
        """
        place = function_place(function, otherwise=caller_place())
        if self._is_used:
            what = f"{method}({name!r}) comes after {computation!r} was put into a pipeline"
            raise WallarooParameterError(Problem(what, "move it up").at(place))
        problems = [*self._problems(method, name, function, computation)]
        if not problems:
            assert isinstance(name, str) and callable(function)
            self._handlers[method][name] = function
        return [problem.at(place) for problem in problems]

    def _problems(
        self, method: str, name: object, function: object, computation: str
    ) -> Iterator[Problem]:
        what = f"the name of {method}() of {computation!r}"
        yield from name_problems(what, name)
        if isinstance(name, str):
            if len(name.encode()) > NAME_BYTES_MAX:
                yield Problem(f"{what} has more than {NAME_BYTES_MAX} bytes", "shorten it")
            for other, handlers in self._handlers.items():
                if name in handlers:
                    again = f"{computation!r} has {other}({name!r}) already, for the function"
                    remedy = "give each timer and each alarm a name of its own"
                    yield Problem(f"{again} {short_name(handlers[name])}", remedy)
        if not self.takes_context:
            yield Problem(
                f"{computation!r} has {method}() and no parameter for a context, so nothing can "
                "set it",
                "declare it (record, state, ctx)",
            )
        what = f"the function of {method}({name!r})"
        yield from function_problems(function, what, HANDLER_ARGUMENTS)

    def read(self, computation: str) -> KeyedTiming | None:
        """Return what was declared, ``None`` if nothing was.

        Raises ``WallarooParameterError`` if a timer is set that has no function.
        """
        self._is_used = True
        if mistakes := [*self._unknown_names(computation)]:
            raise WallarooParameterError(mistakes)
        expiry = self._expiry.read()
        if not self.takes_context and expiry is None:
            return None
        timers, alarms = (
            tuple(Handler(name, function) for name, function in handlers.items())
            for handlers in self._handlers.values()
        )
        on_expire = self._expiry.on_expire
        assert on_expire is None or callable(on_expire)
        return KeyedTiming(
            takes_context=self.takes_context,
            timers=timers,
            alarms=alarms,
            expiry=expiry,
            on_expire=on_expire,
        )

    def _unknown_names(self, computation: str) -> Iterator[str]:
        """Yield a mistake for each name that a function sets and nothing handles."""
        functions = [(self._function, CONTEXT_POSITION)] if self.takes_context else []
        for handlers in self._handlers.values():
            functions += [(function, 1) for function in handlers.values()]
        for function, position in functions:
            for setter, name, place in _names_set_in(function, position):
                method = _SETTERS[setter]
                if name not in self._handlers[method]:
                    what = f"{setter}({name!r}) has no function that is called when it is due"
                    yield Problem(what, f"write one with @{computation}.{method}({name!r})").at(
                        place
                    )


def takes_context(function: object, keywords: tuple[str, ...]) -> bool:
    """Return whether a function declares a third parameter for a context: one without a default
    that is not for a resource."""
    try:
        parameters = [*inspect.signature(function).parameters.values()]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [each for each in parameters if each.kind in by_position]
    if len(positional) <= CONTEXT_POSITION:
        return False
    third = positional[CONTEXT_POSITION]
    return third.default is inspect.Parameter.empty and third.name not in keywords


def _names_set_in(function: object, position: int) -> Iterator[tuple[str, str, SourceLocation]]:
    """Yield method, name and line of each timer or alarm that a function sets by a literal name.

    Functions without a source text, and those that it calls, are not looked at: a name that is
    wrong there is found when it is set.
    """
    try:
        parameters = [*inspect.signature(function).parameters]  # type: ignore[arg-type]
        lines, first = inspect.getsourcelines(function)  # type: ignore[arg-type]
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (TypeError, ValueError, OSError, SyntaxError):
        return
    place = function_place(function, otherwise=caller_place())
    context = parameters[position]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, setter = node.func.value, node.func.attr
        if isinstance(owner, ast.Name) and owner.id == context and setter in _SETTERS:
            given = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "name")]
            for name in given:
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    line = SourceLocation(place.file, max(first, 1) + node.lineno - 1)
                    yield setter, name.value, line
