"""Parts payloads by the owners of their keys, before anything is decoded.

If a source's first exchange is keyed by something in the payload, its records are decoded once, by
the owner of the key. The splitter finds the keys of a slice of payloads, appends those of other
workers to the lists that travel, and returns this worker's own, for the chain behind the exchange.
"""

from typing import Any

from wallaroo.operators.routes import Routes
from wallaroo.routing.keys import canonical_key
from wallaroo.routing.payload_keys import PayloadKey


class KeySplitter:
    """The keys of one source's payloads, for one membership."""

    def __init__(self, key: PayloadKey, routes: Routes[list[Any]]) -> None:
        self._key_of = key.key_of
        self._known = routes.known
        self._find = routes.find
        self._bad: list[tuple[bytes, BaseException]] = []
        compiled = routes.compiled_splitter(key, self._split_one)
        self._split = self._split_each if compiled is None else compiled.split

    def split(
        self, payloads: list[bytes]
    ) -> tuple[list[Any], list[bytes], list[tuple[bytes, BaseException]]]:
        """Return keys and payloads of this worker's records, and payloads that have no key."""
        keys: list[Any] = []
        own: list[bytes] = []
        self._split(payloads, keys, own)
        bad, self._bad = self._bad, []
        return keys, own, bad

    def _split_each(self, payloads: list[bytes], keys: list[Any], own: list[bytes]) -> None:
        for payload in payloads:
            self._split_one(payload, keys, own)

    def _split_one(self, payload: bytes, keys: list[Any], own: list[bytes]) -> None:
        try:
            key = canonical_key(self._key_of(payload))
            known = self._known
            out = known[key] if key in known else self._find(key)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is this record's failure
            self._bad.append((payload, error))
            return
        if out is None:
            keys.append(key)
            own.append(payload)
        else:
            out.append(key)
            out.append(payload)
