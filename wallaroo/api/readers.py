"""Converts the user's objects to declarations: each reader returns one, or raises.

The error is a ``WallarooParameterError`` with all mistakes of that object. Objects of the older
class style, which have the right methods but were not decorated, are accepted as well.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from wallaroo.api.codecs import Partition
from wallaroo.api.computations import (
    Computation,
    ComputationMulti,
)
from wallaroo.api.decorated import BaseWrapped, Decorated, is_decorated
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
from wallaroo.api.state_computations import (
    OwnStateComputation,
    OwnStateComputationMulti,
    StateComputation,
    StateComputationMulti,
)
from wallaroo.api.upgrades import upgrades_of
from wallaroo.api.waiting import ComputationAsync, ComputationBatch
from wallaroo.connectors.base import Sink, SinkConfig, Source, SourceConfig
from wallaroo.describing import error_text
from wallaroo.errors import WallarooParameterError
from wallaroo.function_names import short_name
from wallaroo.routing import payload_keys
from wallaroo.routing.keys import Key, canonical_key, display_key, short_repr
from wallaroo.topology.graph import (
    ComputationDeclaration,
    PartitionDeclaration,
    PredicateDeclaration,
    SourceLocation,
    StateDeclaration,
    StepKind,
)
from wallaroo.topology.plan import SOURCE_KEY, State

_STATELESS = (StepKind.FUSED, StepKind.PARALLEL)
_WITHOUT_STATE = (Computation, ComputationMulti, ComputationAsync, ComputationBatch)
_STATE = (StateComputation, StateComputationMulti)
_OWN_STATE = (OwnStateComputation, OwnStateComputationMulti)
_MULTI = (ComputationMulti, StateComputationMulti, OwnStateComputationMulti)
_METHODS = ("compute", "compute_multi", "partition", "extract_key", "decode", "encode")
"""An object with one of these has a role in an application."""


def read_name(what: str, name: object, place: SourceLocation) -> str:
    """Read a name that the user gave to ``what``."""
    _raise_if_any(name_problems(what, name), place)
    return str(name)


class StepReading(NamedTuple):
    """A computation, and what makes a state object if it has a state of its own."""

    computation: ComputationDeclaration
    own_state: Callable[[], Any] | None = None


def read_step(
    computation: object, kind: StepKind, place: SourceLocation, *, method: str = ""
) -> StepReading:
    """Read a computation of the kind that ``kind`` requires; ``method`` is the one it is given to.

    Methods for steps without state take plain functions too. ``to`` also takes computations that
    have a state of their own.
    """
    method = method or kind.value
    takes_state = kind not in _STATELESS
    if isinstance(computation, Decorated) and is_decorated(computation):
        return _read_decorated(computation, kind, method, place)
    if not takes_state and _is_plain_function(computation):
        return StepReading(_read_function(computation, method, place))
    what = f"the computation of {method}()"
    remedy = f"decorate a function with {_wanted_decorator(takes_state=takes_state)}"
    if isinstance(computation, type):
        _raise_if_any(method_problems(computation, what, {}, remedy), place)
    own_state = getattr(computation, "initial_state", None) if kind is StepKind.FUSED else None
    takes_state = takes_state or callable(own_state)
    is_multi = callable(getattr(computation, "compute_multi", None))
    compute = "compute_multi" if is_multi else "compute"
    arguments = ("record", "state") if takes_state else ("record",)
    methods: dict[str, tuple[str, ...]] = {"name": (), compute: arguments}
    if own_state is not None:
        methods["initial_state"] = ()
    _raise_if_any(method_problems(computation, what, methods, remedy), place)
    name = read_name(f"the name of {what}", _asked_name(computation, what, place), place)
    declared = ComputationDeclaration(
        name, getattr(computation, compute), is_multi, always_changes=own_state is not None
    )
    return StepReading(declared, own_state)


def read_mapping(
    function: object,
    method: str,
    place: SourceLocation,
    *,
    is_multi: bool = False,
    is_filter: bool = False,
) -> ComputationDeclaration:
    """Read the function of ``filter``, ``map`` or ``flat_map``: a plain one, or a computation."""
    if _is_plain_function(function):
        declared = _read_function(function, method, place)
        return replace(declared, is_multi=is_multi, is_filter=is_filter)
    if not isinstance(function, BaseWrapped) and not callable(getattr(function, "name", None)):
        what = f"the function of {method}()"
        _raise_if_any(function_problems(function, what, ("record",)), place)
    reading = read_step(function, StepKind.FUSED, place, method=method)
    if reading.own_state is not None or reading.computation.is_multi is not is_multi:
        wanted = "returns a list" if is_multi else "returns one result and has no state"
        problem = Problem(
            f"{method}() has the computation {reading.computation.name!r}",
            f"give a function that {wanted}, or use to()",
        )
        raise WallarooParameterError(problem.at(place))
    return replace(reading.computation, is_filter=is_filter)


def read_predicate(function: object, place: SourceLocation) -> PredicateDeclaration:
    """Read a condition of ``split``."""
    declared = read_mapping(function, "split", place)
    return PredicateDeclaration(declared.name, declared.function)


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


def read_partition(
    partition: Any, place: SourceLocation, *, what: str = "partition_function"
) -> PartitionDeclaration:
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
    if isinstance(partition, str | bytes | bytearray):
        # Texts happen to have a method named `partition`.
        remedy = "give a function of the record: lambda record: record[...]"
        raise WallarooParameterError(Problem(f"{what} is {named(partition)}", remedy).at(place))
    remedy = f"decorate a function with {Partition.decorator}, or give wallaroo.payload_key(...)"
    method = "extract_key" if _defines(partition, "extract_key") else "partition"
    methods: dict[str, tuple[str, ...]] = {method: ("record",)}
    _raise_if_any(method_problems(partition, what, methods, remedy), place)
    return PartitionDeclaration(type(partition).__name__, getattr(partition, method))


def read_key(key: Any, place: SourceLocation) -> PartitionDeclaration:
    """Read what ``key_by`` is given: what a partition function may be, or a plain function."""
    what = "the key of key_by()"
    if not _is_plain_function(key):
        return read_partition(key, place, what=what)
    _raise_if_any(function_problems(key, what, ("record",)), place)
    return PartitionDeclaration(short_name(key), key)


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


def read_source(
    config: object, place: SourceLocation, what: str = "the source_config of new_pipeline()"
) -> Source:
    """Read the source of a pipeline; ``what`` names the argument."""
    if isinstance(config, SourceConfig):
        _raise_mistakes(config, place)
        source: object = config.source()
        if isinstance(source, Source):
            return source
        returned = f"{type(config).__name__}.source() returned {named(source)}"
        remedy = (
            "return a wallaroo.connectors.base.Source, or derive from wallaroo.PartitionedSource"
        )
        raise WallarooParameterError(Problem(returned, remedy).at(place))
    problem = Problem(
        f"{what} is {_config_name(config)}",
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
    computation: Decorated[..., Any], kind: StepKind, method: str, place: SourceLocation
) -> StepReading:
    kinds = _STATE if kind not in _STATELESS else _WITHOUT_STATE
    if kind is StepKind.FUSED:
        kinds = (*kinds, *_OWN_STATE)
    if not isinstance(computation, kinds):
        what = f"{method}() has {short_name(computation.function)}"
        problem = Problem(
            f"{what}, which is decorated with {computation.decorator}", _remedy(computation, kind)
        )
        raise WallarooParameterError([problem.at(place), *computation.mistakes])
    if computation.mistakes:
        raise WallarooParameterError(computation.mistakes)
    is_multi = isinstance(computation, _MULTI)
    has_own_state = isinstance(computation, _OWN_STATE)
    declared = ComputationDeclaration(
        computation.name(),
        computation.function,
        is_multi,
        always_changes=has_own_state,
        waiting=computation.waiting,
        resources=computation.resources,
        timing=computation.timing(),
    )
    own_state = computation.state_class if isinstance(computation, _OWN_STATE) else None
    return StepReading(declared, own_state)


def _remedy(computation: Decorated[..., Any], kind: StepKind) -> str:
    if isinstance(computation, _OWN_STATE):
        return "use to(), behind key_by() or collect()"
    if isinstance(computation, _STATE):
        return "use to_stateful() or to_state_partition()"
    takes_state = kind not in _STATELESS
    remedy = f"give a function decorated with {_wanted_decorator(takes_state=takes_state)}"
    return f"use to() or to_parallel(), or {remedy}" if takes_state else remedy


def _is_plain_function(thing: object) -> bool:
    """Return whether ``thing`` can be called, and has no role in an application."""
    if isinstance(thing, BaseWrapped) or not callable(thing):
        return False
    # A class is a function that makes its objects, such as `int`, unless they are computations.
    methods = _METHODS[:2] if isinstance(thing, type) else _METHODS
    return not any(hasattr(thing, method) for method in methods)


def _read_function(function: Any, method: str, place: SourceLocation) -> ComputationDeclaration:
    _raise_if_any(function_problems(function, f"the function of {method}()", ("record",)), place)
    return ComputationDeclaration(short_name(function), function, is_multi=False)


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
