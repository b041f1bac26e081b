"""A long pause of the sources is logged, and then again from time to time."""

from wallaroo_workers.pause_watch import PauseWatch


def test_a_short_pause_is_not_logged() -> None:
    watch = PauseWatch()
    assert watch.poll(0.0, is_paused=True) is None
    assert watch.poll(4.9, is_paused=True) is None
    assert watch.poll(5.0, is_paused=False) is None


def test_a_long_pause_is_logged_after_five_seconds_and_every_ten() -> None:
    watch = PauseWatch()
    logged = [now for now in range(40) if watch.poll(float(now), is_paused=True) is not None]
    assert logged == [5, 15, 25, 35]


def test_the_result_is_how_long_the_pause_has_lasted() -> None:
    watch = PauseWatch()
    watch.poll(100.0, is_paused=True)
    assert watch.poll(107.0, is_paused=True) == 7.0


def test_each_pause_is_counted_anew() -> None:
    watch = PauseWatch()
    watch.poll(0.0, is_paused=True)
    watch.poll(4.0, is_paused=False)
    watch.poll(5.0, is_paused=True)
    assert watch.poll(9.0, is_paused=True) is None
    assert watch.poll(10.0, is_paused=True) == 5.0
