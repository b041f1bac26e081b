"""What clients may send to the original's external channel, drawn from one seed.

It asks for no secret, and its messages do what they say: stop, shrink, note in the log. So those
that ask for something are left out; what is here has no effect on a cluster that works.
"""

import json
import random
import struct

from tests.fuzz.said import Inputs, Said, flipped
from wallaroo.wire.external import (
    LENGTH,
    REQUEST_BYTES_MAX,
    ExternalId,
    ExternalMessage,
    encode_external,
)

WITH_EFFECT = frozenset(
    {
        ExternalId.CLEAN_SHUTDOWN,
        ExternalId.SHRINK_REQUEST,
        ExternalId.ROTATE_LOG,
        ExternalId.REPORT_STATUS,
    }
)
SHRINKS = (
    *("", "no JSON", "[]", "7", "null", "[" * 30_000, '{"node_count": ' + "9" * 5_000 + "}"),
    json.dumps({"query": True}),
    json.dumps({"query": False, "node_names": ["nobody"], "node_count": 1}),
    json.dumps({"query": False, "node_names": ["initializer"]}),
    json.dumps({"query": False, "node_names": {"initializer": 1}}),
    json.dumps({"query": False, "node_names": ["\ud800"]}),
    json.dumps({"query": False, "node_names": [[]]}),
    json.dumps({"query": False, "node_count": -1}),
    json.dumps({"query": False, "node_count": 1e400}),
)
"""Shrink nothing."""
PIPELINED = 200


class ExternalInputs:
    """Messages, whole and broken; and what ``others`` draws, which are none."""

    def __init__(self, seed: int, others: Inputs) -> None:
        self._chance = random.Random(seed)
        self._others = others
        self._ids = [each for each in ExternalId if each not in WITH_EFFECT]

    def draw(self) -> Said:
        """Return the next input."""
        said = self._others.draw() if self._chance.random() < 0.2 else self._drawn()
        # A bit that changed may have made another message.
        return said if _is_harmless(said.data) else self.draw()

    def _drawn(self) -> Said:
        kind, data = self._chance.choice(
            [
                ("a question", self._message),
                ("many questions at once", lambda: self._message() * PIPELINED),
                ("a changed question", lambda: flipped(self._chance, self._message())),
                ("half a question", lambda: self._message()[: self._chance.randrange(6)]),
                ("a shrink of nothing", self._shrink),
                ("an id that is none", self._unknown),
                ("a text that is none", self._no_text),
                ("a great length", self._great_length),
                ("no messages", lambda: bytes(4 * self._chance.randrange(2_000))),
            ]
        )
        return Said(f"external: {kind}", data())

    def _message(self) -> bytes:
        text = self._chance.choice(["", "text", "\x00\x1b[2J", "ü" * 1_000])
        return encode_external(ExternalMessage(self._chance.choice(self._ids), text))

    def _shrink(self) -> bytes:
        text = self._chance.choice(SHRINKS)
        return encode_external(ExternalMessage(ExternalId.SHRINK_REQUEST, text))

    def _unknown(self) -> bytes:
        number = self._chance.choice([0, 27, 255, 256, 0xFFFF])
        return LENGTH.pack(2) + struct.pack(">H", number)

    def _no_text(self) -> bytes:
        content = struct.pack(">H", ExternalId.PRINT) + b"\xff\xfe"
        return LENGTH.pack(len(content)) + content

    def _great_length(self) -> bytes:
        return LENGTH.pack(self._chance.randrange(REQUEST_BYTES_MAX + 1, 1 << 32)) + b"\x00" * 99


def _is_harmless(data: bytes) -> bool:
    """Whether no message in ``data`` asks for something; shrinks of nothing are known."""
    while len(data) >= LENGTH.size + 2:
        (length,) = LENGTH.unpack_from(data)
        frame, data = data[: LENGTH.size + length], data[LENGTH.size + length :]
        (number,) = struct.unpack_from(">H", frame, LENGTH.size) if length > 1 else (0,)
        is_known = frame[LENGTH.size + 2 :].decode("utf-8", "replace") in SHRINKS
        if number in WITH_EFFECT and not (number == ExternalId.SHRINK_REQUEST and is_known):
            return False
    return True
