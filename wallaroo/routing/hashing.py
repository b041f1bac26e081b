"""The hash that decides the partition of a key.

It is part of the format of every checkpoint: it must return the same number in every process, on
every machine and in every later release, which Python's own ``hash()`` does not. It is xxh3_64
(Yann Collet's XXH3, stable since xxHash 0.8) of the key's content, with a seed for each type. So
``"1"``, ``b"1"`` and ``1`` have different hashes, and common types need no copy of their bytes.
"""

import struct

from xxhash import xxh3_64_intdigest as _xxh3_64

from wallaroo.routing.keys import Key, int_bytes, key_bytes

HASH_BITS = 64

_pack_int64 = struct.Struct(">q").pack

_BYTES_SEED = 1
_INT_SEED = 2
_TAGGED_SEED = 3
"""For the canonical bytes of tuples and bools. The seed of str is 0, the default of xxh3_64."""


def hash_key(key: Key) -> int:
    """Return the stable hash of canonical `key`, in ``range(2**64)``."""
    if isinstance(key, str):
        try:
            return _xxh3_64(key.encode())
        except UnicodeEncodeError:
            return hash_text(key)
    if isinstance(key, bytes):
        return _xxh3_64(key, _BYTES_SEED)
    if isinstance(key, int):
        try:
            return _xxh3_64(_pack_int64(key), _INT_SEED)
        except struct.error:
            # Nine bytes or more, so that no large number has the bytes of a small one.
            return _xxh3_64(int_bytes(key), _INT_SEED)
    return _xxh3_64(key_bytes(key), _TAGGED_SEED)


def hash_text(text: str) -> int:
    """Return the stable hash of `text` as UTF-8, with lone surrogates passed through."""
    return _xxh3_64(text.encode("utf-8", "surrogatepass"))
