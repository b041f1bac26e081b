"""Timers, alarms and expiry as applications declare them: what is read, and what is refused."""

# mypy: allow-untyped-decorators

import json
from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import mistakes_of
from wallaroo.timing.keyed_timing import TtlClock
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Step, keyed_timing_steps


class Machine:
    last = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Any:
    return json.loads(payload)


@wallaroo.encoder
def encode(record: Any) -> str:
    return json.dumps(record)


@wallaroo.timestamp("s")
def at(record: Any) -> int:
    return int(record["at"])


def machine_of(record: Any) -> str:
    return str(record["machine"])


def forgotten(key: str, machine: Machine) -> str:
    return f"{key} is forgotten"


EVENT_TIME = wallaroo.event_time(at)


def application(*computations: Any, time: Any = None) -> wallaroo.Application:
    config = wallaroo.TCPSourceConfig("localhost", "7010", decode, time=time)
    pipeline: Any = wallaroo.source("readings", config).key_by(machine_of)
    for computation in computations:
        pipeline = pipeline.to(computation)
    sink = wallaroo.TCPSinkConfig("localhost", "7002", encode)
    return wallaroo.build_application("machines", pipeline.to_sink(sink))


def texts_of(build: Callable[[], object]) -> list[str]:
    """Return the mistakes that ``build`` reports, without their places."""
    return [mistake.partition(": ")[2] for mistake in mistakes_of(build)]


def the_step(plan: wallaroo.Application) -> Step:
    ((_, _, _, step),) = keyed_timing_steps(plan)
    return step


def watcher(**options: Any) -> Any:
    """Return a computation with a timer and an alarm."""

    @wallaroo.state_computation("watch", Machine, **options)
    def watch(reading: Any, machine: Machine, ctx: wallaroo.Context) -> str:
        ctx.set_timer("silent", ctx.time + wallaroo.minutes(5))
        ctx.set_alarm("poll", after=wallaroo.seconds(1))
        return "read"

    @watch.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> str:
        return "silent"

    @watch.on_alarm("poll")
    def poll(machine: Machine, ctx: wallaroo.Context) -> str:
        return "polled"

    return watch


def test_a_third_parameter_is_a_context_and_its_timers_are_states_of_the_plan() -> None:
    plan = application(watcher(ttl=wallaroo.hours(24), on_expire=forgotten))
    step = the_step(plan)
    assert step.timing is not None
    assert step.timing.takes_context
    assert [each.name for each in step.timing.timers] == ["silent"]
    assert [each.name for each in step.timing.alarms] == ["poll"]
    assert step.timing.on_expire is forgotten
    assert [*plan.states] == ["watch", "watch~touched", "watch~timers", "watch~alarms"]
    assert {state.space for state in plan.states.values()} == {"watch"}


def test_the_outline_names_timers_alarms_and_the_time_to_live() -> None:
    lines = outline(application(watcher(ttl=wallaroo.hours(24))))
    assert any(
        line.endswith("with state 'watch' with timer 'silent', alarm 'poll'") for line in lines
    )
    assert any(line.endswith(" keys [] expires after 1 d of wall time") for line in lines)


def test_an_application_without_context_and_ttl_has_the_plan_that_it_had() -> None:
    @wallaroo.state_computation("count", Machine)
    def count(reading: Any, machine: Machine, extra: int = 3) -> int:
        return extra

    plan = application(count)
    assert plan.states["count"].timing is None
    assert [*plan.states] == ["count"]
    assert not any("expires" in line or "timer" in line for line in outline(plan))


def test_a_parameter_that_gets_a_resource_is_not_a_context() -> None:
    @wallaroo.resource
    def model() -> str:
        return "model"

    @wallaroo.state_computation("count", Machine, model=model)
    def count(reading: Any, machine: Machine, model: str) -> str:
        return model

    assert application(count).states["count"].timing is None


@pytest.mark.parametrize(
    ("time", "ttl_clock", "expected"),
    [
        (None, None, TtlClock.WALL),
        (EVENT_TIME, None, TtlClock.EVENT),
        (EVENT_TIME, "wall", TtlClock.WALL),
        (None, "event", TtlClock.EVENT),
    ],
)
def test_keys_expire_by_event_time_if_records_have_one_and_nothing_else_is_said(
    time: Any, ttl_clock: Any, expected: TtlClock
) -> None:
    @wallaroo.state_computation("count", Machine, ttl=wallaroo.hours(1), ttl_clock=ttl_clock)
    def count(reading: Any, machine: Machine) -> int:
        return 1

    timing = the_step(application(count, time=time)).timing
    assert timing is not None
    assert timing.expiry is not None
    assert timing.expiry.clock is expected


def test_the_pair_form_has_a_context_and_timers_too() -> None:
    @wallaroo.state_computation("count", ttl=wallaroo.hours(1))
    def count(reading: Any, machine: Machine, ctx: wallaroo.Context) -> tuple[str, bool]:
        return "counted", True

    @count.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> tuple[str, bool]:
        return "silent", False

    config = wallaroo.TCPSourceConfig("localhost", "7010", decode)
    plan = wallaroo.build_application(
        "machines",
        wallaroo.source("readings", config)
        .to_stateful(count, Machine, "machines")
        .to_sink(wallaroo.TCPSinkConfig("localhost", "7002", encode)),
    )
    assert [*plan.states] == ["machines", "machines~touched", "count~timers"]


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        (
            {"ttl": 5.0},
            "ttl is of type float; a duration is wallaroo.seconds(5) or "
            "datetime.timedelta(seconds=5)",
        ),
        ({"ttl": 5}, "ttl is 5e-09 s; give a duration of at least 0.001 s"),
        (
            {"exact": True},
            "exact is given to @wallaroo.state_computation(name, state) without ttl; say by ttl= "
            "how long a key is kept",
        ),
        (
            {"ttl": wallaroo.hours(1), "ttl_clock": "sun"},
            'ttl_clock is the str \'sun\'; give "event" or "wall", or leave it out',
        ),
        (
            {"ttl": wallaroo.hours(1), "ttl_clock": "wall", "exact": True},
            'exact=True goes by event time, and ttl_clock is "wall"; leave one of them out',
        ),
        (
            {"ttl": wallaroo.hours(1), "on_expire": lambda key: None},
            "on_expire is called with 2 arguments but is declared (key); declare it (key, state); "
            "further parameters need defaults",
        ),
    ],
)
def test_what_is_wrong_with_a_time_to_live_is_said_by_build(
    options: dict[str, Any], mistake: str
) -> None:
    assert texts_of(lambda: application(watcher(**options))) == [mistake]


def test_exact_expiry_needs_event_time() -> None:
    exact = watcher(ttl=wallaroo.hours(1), exact=True)
    assert texts_of(lambda: application(exact)) == [
        "step 'watch' has exact=True, and its records have no event time; give the source "
        "time=wallaroo.event_time(...), or leave exact out"
    ]
    assert application(watcher(ttl=wallaroo.hours(1), exact=True), time=EVENT_TIME)


def test_a_timer_needs_a_context_a_name_of_its_own_and_a_function_that_fits() -> None:
    @wallaroo.state_computation("count", Machine)
    def count(reading: Any, machine: Machine) -> int:
        return 1

    @count.on_timer("silent")  # type: ignore[misc]
    def silent(machine: Machine, ctx: wallaroo.Context) -> None: ...

    watch = watcher()

    @watch.on_alarm("silent")
    def again(machine: Machine, ctx: wallaroo.Context) -> None: ...

    @watch.on_timer("")
    def nameless(machine: Machine, ctx: wallaroo.Context) -> None: ...

    @watch.on_timer("late")
    def late(machine: Machine) -> None: ...

    assert texts_of(lambda: application(count, watch)) == [
        "'count' has on_timer() and no parameter for a context, so nothing can set it; declare it "
        "(record, state, ctx)",
        "'watch' has on_timer('silent') already, for the function silent; give each timer and each "
        "alarm a name of its own",
        "the name of on_timer() of 'watch' is empty; give a string with something in it",
        "the function of on_timer('late') is called with 2 arguments but is declared (machine); "
        "declare it (state, ctx); further parameters need defaults",
    ]


def test_a_literal_name_without_a_function_is_found_with_its_line() -> None:
    @wallaroo.state_computation("watch", Machine)
    def watch(reading: Any, machine: Machine, ctx: wallaroo.Context) -> int:
        ctx.set_timer("silent", ctx.time)
        return 1

    @watch.on_alarm("poll")
    def poll(machine: Machine, ctx: wallaroo.Context) -> None:
        ctx.set_alarm(name="pol", after=wallaroo.seconds(1))
        ctx.set_alarm("poll", after=wallaroo.seconds(1))

    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        application(watch)
    first = watch.function.__code__.co_firstlineno
    assert [*caught.value.mistakes] == [
        f"test_state_timing.py:{first + 2}: set_timer('silent') has no function that is called "
        "when it is due; write one with @watch.on_timer('silent')",
        f"test_state_timing.py:{first + 7}: set_alarm('pol') has no function that is called "
        "when it is due; write one with @watch.on_alarm('pol')",
    ]


def test_a_timer_that_comes_after_its_computation_was_used_is_refused_at_once() -> None:
    watch = watcher()
    application(watch)
    with pytest.raises(wallaroo.WallarooParameterError, match="was put into a pipeline; move it"):

        @watch.on_timer("late")
        def late(machine: Machine, ctx: wallaroo.Context) -> None: ...


def test_computations_of_one_state_agree_on_its_time_to_live() -> None:
    def counting(name: str, **options: Any) -> Any:
        @wallaroo.state_computation(name, **options)
        def count(reading: Any, machine: Machine) -> tuple[int, bool]:
            return 1, True

        return count

    def both(first: Any, second: Any) -> wallaroo.Application:
        ends = []
        for name, computation in (("a", first), ("b", second)):
            config = wallaroo.TCPSourceConfig("localhost", "0", decode)
            pipeline = wallaroo.source(name, config).to_stateful(computation, Machine, "machines")
            ends.append(pipeline.to_sink(wallaroo.TCPSinkConfig("localhost", "7002", encode)))
        return wallaroo.build_application("machines", *ends)

    hour, day = wallaroo.hours(1), wallaroo.days(1)
    assert both(counting("one", ttl=hour), counting("two", ttl=hour))
    (mistake,) = texts_of(lambda: both(counting("one", ttl=hour), counting("two", ttl=day)))
    assert mistake.startswith("the state 'machines' expires after 1 d here, but expires after 1 h")
    (mistake,) = texts_of(lambda: both(counting("one", ttl=hour), counting("two")))
    assert mistake.startswith("the state 'machines' has no ttl here, but expires after 1 h at ")
    told = {"ttl": hour, "on_expire": forgotten}
    (mistake,) = texts_of(lambda: both(counting("one", **told), counting("two", **told)))
    assert mistake.startswith("the state 'machines' has on_expire twice, first at ")
