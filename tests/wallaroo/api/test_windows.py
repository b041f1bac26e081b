"""What makers of windows say, and that all mistakes are reported together."""

import operator
from datetime import timedelta
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import mistakes_of
from wallaroo import aggregate, minutes, seconds
from wallaroo.api.inspection import caller_place
from wallaroo.api.windows import (
    WindowsBuilder,
    calendar,
    count_windows,
    ephemeral_windows,
    global_window,
    range_windows,
    read_windows,
    session,
    sliding,
    tumbling,
)
from wallaroo.errors import WallarooParameterError
from wallaroo.timing.window_spec import (
    CalendarUnit,
    CalendarWindows,
    CountWindows,
    EphemeralWindows,
    Firing,
    FixedWindows,
    GlobalWindows,
    LatePolicy,
    SessionWindows,
    Windows,
    WindowSpec,
)

COUNT = aggregate.count()
NO_MERGE = wallaroo.aggregation("mine", initial=int)(operator.add)


def spec_of(windows: WindowsBuilder, aggregation: Any = COUNT) -> WindowSpec:
    return read_windows(windows.over(aggregation), caller_place())


def texts_of(windows: WindowsBuilder, aggregation: Any) -> list[str]:
    """Return the mistakes of windows; all are of this file."""
    mistakes = mistakes_of(lambda: spec_of(windows, aggregation))
    assert all(each.startswith("test_windows.py:") for each in mistakes)
    return [each.partition(": ")[2] for each in mistakes]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (tumbling(seconds(10)), FixedWindows(seconds(10), seconds(10))),
        (tumbling(timedelta(seconds=10), offset=3), FixedWindows(seconds(10), seconds(10), 3)),
        (sliding(10, every=5, offset=1), FixedWindows(10, 5, 1)),
        (calendar("day"), CalendarWindows(CalendarUnit.DAY, "UTC")),
        (
            calendar("month", zone="Europe/Berlin"),
            CalendarWindows(CalendarUnit.MONTH, "Europe/Berlin"),
        ),
        (session(minutes(30)), SessionWindows(minutes(30))),
        (session(5, longest=60), SessionWindows(5, 60)),
        (count_windows(3), CountWindows(3, 3)),
        (count_windows(3).with_slide(2).partial("emit"), CountWindows(3, 2, emits_partial=True)),
        (global_window(), GlobalWindows()),
        (range_windows(9), FixedWindows(9, 9)),
        (range_windows(9).with_slide(3), FixedWindows(9, 3)),
        (ephemeral_windows(5, 10), EphemeralWindows(5, 10)),
    ],
)
def test_a_maker_says_which_windows(windows: WindowsBuilder, expected: Windows) -> None:
    assert spec_of(windows).windows == expected


def always(key: Any, accumulator: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (tumbling(10), Firing()),
        (tumbling(10).with_delay(5), Firing(delay_ns=5)),
        (tumbling(10).with_late_data_policy("side"), Firing(late=LatePolicy.SIDE)),
        (
            tumbling(10).allow_late(7).with_late_data_policy("update"),
            Firing(late=LatePolicy.UPDATE, allow_late_ns=7),
        ),
        (tumbling(10).early(every=2), Firing(early_every_ns=2)),
        (tumbling(10).early(count=2), Firing(early_count=2)),
        (tumbling(10).until(always), Firing(until=always)),
        (range_windows(9).with_slide(3).with_delay(4), Firing(delay_ns=6)),
        (range_windows(9).with_delay(4).with_slide(3), Firing(delay_ns=6)),
    ],
)
def test_a_method_says_when_results_are_given(windows: WindowsBuilder, expected: Firing) -> None:
    assert spec_of(windows).firing == expected


def test_windows_that_are_used_twice_keep_apart_what_is_said() -> None:
    base = tumbling(10)
    named = base.named("clicks")
    assert (spec_of(base).name, spec_of(named).name) == (None, "clicks")


@pytest.mark.parametrize(
    ("windows", "aggregation", "expected"),
    [
        (tumbling(0), COUNT, ["the size of tumbling() is 0; give a longer one"]),
        (
            session(0.5),  # type: ignore[arg-type]
            COUNT,
            [
                "the gap of session() is of type float; a duration is wallaroo.seconds(5) or "
                "datetime.timedelta(seconds=5)"
            ],
        ),
        (
            session(seconds(-1), longest=0),
            COUNT,
            [
                "the gap of session() is -1 s; give a duration of at least 0",
                "longest of session() is 0; give a longer one",
            ],
        ),
        (
            sliding(seconds(2), every=seconds(3)),
            COUNT,
            [
                "every (3 s) is longer than the size (2 s); records between two windows would be "
                "in none; make it shorter"
            ],
        ),
        (
            range_windows(seconds(2)).with_slide(seconds(3)),
            COUNT,
            [
                "slide (3 s) is longer than the range (2 s); records between two windows would be "
                "in none; make it shorter"
            ],
        ),
        (
            calendar("year", zone="Europe/Barlin"),
            COUNT,
            [
                "the unit of calendar() is the str 'year'; give one of "
                '"hour", "day", "week", "month"',
                "the zone of calendar() is the str 'Europe/Barlin', which is not known here; give "
                'a name such as "Europe/Berlin"; the package tzdata has all of them',
            ],
        ),
        (
            count_windows(0).with_slide(3).partial("keep"),
            COUNT,
            [
                "n of count_windows() is the int 0; give an integer of at least 1",
                "the slide of 3 records is longer than the window of 1; give a slide of at most "
                "the window",
                'the choice of partial() is the str \'keep\'; give "drop" or "emit"',
            ],
        ),
        (
            tumbling(10).with_late_data_policy("sides"),
            COUNT,
            [
                "the policy of with_late_data_policy() is the str 'sides'; give one of "
                '"drop", "side", "update", "fire-per-message", "place-in-oldest-window"'
            ],
        ),
        (
            tumbling(10).with_delay(1).with_delay(2),
            COUNT,
            ["with_delay() is used twice; keep one of them"],
        ),
        (
            tumbling(10).with_late_data_policy("update"),
            COUNT,
            ['the late policy "update" has no allow_late(); say for how long'],
        ),
        (
            tumbling(10).allow_late(5),
            COUNT,
            [
                'allow_late() goes only with the late policy "update"; add '
                'with_late_data_policy("update")'
            ],
        ),
        (
            session(10).with_late_data_policy("place-in-oldest-window"),
            COUNT,
            [
                'the late policy "place-in-oldest-window" does not go with session(); its windows '
                "belong to a key; choose another policy"
            ],
        ),
        (
            count_windows(3).with_delay(5),
            COUNT,
            [
                "with_delay() does not go with count_windows(); its records are never late; leave "
                "it out"
            ],
        ),
        (
            session(10),
            NO_MERGE,
            [
                "session() is over the aggregation 'mine', which has no merge; give it one, or use "
                "windows that do not share records, such as tumbling()"
            ],
        ),
        (
            sliding(10, 5).until(always),
            COUNT,
            [
                "until() does not go with sliding(): a record is in several windows; use "
                "tumbling() or session()"
            ],
        ),
        (
            count_windows(3).early(every=5),
            COUNT,
            ["early(every=) does not go with count_windows(); leave it out"],
        ),
        (
            ephemeral_windows(5, 5).early(count=5),
            COUNT,
            ["early() does not go with ephemeral_windows(); leave it out"],
        ),
        (
            tumbling(10).early(),
            COUNT,
            ["early() has not exactly one of every and count; give one of them"],
        ),
        (
            tumbling(10).early(count=0),
            COUNT,
            ["count of early() is the int 0; give an integer of at least 1"],
        ),
        (
            tumbling(10).until(lambda key: True).named(""),  # type: ignore[misc,arg-type]
            COUNT,
            [
                "f of until() is called with 2 arguments but is declared (key); declare it (key, "
                "accumulator); further parameters need defaults",
                "the name given to named() is empty; give a string with something in it",
            ],
        ),
        (
            tumbling(0).allow_late(0),
            aggregate.top(0, len),
            [
                "the size of tumbling() is 0; give a longer one",
                "the time of allow_late() is 0; give a longer one",
                "n of aggregate.top() is the int 0; give an integer of at least 1",
                'allow_late() goes only with the late policy "update"; add '
                'with_late_data_policy("update")',
            ],
        ),
    ],
)
def test_each_mistake_is_reported_with_what_to_do(
    windows: WindowsBuilder, aggregation: Any, expected: list[str]
) -> None:
    assert texts_of(windows, aggregation) == expected


def test_an_aggregation_without_merge_goes_with_windows_that_share_nothing() -> None:
    for windows in (tumbling(10), calendar("day"), count_windows(3), global_window()):
        assert spec_of(windows, NO_MERGE).aggregation.merge is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (tumbling(10), "windows are given without an aggregation; end them with .over(...)"),
        (17, "a window is expected and not the int 17; give tumbling(...).over(...)"),
    ],
)
def test_what_is_not_a_window_step_is_refused(given: object, text: str) -> None:
    with pytest.raises(WallarooParameterError, match=r"test_windows\.py") as raised:
        read_windows(given, caller_place())
    assert raised.value.mistakes[0].endswith(text)


def test_the_classes_of_wallaroo_say_the_same_as_the_makers() -> None:
    windows = range_windows(9).with_slide(3).with_delay(4).with_late_data_policy("fire-per-message")
    made = wallaroo.RangeWindows(9, 3, 4, COUNT, "fire-per-message")
    assert made.spec() == windows.over(COUNT).spec()
    assert wallaroo.CountWindows(3, COUNT).spec() == count_windows(3).over(COUNT).spec()


def test_the_classes_of_wallaroo_report_their_mistakes() -> None:
    made = wallaroo.RangeWindows(2, 3, 0, COUNT, "never")
    assert [each.partition(": ")[2].partition(";")[0] for each in made.mistakes] == [
        "slide (3e-09 s) is longer than the range (2e-09 s)",
        "the policy of with_late_data_policy() is the str 'never'",
    ]
    with pytest.raises(WallarooParameterError, match="n of count_windows"):
        wallaroo.CountWindows(0, COUNT).spec()
