"""The hash of keys is part of the format of checkpoints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from wallaroo.routing.hashing import HASH_BITS, hash_key, hash_text
from wallaroo.routing.keys import canonical_key, key_bytes

# Saved state is found again by these numbers: they must never change.
VECTORS = [
    ("", 0x2D06800538D394C2, b"s"),
    ("hello", 0x9555E8555C62DCFD, b"shello"),
    ("Übergrößenträger", 0xD6D2603637156DE9, "sÜbergrößenträger".encode()),
    ("\ud800", 0xDAAB8382539269D0, b"s\xed\xa0\x80"),
    (b"", 0x4DC5B0CC826F6703, b"b"),
    (b"hello", 0x74B07ED397A89E92, b"bhello"),
    (0, 0x13C3C355E8DED66A, b"i\x00"),
    (1, 0xC4FC391C4265CFCE, b"i\x01"),
    (-1, 0x69AC43B1FE168C79, b"i\xff"),
    (2**63 - 1, 0x945451A359CF4F4A, b"i\x7f" + b"\xff" * 7),
    (2**63, 0xB7659DB64252725E, b"i\x00\x80" + bytes(7)),
    (-(2**200), 0xB99769A9F2A355AD, b"i\xff" + bytes(25)),
    (True, 0x160040C7CF5D538C, b"?\x01"),
    (False, 0x383716D5A536FCCC, b"?\x00"),
    ((), 0xECC5982FAC95FF46, b"t" + bytes(4)),
    ((1, "a"), 0x12FF62A645B99BBC, b"t\0\0\0\x02\0\0\0\x02i\x01\0\0\0\x02sa"),
    ((True,), 0xADDD49B5616B6D4D, b"t\0\0\0\x01\0\0\0\x02?\x01"),
]


@pytest.mark.parametrize(("key", "number", "data"), VECTORS)
def test_hashes_and_bytes_are_the_same_for_ever(key: object, number: int, data: bytes) -> None:
    canonical = canonical_key(key)
    assert hash_key(canonical) == number
    assert key_bytes(canonical) == data


def test_look_alikes_have_hashes_of_their_own() -> None:
    assert len({number for _, number, _ in VECTORS}) == len(VECTORS)


@given(st.text("ab\0éß€語😀"))
def test_text_hashes_as_the_plain_xxh3_of_its_utf8(text: str) -> None:
    assert hash_key(text) == hash_text(text) == xxh3_64_intdigest(text.encode())


def test_integers_of_every_size_have_hashes_of_their_own() -> None:
    near_powers = {
        sign * 2**power + step
        for sign in (-1, 1)
        for power in (*range(70), 127, 128, 1000)
        for step in (-1, 0, 1)
    }
    assert len({hash_key(number) for number in near_powers}) == len(near_powers)


def test_hashes_fill_their_range_evenly() -> None:
    keys = [f"key-{number}" for number in range(20_000)]
    buckets = [0] * 64
    for key in keys:
        number = hash_key(key)
        assert 0 <= number < 2**HASH_BITS
        buckets[number % 64] += 1
    mean = len(keys) / 64
    assert 0.75 * mean < min(buckets) <= max(buckets) < 1.25 * mean
