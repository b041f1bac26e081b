"""Converts the user's objects to declarations: each reader returns one, or raises.

The error is a ``WallarooParameterError`` with all mistakes of that object. Objects of the older
class style, which have the right methods but were not decorated, are accepted as well.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from wallaroo.api.codecs import Partition
from wallaroo.api.computations import (
    Computation,
    ComputationMulti,
    StateComputation,
    StateComputationMulti,
)
from wallaroo.api.decorated import Decorated, is_decorated
from wallaroo.api.inspection import (
    Problem,
    function_problems,
    is_ours,
    method_problems,
    name_problems,
    named,
)
from wallaroo.api.payload_keys import PayloadKey
from wallaroo.api.source_keys import SourceKey
from wallaroo.api.upgrades import upgrades_of
from wallaroo.connectors.base import Sink, SinkConfig, Source, SourceConfig
from wallaroo.describing import error_text
from wallaroo.errors import WallarooParameterError
from wallaroo.function_names import short_name
from wallaroo.routing import payload_keys
from wallaroo.routing.keys import Key, canonical_key, display_key, short_repr
from wallaroo.topology.graph import (
    ComputationDeclaration,
    PartitionDeclaration,
    SourceLocation,
    StateDeclaration,
    StepKind,
)
from wallaroo.topology.plan import SOURCE_KEY, State

_STATELESS = (StepKind.FUSED, StepKind.PARALLEL)


def read_name(what: str, name: object, place: SourceLocation) -> str:
    """Read a name that the user gave to ``what``."""
    _raise_if_any(name_problems(what, name), place)
    return str(name)


def read_computation(
    computation: object, placement: StepKind, place: SourceLocation
) -> ComputationDeclaration:
    """Read a computation of the kind that ``placement`` requires."""
    takes_state = placement not in _STATELESS
    if isinstance(computation, Decorated) and is_decorated(computation):
        return _read_decorated(computation, placement, place, takes_state=takes_state)
    what = f"the computation of {placement.value}()"
    remedy = f"decorate a function with {_wanted_decorator(takes_state=takes_state)}"
    if isinstance(computation, type):
        _raise_if_any(method_problems(computation, what, {}, remedy), place)
    is_multi = callable(getattr(computation, "compute_multi", None))
    method = "compute_multi" if is_multi else "compute"
    arguments = ("record", "state") if takes_state else ("record",)
    methods: dict[str, tuple[str, ...]] = {"name": (), method: arguments}
    _raise_if_any(method_problems(computation, what, methods, remedy), place)
    name = read_name(f"the name of {what}", _asked_name(computation, what, place), place)
    return ComputationDeclaration(name, getattr(computation, method), is_multi)


def read_state(
    state_class: Any, state_name: object, keys: tuple[Key, ...] | None, place: SourceLocation
) -> StateDeclaration:
    """Read the state of a step; ``keys`` are canonical, ``None`` for ``to_stateful``."""
    what = f"state_class of state {state_name!r}" if isinstance(state_name, str) else "state_class"
    problems = [
        *name_problems("state_name", state_name),
        *function_problems(state_class, what, ()),
    ]
    _raise_if_any(problems, place)
    return StateDeclaration(str(state_name), state_class, keys)


def read_upgrades(states: dict[str, State]) -> dict[str, State]:
    """Return these states, each with the upgrade function that was declared for it, if any."""
    mistakes: list[str] = []
    read: dict[str, State] = {}
    for name, upgrades in upgrades_of(states).items():
        mistakes += [mistake for each in upgrades for mistake in each.mistakes]
        if len(upgrades) > 1:
            what = f"the state {name!r} has another upgrade function at {upgrades[0].place}"
            mistakes.append(Problem(what, "make them one function").at(upgrades[1].place))
        function = upgrades[0].function if upgrades else None
        read[name] = replace(states[name], upgrade=function)
    if mistakes:
        raise WallarooParameterError(mistakes)
    return read


def read_partition(partition: Any, place: SourceLocation) -> PartitionDeclaration:
    """Read a partition function, or where else the key is."""
    if isinstance(partition, SourceKey):
        return PartitionDeclaration(SOURCE_KEY, by_source_key=True)
    if isinstance(partition, PayloadKey):
        if partition.rule is None:
            raise WallarooParameterError(partition.mistakes)
        return PartitionDeclaration(payload_keys.NAME, payload_key=partition.rule)
    if isinstance(partition, Partition) and is_decorated(partition):
        if partition.mistakes:
            raise WallarooParameterError(partition.mistakes)
        return PartitionDeclaration(short_name(partition.function), partition.function)
    remedy = f"decorate a function with {Partition.decorator}, or give wallaroo.payload_key(...)"
    method = "extract_key" if _defines(partition, "extract_key") else "partition"
    methods: dict[str, tuple[str, ...]] = {method: ("record",)}
    _raise_if_any(method_problems(partition, "partition_function", methods, remedy), place)
    return PartitionDeclaration(type(partition).__name__, getattr(partition, method))


def read_keys(keys: object, place: SourceLocation) -> tuple[Key, ...]:
    """Read declared keys, in their order; ``None`` stands for no keys."""
    if keys is None:
        return ()
    if not isinstance(keys, list | tuple):
        problem = Problem(f"partition_keys is {named(keys)}", "give a list or a tuple of keys")
        raise WallarooParameterError(problem.at(place))
    canonical: list[Key] = []
    problems: list[Problem] = []
    for index, key in enumerate(keys):
        try:
            canonical.append(canonical_key(key))
        except TypeError as error:
            problems.append(Problem(f"partition_keys[{index}]: {error}", "declare another key"))
    problems += _duplicate_problems(canonical)
    _raise_if_any(problems, place)
    return tuple(canonical)


def read_source(config: object, place: SourceLocation) -> Source:
    """Read the source of a pipeline."""
    if isinstance(config, SourceConfig):
        _raise_mistakes(config, place)
        source: object = config.source()
        if isinstance(source, Source):
            return source
        what = f"{type(config).__name__}.source() returned {named(source)}"
        remedy = (
            "return a wallaroo.connectors.base.Source, or derive from wallaroo.PartitionedSource"
        )
        raise WallarooParameterError(Problem(what, remedy).at(place))
    what = _config_name(config)
    problem = Problem(
        f"the source_config of new_pipeline() is {what}",
        "give a source, such as TCPSourceConfig(host, port, decoder), or an object of a class "
        "derived from wallaroo.PartitionedSource or wallaroo.PushedSource",
    )
    raise WallarooParameterError(problem.at(place))


def read_sink(config: object, what: str, place: SourceLocation) -> Sink:
    """Read one sink; ``what`` names the argument."""
    if isinstance(config, SinkConfig):
        _raise_mistakes(config, place)
        return config.sink()
    problem = Problem(
        f"{what} is {_config_name(config)}",
        "give a sink, such as TCPSinkConfig(host, port, encoder), or an object of a class derived "
        "from wallaroo.Sink, wallaroo.OnceSink or wallaroo.TwoPhaseSink",
    )
    raise WallarooParameterError(problem.at(place))


def _read_decorated(
    computation: Decorated[..., Any],
    placement: StepKind,
    place: SourceLocation,
    *,
    takes_state: bool,
) -> ComputationDeclaration:
    kinds = (
        (StateComputation, StateComputationMulti)
        if takes_state
        else (Computation, ComputationMulti)
    )
    if not isinstance(computation, kinds):
        remedy = f"give a function decorated with {_wanted_decorator(takes_state=takes_state)}"
        if isinstance(computation, StateComputation | StateComputationMulti):
            remedy = "use to_stateful() or to_state_partition()"
        elif isinstance(computation, Computation | ComputationMulti):
            remedy = f"use to() or to_parallel(), or {remedy}"
        what = f"{placement.value}() has {short_name(computation.function)}"
        problem = Problem(f"{what}, which is decorated with {computation.decorator}", remedy)
        raise WallarooParameterError([problem.at(place), *computation.mistakes])
    if computation.mistakes:
        raise WallarooParameterError(computation.mistakes)
    is_multi = isinstance(computation, ComputationMulti | StateComputationMulti)
    return ComputationDeclaration(computation.name(), computation.function, is_multi)


def _defines(thing: object, method: str) -> bool:
    """Return whether the application wrote this method, and it is not one of a wrapper."""
    found = getattr(thing, method, None)
    return callable(found) and not is_ours(str(getattr(found, "__module__", "")))


def _asked_name(computation: Any, what: str, place: SourceLocation) -> object:
    ask: Callable[[], object] = computation.name
    try:
        return ask()
    except BaseException as error:
        raised = f"name() of {what} raised {error_text(error)}"
        problem = Problem(raised, "return a string from it")
        raise WallarooParameterError(problem.at(place)) from error


def _wanted_decorator(*, takes_state: bool) -> str:
    return (StateComputation if takes_state else Computation).decorator


def _duplicate_problems(keys: Iterable[Key]) -> Iterator[Problem]:
    seen: set[Key] = set()
    told: set[Key] = set()
    for key in keys:
        if key in seen and key not in told:
            told.add(key)
            what = f"partition_keys has the key {short_repr(display_key(key))} more than once"
            yield Problem(what, "declare each key once")
        seen.add(key)


def _config_name(config: object) -> str:
    if isinstance(config, SourceConfig):
        return f"the source {type(config).__name__}"
    if isinstance(config, SinkConfig):
        return f"the sink {type(config).__name__}"
    return named(config)


def _raise_mistakes(config: SourceConfig[Any] | SinkConfig[Any], place: SourceLocation) -> None:
    if mistakes := [*config.mistakes_at(str(place))]:
        raise WallarooParameterError(mistakes)


def _raise_if_any(problems: Iterable[Problem], place: SourceLocation) -> None:
    mistakes = [problem.at(place) for problem in problems]
    if mistakes:
        raise WallarooParameterError(mistakes)
