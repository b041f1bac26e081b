"""The lines by which a record gets its time, and by which a chain knows the highest one.

They are written only where a timed state is reached. ``time`` is the time of the record in
nanoseconds, ``top`` the highest one of the slice, which a source's chain returns. ``read_ns`` is
when the slice was read: an argument, so that a replay has the same one.
"""

from datetime import UTC, datetime
from typing import Any, NoReturn

from wallaroo.operators.failures import Site
from wallaroo.operators.writing.text import ChainText
from wallaroo.timing.instants import BEFORE_ALL, INSTANT_MAX, TimestampUnit, instant_ns
from wallaroo.timing.spec import EventTime
from wallaroo.topology.plan import Pipeline

TIMESTAMP = "timestamp"
"""The step at which a record without a usable time fails, in dead letters."""


def write_start(text: ChainText, pipeline: Pipeline) -> None:
    """Write what a source's chain needs before its loop."""
    text.return_top()
    if not isinstance(pipeline.time, EventTime):
        # All records of a slice were read together.
        text.line("time = top = read_ns")
        text.know_time()
        return
    text.line(f"top = {BEFORE_ALL}")
    if pipeline.time.ahead_max_ns is not None:
        text.line(f"latest = min(read_ns + {pipeline.time.ahead_max_ns}, {INSTANT_MAX - 1})")


def write_time(text: ChainText, pipeline: Pipeline, node: int, *, has_record: bool) -> None:
    """Write how a record, which has reached this node, gets the time of its own.

    Without a record, only its payload is known so far.
    """
    times = pipeline.time
    assert isinstance(times, EventTime)
    text.enter(node, times.timestamp)
    if times.timestamp is None:
        lines = ["time = instant(time)"]
    else:
        function = text.user_name(f"timestamp_{text.node}", times.timestamp, is_step=False)
        if times.unit is TimestampUnit.DATETIME:
            lines = [f"time = instant({function}(record))"]
        else:
            length_ns = times.unit.length_ns
            lines = [f"time = {function}(record)"]
            if length_ns == 1:
                lines.append("if time.__class__ is not int: time = instant(time)")
            else:
                lines.append(f"if time.__class__ is int: time *= {length_ns}")
                lines.append("else: time = instant(time)")
    text.refer(instant=_reader(times), refuse_time=_refuse)
    if times.ahead_max_ns is None:
        bound, latest = f"< {INSTANT_MAX}", "None"
    else:
        bound, latest = "<= latest", "latest"
    lines.append(f"if not {-INSTANT_MAX} < time {bound}: refuse_time(time, {latest})")
    for line in lines:
        text.line(line)
    text.note_site(
        Site(
            text.pipeline.name,
            TIMESTAMP,
            text.has_key,
            is_decoder=not has_record,
            function=times.timestamp,
            node=node,
        ),
        len(lines),
    )
    text.line("if time > top: top = time")
    text.know_time()


def _reader(times: EventTime) -> Any:
    """Return the function for timestamps that are not simply integers of the unit."""
    if times.timestamp is None:
        return source_instant
    unit = times.unit
    return lambda timestamp: instant_ns(timestamp, unit)


def source_instant(seconds: Any) -> int:
    """Return the time that a source gave with a record, which is in Unix seconds.

    It is rounded to microseconds: so many digits of today's seconds are exact in a float.
    """
    instant_ns(seconds, TimestampUnit.SECONDS)
    microseconds: int = round(seconds * 1_000_000)
    return microseconds * 1_000


def _refuse(time: int, latest: int | None) -> NoReturn:
    if latest is None or time <= latest or not time < INSTANT_MAX:
        raise ValueError(
            f"the timestamp is {time / 1e9:g} s since 1970, which is not between 1824 and 2116; "
            "is its unit right?"
        )
    shown = datetime.fromtimestamp(time // 1_000_000_000, UTC).isoformat()
    raise ValueError(
        f"the time of the record, {shown}, is further ahead of its arrival than ahead_max allows"
    )
