"""Keys to outgoing lists, remembered while there is room."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.names import WorkerName
from wallaroo.operators.routes import KEYS_CACHED_MAX, Routes, is_compiled
from wallaroo.routing.keys import canonical_key
from wallaroo.routing.partition_map import PartitionMap

ME, OTHER = WorkerName("me"), WorkerName("other")


@pytest.fixture(params=["compiled", "Python"], autouse=True, scope="module")
def looking_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run everything twice: with the compiled code, if it was built, and without it."""
    if request.param == "compiled" and not is_compiled():
        pytest.skip("built without a compiler")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "Python":
            patch.setattr("wallaroo.operators.routes._compiled", None)
        yield


def routes(declared: tuple[Any, ...] = ("x",)) -> tuple[Routes[list[Any]], PartitionMap, list[Any]]:
    """Return routes of two workers, and the list for the other one."""
    partition_map = PartitionMap.initial("s", 64, declared, [ME, OTHER])
    out: list[Any] = []
    lists = [None if owner == ME else out for owner in partition_map.owners]
    return Routes(partition_map, lists), partition_map, out


def lookup(found: Routes[list[Any]], key: Any) -> list[Any] | None:
    """As a chain does it."""
    out: Any = found.known.get(key, False)
    return found.find(key) if out is False else out


def test_a_key_leads_to_its_owners_list_however_many_keys_came_before() -> None:
    found, partition_map, out = routes()
    for _ in range(2):
        for number in range(KEYS_CACHED_MAX + 100):
            owner = partition_map.owner_of(number)
            assert lookup(found, number) is (None if owner == ME else out)


def test_no_more_keys_are_remembered_than_a_dict_is_quick_with() -> None:
    found, _, _ = routes()
    for number in range(KEYS_CACHED_MAX + 100):
        found.find(number)
    assert [*found.known] == [*range(KEYS_CACHED_MAX)]


def test_a_key_of_this_worker_is_remembered_too() -> None:
    found, partition_map, _ = routes()
    mine = next(number for number in range(100) if partition_map.owner_of(number) == ME)
    assert found.find(mine) is None
    assert found.known == {mine: None}


def test_look_alikes_are_remembered_apart() -> None:
    found, _, _ = routes()
    keys = [canonical_key(key) for key in (True, 1, "1", b"1", (1,), (True,))]
    for key in keys:
        found.find(key)
    assert [*found.known] == keys
    assert len(found.known) == 6


def test_a_declared_key_leads_to_its_own_partition() -> None:
    declared = tuple("abcdefgh")
    found, partition_map, out = routes(declared)
    owners = [partition_map.owners[64 + index] for index in range(8)]
    assert [found.find(key) for key in declared] == [None if o == ME else out for o in owners]


def test_a_key_that_the_state_does_not_take_is_an_error_every_time() -> None:
    partition_map = PartitionMap.initial("s", 0, ["x"], [ME])
    found: Routes[list[Any]] = Routes(partition_map, [None])
    for _ in range(2):
        with pytest.raises(ValueError, match="no partition for the key 'y'"):
            found.find("y")
    assert found.known == {}


plain = (
    st.text(st.characters(exclude_categories=()), max_size=300)
    | st.binary(max_size=300)
    | st.integers()
    | st.sampled_from([-(1 << 63), (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 0, -1, 255, 256])
    | st.booleans()
)
keys = st.recursive(plain, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


@given(st.lists(keys, max_size=20))
def test_every_kind_of_key_goes_where_its_hash_says(written: list[Any]) -> None:
    found, partition_map, out = routes()
    for key in map(canonical_key, written):
        assert lookup(found, key) is (None if partition_map.owner_of(key) == ME else out)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 512, 1025])
def test_text_and_bytes_of_every_length_class_of_the_hash(length: int) -> None:
    found, partition_map, out = routes()
    for key in ("x" * length, "\u00e9" * length, b"x" * length):
        assert lookup(found, key) is (None if partition_map.owner_of(key) == ME else out)
