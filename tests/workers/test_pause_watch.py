"""A long pause of the sources is reported, and then now and then."""

from wallaroo_workers.pause_watch import PauseWatch


def test_a_short_pause_is_not_reported() -> None:
    watch = PauseWatch()
    assert watch.look(0.0, is_paused=True) is None
    assert watch.look(4.9, is_paused=True) is None
    assert watch.look(5.0, is_paused=False) is None


def test_a_long_pause_is_told_after_five_seconds_and_every_ten() -> None:
    watch = PauseWatch()
    told = [now for now in range(40) if watch.look(float(now), is_paused=True) is not None]
    assert told == [5, 15, 25, 35]


def test_what_is_told_is_how_long_it_has_lasted() -> None:
    watch = PauseWatch()
    watch.look(100.0, is_paused=True)
    assert watch.look(107.0, is_paused=True) == 7.0


def test_each_pause_is_counted_anew() -> None:
    watch = PauseWatch()
    watch.look(0.0, is_paused=True)
    watch.look(4.0, is_paused=False)
    watch.look(5.0, is_paused=True)
    assert watch.look(9.0, is_paused=True) is None
    assert watch.look(10.0, is_paused=True) == 5.0
