"""Functions of timers and alarms that take another state, or give other results."""

import wallaroo


class Machine:
    last = ""


class Room:
    lamps = 0


def forgotten(key: str, room: Room) -> str:
    return f"{key}: {room.lamps}"


@wallaroo.state_computation("watch", Machine)
def watch(reading: str, machine: Machine, ctx: wallaroo.Context[str]) -> str | None:
    ctx.set_timer("silent", ctx.key)  # mistake
    machine.last = reading
    return None


@watch.on_timer("silent")  # mistake
def of_another_state(room: Room, ctx: wallaroo.Context) -> str:
    return f"{ctx.key}: {room.lamps}"


@watch.on_timer("late")  # mistake
def another_result(machine: Machine, _ctx: wallaroo.Context) -> int:
    return len(machine.last)


@watch.on_alarm("poll")  # mistake
def a_pair(machine: Machine, _ctx: wallaroo.Context) -> tuple[str, bool]:
    return machine.last, True


@wallaroo.state_computation_multi("words")
def words(line: str, _machine: Machine, ctx: wallaroo.Context) -> tuple[list[str], bool]:
    ctx.set_timer("end", ctx.time)
    return line.split(), False


@words.on_timer("end")  # mistake
def a_word(machine: Machine, _ctx: wallaroo.Context) -> str:
    return machine.last


@wallaroo.state_computation("count", Machine)
def count(reading: str, _machine: Machine) -> str:
    return reading


@count.on_timer("silent")  # mistake
def of_no_context(machine: Machine, _ctx: wallaroo.Context) -> str:
    return machine.last


HOUR = wallaroo.hours(1)


@wallaroo.state_computation("forget", Machine, ttl=HOUR, on_expire=forgotten)  # mistake
def forget(reading: str, _machine: Machine) -> str:
    return reading
