"""How far a state is that is restored from several shares of a checkpoint."""

from wallaroo.operators.saved_state import Progress, restart_of
from wallaroo.timing.instants import BEFORE_ALL, END


def test_the_clock_is_the_highest_that_any_worker_had() -> None:
    assert restart_of([Progress(5, 5), Progress(8, 3)], 0) == Progress(8, 3)


def test_a_clock_at_its_end_begins_anew() -> None:
    assert restart_of([Progress(END, END)], 0) == Progress()


def test_a_clock_whose_last_windows_were_firing_goes_on_from_what_had_fired() -> None:
    assert restart_of([Progress(END, 20), Progress(END, END)], 5) == Progress(25, 20)


def test_shares_before_the_first_watermark_give_no_time() -> None:
    assert restart_of([Progress()], 0) == Progress()
    assert restart_of([Progress(END, BEFORE_ALL)], 0) == Progress()
