"""What unauthenticated peers may send to workers' Unix sockets, with descriptors beside it."""

import random
import struct

from tests.fuzz.said import Inputs, Said, flipped
from wallaroo.names import WorkerName
from wallaroo.wire.connection_handover import LENGTH, encode_batch, encode_offer
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES

FILES_MAX = 253
"""As many as Linux lets go with one byte."""


class HandOverInputs:
    """Draws inputs; ``hello`` was once said here by somebody who knows the secret."""

    def __init__(self, seed: int, hello: bytes, others: Inputs) -> None:
        self._chance = random.Random(seed)
        self._hello = hello
        self._others = others

    def draw(self) -> Said:
        """Return the next input."""
        chance = self._chance
        if chance.random() < 0.3:
            return self._others.draw()
        opening = MAGIC + chance.randbytes(NONCE_BYTES)
        hello = chance.choice(
            [b"", opening, opening + chance.randbytes(PROOF_BYTES), self._hello, MAGIC[:5]]
        )
        kind, data = chance.choice(
            [
                ("nothing else", b"x"),
                ("connections", self._connections()),
                ("changed connections", flipped(chance, self._connections())),
                ("connections that are not there", self._connections(least=1)[:-1]),
                ("a great length", struct.pack(">I", chance.randrange(1 << 24, 1 << 32))),
                ("random bytes", chance.randbytes(int(10_000 ** chance.random()))),
            ]
        )
        file_count = chance.choice([0, 1, 2, chance.randrange(1, FILES_MAX + 1)])
        beside = " beside descriptors" if file_count else ""
        return Said(f"hand-over: {kind}{beside}", hello + data, file_count=file_count)

    def _connections(self, least: int = 0) -> bytes:
        """Return an offer and all that it offers."""
        chance = self._chance
        count = chance.randrange(least, 5)
        giver = WorkerName(chance.choice(["w1", "w2", "", "x" * 1_000]))
        offer = encode_offer(chance.randrange(3), giver, 1, chance.choice([count, 1 << 17]))
        batch = encode_batch([(chance.randrange(3), chance.randbytes(9)) for _ in range(count)])
        assert len(batch) > LENGTH.size
        return offer + batch
