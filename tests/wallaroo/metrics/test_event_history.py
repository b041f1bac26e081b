"""The event history: bounded, short, and in values that every format can hold."""

import json

import msgpack

from wallaroo.metrics.event_history import EVENTS_KEPT, TEXT_CHARACTERS_MAX, EventHistory


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def test_an_entry_has_its_time_kind_level_text_and_facts() -> None:
    events = EventHistory(Clock())
    events.add("worker.lost", "worker w2 was lost", {"worker": "w2", "epoch": 3}, level="warning")
    assert events.newest() == [
        {
            "unix_s": 101.0,
            "last_unix_s": 101.0,
            "count": 1,
            "kind": "worker.lost",
            "level": "warning",
            "text": "worker w2 was lost",
            "facts": {"worker": "w2", "epoch": 3},
        }
    ]


def test_what_happens_again_and_again_is_one_entry_with_a_count() -> None:
    events = EventHistory(Clock())
    events.add("cluster.resized", "resized")
    for _ in range(3 * EVENTS_KEPT):
        events.add("checkpoint.failed", "a checkpoint failed: the disk is full")
    first, failed = events.newest()
    assert first["kind"] == "cluster.resized"
    assert failed["count"] == 3 * EVENTS_KEPT
    assert failed["last_unix_s"] - failed["unix_s"] == 3 * EVENTS_KEPT - 1


def test_the_newest_are_kept() -> None:
    events = EventHistory(Clock())
    for number in range(EVENTS_KEPT + 7):
        events.add("worker.lost", f"loss {number}")
    kept = events.newest()
    assert len(kept) == EVENTS_KEPT
    assert kept[-1]["text"] == f"loss {EVENTS_KEPT + 6}"
    assert [each["text"] for each in events.newest(2)] == [each["text"] for each in kept[-2:]]
    assert events.newest(0) == []


def test_facts_of_any_shape_and_length_can_be_written_everywhere() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError("no")

    events = EventHistory(Clock())
    facts = {
        "big": 10**5000,
        "edge": 1 << 70,
        "nan": float("nan"),
        "inf": float("-inf"),
        "long": "x" * 3_000_000,
        "surrogate": "\ud800",
        "bytes": b"\xff" * 9999,
        "names": ["w1", "w2"],
        "odd": Odd(),
        "mixed": [1, Odd()],
        "flag": True,
        "nothing": None,
    }
    events.add("journals.lost", "y" * 100_000, facts)
    (entry,) = events.newest()
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert msgpack.unpackb(msgpack.packb(entry)) == entry
    assert len(entry["text"]) == TEXT_CHARACTERS_MAX
    assert len(json.dumps(entry)) < 6000
    assert entry["facts"]["names"] == "w1, w2"
    assert entry["facts"]["flag"] is True
