"""Two commits are compared by pairs, and a row is worse only if most of them say so."""

import pytest

from tests.bench.comparison import Comparison, rows_in, rows_to_compare
from tests.bench.options import all_rows, parser_of
from tests.bench.rows.row import Result

HELP = """usage: python -m tests.bench [-h]

options:
  --only NAME  a row: or a group of 'rows'

rows: cost: '1 worker', '2 workers, 8 connections'; one by one: 'work'; recovery: 'recovery, 9 keys'
"""


def ratios(here: list[float], there: list[float]) -> Comparison:
    return Comparison(
        name="1 worker", group="cost", unit="times the CPU of the bare loop",
        more_is_better=False, here=here, there=there,
    )  # fmt: skip


def test_ratios_are_compared_by_their_difference() -> None:
    assert ratios([1.15, 1.25], [1.125, 1.25]).differences == pytest.approx([0.025, 0.0])


def test_other_units_are_compared_as_a_share_of_the_other_commit() -> None:
    memory = Comparison(
        name="memory", group="one by one", unit="bytes a key", more_is_better=False,
        here=[150.0], there=[120.0],
    )  # fmt: skip
    assert memory.differences == [0.25]
    assert memory.as_json()["difference_of"] == "shares"


def test_less_of_what_should_be_much_is_worse() -> None:
    work = Comparison(
        name="work", group="one by one", unit="times the throughput: 2 workers against 1",
        more_is_better=True, here=[1.5, 1.5], there=[1.75, 1.75],
    )  # fmt: skip
    assert work.differences == [0.25, 0.25]
    assert work.verdict == "worse"


def test_pairs_are_compared_one_by_one_and_not_the_medians_of_both_sides() -> None:
    # The machine was twice as slow in each second round, for both commits.
    here, there = [1.03, 2.03, 1.03, 2.03], [1.0, 2.0, 1.0, 2.0]
    assert ratios(here, there).verdict == "worse"
    assert ratios([1.0, 2.0, 1.0, 2.0], [2.0, 1.0, 2.0, 1.0]).verdict == "same"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.03, 0.03, 0.03], "worse"),
        ([0.01, 0.03, 0.05], "worse"),
        ([0.02, 0.02, 0.02], "same"),  # not above 0.02
        ([-0.05, 0.0, 0.03, 0.04, 0.05], "same"),  # the lower quartile is not above 0
        ([-0.05, 0.001, 0.03, 0.04, 0.05], "worse"),
        ([-0.03, -0.03, -0.03], "better"),
        ([-0.05, -0.04, -0.03, 0.0, 0.05], "same"),
        ([0.0, 0.0, 0.0], "same"),
    ],
)
def test_worse_is_a_median_above_the_noise_on_which_most_pairs_agree(
    differences: list[float], verdict: str
) -> None:
    # Beside 0, so that no rounding moves a difference over a limit.
    assert ratios(differences, [0.0] * len(differences)).verdict == verdict


def test_programs_read_the_pairs_and_what_follows_from_them() -> None:
    told = ratios([1.5, 1.5], [1.0, 1.25]).as_json()
    assert (told["verdict"], told["pair_count"]) == ("worse", 2)
    assert (told["rounds_here"], told["rounds_there"]) == ([1.5, 1.5], [1.0, 1.25])
    assert (told["here"], told["there"]) == (1.5, 1.125)
    assert told["difference"]["median"] == 0.375


def test_a_result_says_what_a_comparison_needs() -> None:
    told = Result(name="work", group="g", unit="u", values=[1.0], more_is_better=True).as_json()
    assert {"name", "group", "unit", "median", "more_is_better"} <= told.keys()


def test_rows_are_read_from_the_help_of_a_commit() -> None:
    assert rows_in(HELP) == {
        "1 worker": "cost",
        "2 workers, 8 connections": "cost",
        "work": "one by one",
        "recovery, 9 keys": "recovery",
    }


def test_the_rows_of_this_checkout_are_read_from_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000000")
    rows = all_rows()
    assert rows_in(parser_of(rows).format_help()) == {row.name: row.group for row in rows}


def test_rows_that_one_commit_alone_has_are_left_out_and_named() -> None:
    here = {"old": "cost", "new": "cost", "other": "growth"}
    there = {"old": "cost", "gone": "cost", "gone too": "growth"}
    assert rows_to_compare(here, there, ["cost"]) == (
        ["old"],
        {"new": "only in this checkout", "gone": "only in the other commit"},
    )
    assert rows_to_compare(here, there, ["gone too"]) == (
        [],
        {"gone too": "only in the other commit"},
    )


def test_a_name_that_neither_commit_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no row and no group of either commit: cots"):
        rows_to_compare({"old": "cost"}, {"old": "cost"}, ["cost", "cots"])
