"""Names of slots: one for each worker, sink and store, and never too long."""

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.names import SinkId
from wallaroo.worker.slots import SLOT_CHARACTERS_MAX, slot_name

names = st.text("ab.\ud800\u00e9", max_size=400)


def test_a_slot_names_what_it_belongs_to() -> None:
    assert slot_name("letters", "5ca1ab1e", SinkId(2), "w3") == (
        "wallaroo.letters.5ca1ab1e.sink2.w3"
    )


@given(names, names, st.integers(0, 9).map(SinkId), names)
def test_a_slot_is_short_enough_and_the_same_each_time(
    application: str, lineage: str, sink: SinkId, worker: str
) -> None:
    slot = slot_name(application, lineage, sink, worker)
    assert 0 < len(slot) <= SLOT_CHARACTERS_MAX
    assert slot == slot_name(application, lineage, sink, worker)


def test_long_names_differ_where_their_parts_do() -> None:
    long = "a" * 300
    slots = {
        slot_name(long, lineage, SinkId(sink), worker)
        for lineage in ("one", "two")
        for sink in (0, 1)
        for worker in ("w1", "w2")
    }
    assert len(slots) == 8
