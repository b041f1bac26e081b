"""Windows over built-in aggregations, functions and classes; checkers know what they give."""

import json
import operator
from typing import Any, NamedTuple, assert_type

import wallaroo
from wallaroo import aggregate, hours, minutes, seconds


class Click(NamedTuple):
    user: str
    page: str
    at: int
    price: float


class Total:
    value = 0.0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Click:
    return Click(*json.loads(payload))


@wallaroo.timestamp("ms")
def clicked_at(click: Click) -> int:
    return click.at


@wallaroo.encoder
def encode_result(result: wallaroo.Result[int]) -> str:
    return f"{result.key} {result.value + 1}\n"


@wallaroo.encoder
def encode_click(click: Click) -> str:
    return f"{click.user} was late\n"


@wallaroo.encoder
def encode_line(line: str) -> str:
    return line + "\n"


@wallaroo.aggregation("revenue", initial=float, merge=operator.add)
def revenue(click: Click, so_far: float) -> float:
    return so_far + click.price


@wallaroo.aggregation("pages", initial=list, merge=operator.add)
def pages(click: Click, so_far: list[str]) -> list[str]:
    return [*so_far, click.page]


def line_of(key: Any, total: int) -> str | None:
    return f"{key}: {total}" if total else None


def line_of_window(key: Any, total: int, window: wallaroo.Window) -> str:
    return f"{key}: {total} until {window.end}"


@wallaroo.aggregation("line", initial=int, merge=operator.add, output=line_of)
def line(_click: Click, so_far: int) -> int:
    return so_far + 1


@wallaroo.aggregation("windowed line", initial=int, output=line_of_window)
def windowed_line(_click: Click, so_far: int) -> int:
    return so_far + 1


class Totals(wallaroo.Aggregation[Click, Total]):
    def initial_accumulator(self) -> Total:
        return Total()

    def update(self, click: Click, total: Total) -> None:
        total.value += click.price

    def combine(self, one: Total, other: Total) -> Total:
        both = Total()
        both.value = one.value + other.value
        return both


class Lines(Totals):
    def output(self, key: str, total: Total) -> str | None:
        return f"{key}: {total.value}" if total.value else None


class WindowedLines(Totals):
    def output(self, key: str, total: Total, window: wallaroo.Window) -> str:
        return f"{key}: {total.value} until {window.end}"


TOP = aggregate.top(3, lambda click: (click.price, click.page))


def what_is_computed(clicks: wallaroo.Pipeline[Click]) -> None:
    by_user = clicks.key_by(lambda click: click.user)
    per_minute = wallaroo.tumbling(minutes(1))
    counts = by_user.to(per_minute.over(aggregate.count()))
    assert_type(counts, wallaroo.WindowedPipeline[Click, wallaroo.Result[int]])
    assert_type(counts.named("clicks").late, wallaroo.Pipeline[Click])
    assert_type(counts.map(lambda result: result.value), wallaroo.Pipeline[int])
    sums = by_user.to(per_minute.over(aggregate.sum(lambda click: click.price)))
    assert_type(sums.map(lambda result: result.value), wallaroo.Pipeline[float])
    by_user.to(per_minute.over(TOP))
    tops = by_user.to(per_minute.over(aggregate.top(3, lambda click: click.price)))
    assert_type(tops.map(lambda result: result.value[0].user), wallaroo.Pipeline[str])
    several = aggregate.several(count=aggregate.count(), revenue=revenue, totals=Totals)
    by_user.to(per_minute.over(several)).map(lambda result: result.value["count"])
    amounts = by_user.to(wallaroo.sliding(hours(1), every=minutes(5)).over(revenue))
    assert_type(amounts.map(lambda result: result.value), wallaroo.Pipeline[float])
    visits = by_user.to(wallaroo.session(minutes(30)).over(pages))
    assert_type(visits.map(lambda result: result.value), wallaroo.Pipeline[list[str]])
    windowed = per_minute.over(WindowedLines)
    assert_type(windowed, wallaroo.WindowStep[Click, str])
    assert_type(per_minute.over(WindowedLines()), wallaroo.WindowStep[Click, str])
    assert_type(per_minute.over(Lines), wallaroo.WindowStep[Click, str])
    totals = by_user.to(wallaroo.range_windows(seconds(9)).over(Totals()))
    assert_type(totals.map(lambda result: result.value), wallaroo.Pipeline[Total])


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    time = wallaroo.event_time(clicked_at, out_of_order=seconds(5))
    clicks = wallaroo.source(
        "clicks", wallaroo.TCPSourceConfig(in_host, in_port, decode, time=time)
    ).key_by(lambda click: click.user)
    what_is_computed(clicks)
    windows = wallaroo.tumbling(minutes(1)).with_late_data_policy("side")
    counts = clicks.to(windows.over(aggregate.count()))
    lines = [
        clicks.to(windows.over(line)),
        clicks.to(windows.over(windowed_line)),
        clicks.to(windows.over(Lines)),
        clicks.to(windows.over(WindowedLines())),
    ]
    results = wallaroo.TCPSinkConfig(out_host, out_port, encode_result)
    late = wallaroo.TCPSinkConfig(out_host, out_port, encode_click)
    text = wallaroo.TCPSinkConfig(out_host, out_port, encode_line)
    return wallaroo.build_application(
        "windows",
        counts.to_sink(results),
        counts.late.to_sink(late),
        *(each.to_sink(text) for each in lines),
    )
