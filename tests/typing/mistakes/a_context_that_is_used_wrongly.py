"""Timers and alarms that a type checker refuses."""

import wallaroo


class Machine:
    last = 0


def machine_of(reading: str) -> str:
    return reading


@wallaroo.state_computation("watch", Machine)
def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> str:
    ctx.set_timer("silent", "soon")  # mistake
    ctx.set_alarm("poll", after=0.5)  # mistake
    ctx.set_timr("silent", ctx.time)  # mistake
    return reading


@watch.on_timer("silent")  # mistake
def silent(reading: str, machine: Machine, ctx: wallaroo.Context) -> str:
    return reading


@wallaroo.state_computation("count", Machine)  # mistake
def count(reading: str, machine: Machine, ctx: int) -> str:
    return reading


def pipeline(readings: wallaroo.Pipeline[str]) -> None:
    readings.to_parallel(watch)  # mistake
