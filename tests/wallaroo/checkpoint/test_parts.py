"""Parts: keys and states there and back, and errors that name the key or the place."""

import pickle
import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.blocks import encode_block
from wallaroo.checkpoint.manifest import PartRef
from wallaroo.checkpoint.parts import (
    PART_HEADER,
    encode_chunk,
    pickle_state,
    read_chunks,
    read_part,
)
from wallaroo.checkpoint.pickling import PickledState, StatePickler
from wallaroo.checkpoint.unpickling import Unreadable
from wallaroo.errors import DamagedFileError, StateObjectError
from wallaroo.names import CheckpointId
from wallaroo.operators.saved_state import PaneTag
from wallaroo.routing.keys import Key, TaggedKey, canonical_key
from wallaroo.timing.pane_saving import ChunkKind

leaves = st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=4) | st.binary(max_size=4)
keys = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4).map(
    canonical_key
)
chunks = st.lists(
    st.dictionaries(keys, st.integers() | st.lists(st.text())) | st.dictionaries(st.text(), leaves),
    max_size=4,
)


class Total:
    def __init__(self, count: int) -> None:
        self.count = count


def part_of(*contents: dict[Key, object]) -> bytes:
    encoded = [
        encode_chunk(list(some), list(some.values()), "totals", StatePickler()) for some in contents
    ]
    return PART_HEADER + b"".join(encoded)


@given(chunks)
def test_keys_and_states_come_back(contents: list[dict[Key, object]]) -> None:
    found = list(read_chunks(part_of(*contents), "p"))
    assert [dict(zip(c.keys(), c.states(), strict=True)) for c in found] == contents
    types = [list(map(type, chunk.keys())) for chunk in found]
    assert types == [list(map(type, some)) for some in contents]


def test_keys_that_python_finds_equal_stay_apart() -> None:
    alike: list[Key] = [1, canonical_key(True), (1,), canonical_key((True,)), "1", b"1"]
    (chunk,) = read_chunks(part_of(dict.fromkeys(alike)), "p")
    assert chunk.keys() == alike
    assert isinstance(chunk.keys()[1], TaggedKey)


def test_texts_with_lone_surrogates_are_keys_too() -> None:
    (chunk,) = read_chunks(part_of({"\ud800": 1, "b": 2}), "p")
    assert chunk.keys() == ["\ud800", "b"]


def test_keys_are_read_without_running_code_of_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (chunk,) = read_chunks(part_of({"a": Total(1)}), "p")
    monkeypatch.setattr(pickle, "loads", lambda _: pytest.fail("unpickled"))
    assert chunk.keys() == ["a"]


def test_objects_shared_by_states_of_a_chunk_stay_shared() -> None:
    shared = Total(1)
    (chunk,) = read_chunks(part_of({"a": [shared], "b": [shared]}), "p")
    one, two = chunk.states()
    assert one[0] is two[0]


def test_a_state_that_cannot_be_pickled_is_named_by_its_key() -> None:
    states = [Total(1), {"lock": threading.Lock()}, Total(2)]
    with pytest.raises(StateObjectError, match=r"'totals'.*key \('b', True\).*lock") as caught:
        encode_chunk(["a", canonical_key(("b", True)), "c"], states, "totals", StatePickler())
    assert "locks" in caught.value.hint


class Leaver:
    """Ends the process that saves it, or tries to."""

    def __reduce__(self) -> str:
        raise SystemExit(3)


class Returner:
    """Ends the process that reads it, or tries to."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return sys.exit, (3,)


def test_a_state_that_ends_the_process_when_it_is_pickled_is_one_that_cannot_be() -> None:
    with pytest.raises(StateObjectError, match=r"'totals'.*key 'b'.*SystemExit: 3"):
        encode_chunk(["a", "b"], [Total(1), Leaver()], "totals", StatePickler())


def test_a_state_that_ends_the_process_when_it_is_read_is_one_that_cannot_be() -> None:
    with pytest.raises(StateObjectError, match=r"'totals'.*key 'b'.*unpickled: SystemExit: 3"):
        encode_chunk(["a", "b"], [Total(1), Returner()], "totals", StatePickler())


def test_a_state_that_was_pickled_before_comes_back_as_itself() -> None:
    total = Total(1)
    early = PickledState(pickle_state("a", total, "totals", StatePickler()))
    total.count = 2
    (chunk,) = read_chunks(part_of({"a": early, "b": total}), "p")
    assert [state.count for state in chunk.states()] == [1, 2]


def test_a_state_that_cannot_be_pickled_before_its_chunk_is_named_by_its_key() -> None:
    with pytest.raises(StateObjectError, match=r"'totals'.*key 'b'.*lock"):
        pickle_state("b", threading.Lock(), "totals", StatePickler())


class Lonely:
    """Can be pickled if it is all there is."""

    pickled_count = 0

    def __reduce__(self) -> tuple[object, tuple[()]]:
        Lonely.pickled_count += 1
        if Lonely.pickled_count == 2:
            raise RecursionError("deep")
        return Lonely, ()


def test_states_that_cannot_be_pickled_only_together_are_said_so() -> None:
    Lonely.pickled_count = 0
    with pytest.raises(StateObjectError, match=r"objects of 2 keys together.*RecursionError: deep"):
        encode_chunk(["a", "b"], [Lonely(), Lonely()], "totals", StatePickler())


def test_a_class_that_is_not_found_any_more_leaves_the_other_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = part_of({"a": 1, "b": Total(1), "c": 3})
    monkeypatch.delitem(globals(), "Total")
    (chunk,) = read_chunks(data, "dir/p")
    first, second, third = chunk.states()
    assert (first, third) == (1, 3)
    assert isinstance(second, Unreadable)
    assert "Total" in second.error


def test_a_chunk_has_a_state_for_each_key() -> None:
    with pytest.raises(ValueError, match="its 2 keys"):
        encode_chunk(["a", "b"], [1], "totals", StatePickler())


@pytest.mark.parametrize(
    "body", [b"", b"\x00\x00\x00\x00\x01\x00\x00\x00\x09", b"\x09" + bytes(8)], ids=repr
)
def test_a_block_that_is_not_a_chunk_is_damage(body: bytes) -> None:
    with pytest.raises(DamagedFileError, match="not a chunk"):
        list(read_chunks(PART_HEADER + encode_block(body), "p"))


@pytest.mark.parametrize(
    ("form", "packed"), [(0, b"\x91\xa1a"), (0, b"\x07"), (1, b"\x92\xc4\x01x\xc4\x01s"), (1, b"")]
)
def test_keys_that_are_none_are_damage(form: int, packed: bytes) -> None:
    head = bytes([form]) + (2).to_bytes(4, "big") + len(packed).to_bytes(4, "big")
    (chunk,) = read_chunks(PART_HEADER + encode_block(head + packed), "p")
    with pytest.raises(DamagedFileError, match="chunk"):
        chunk.keys()


def ref(data: bytes, key_count: int) -> PartRef:
    return PartRef("p", CheckpointId(1), 0, len(data), key_count)


def test_a_part_that_is_shorter_than_its_manifest_says_is_damage() -> None:
    """Cut between two blocks, no checksum would tell."""
    whole, short = part_of({"a": 1}, {"b": 2}), part_of({"a": 1})
    assert len(list(read_part(whole, ref(whole, 2), "f"))) == 2
    with pytest.raises(DamagedFileError, match="the manifest knows"):
        list(read_part(short, ref(whole, 2), "f"))
    with pytest.raises(DamagedFileError, match="1 keys, the manifest knows 2"):
        list(read_part(short, replace(ref(whole, 2), byte_count=len(short)), "f"))


# Windows that are stored by time

tags = st.builds(PaneTag, st.sampled_from(ChunkKind), st.integers(-(2**63), 2**63 - 1))


@given(st.dictionaries(keys, st.integers()) | st.dictionaries(st.text(), leaves), tags)
def test_a_chunk_of_a_pane_says_which_and_how(some: dict[Key, object], tag: PaneTag) -> None:
    data = encode_chunk([*some], [*some.values()], "totals", StatePickler(), tag)
    (chunk,) = read_chunks(PART_HEADER + data, "p")
    assert chunk.tag == tag
    assert chunk.keys() == [*some]
    assert chunk.states() == ([] if tag.kind is ChunkKind.DONE else [*some.values()])


def test_a_chunk_of_a_plain_state_is_as_it_was_before_there_were_panes() -> None:
    assert encode_chunk(["a"], [7], "totals", StatePickler())[16:].hex() == (
        "00000000010000000391a161" + pickle.dumps([7], 5).hex()
    )


@pytest.mark.parametrize("body", [b"\x02" + bytes(8), b"\x03" + bytes(16) + b"\x03", b"\x04"])
def test_a_pane_without_a_kind_is_damage(body: bytes) -> None:
    with pytest.raises(DamagedFileError, match="a block is not a chunk"):
        list(read_chunks(PART_HEADER + encode_block(body.ljust(9, b"\x00")), "p"))
