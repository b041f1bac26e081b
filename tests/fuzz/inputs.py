"""What any peer may send to ports inside a cluster, and to sources, drawn from one seed."""

import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path

import msgpack

from tests.fuzz.said import Said, flipped
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.wire.agents import Offer, StartProcess
from wallaroo.wire.control import (
    Checkpoint,
    ControlFrame,
    Drain,
    Failed,
    Join,
    Pulse,
    RequestStop,
    Stop,
    encode_control_frame,
)
from wallaroo.wire.data_frames import (
    Ack,
    Barrier,
    BatchFrame,
    DataFrame,
    LinkHello,
    LinkWelcome,
    encode_data_frame,
)
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES

BYTES_MAX = 20_000


class Mark:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str, int], int], tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT | os.O_WRONLY)


class MemberInputs:
    """Draws inputs; ``hello`` is what a member of the cluster once said, to be said again."""

    def __init__(self, seed: int, mark: Path, hello: bytes) -> None:
        self._chance = random.Random(seed)
        self._pickle = pickle.dumps(Mark(mark))
        self._hello = hello
        self._frames = _frames(self._pickle)
        self.kinds: dict[str, Callable[[], bytes]] = {
            "nothing": bytes,
            "random bytes": self._random,
            "half a hello": lambda: MAGIC[: self._chance.randrange(1, len(MAGIC) + 1)],
            "a hello without proof": lambda: self._opening(),
            "a wrong proof": lambda: self._opening() + self._bytes(PROOF_BYTES),
            "a hello said before": lambda: self._hello,
            "a changed hello": lambda: flipped(self._chance, self._hello),
            "frames behind a hello": lambda: self._opening() + self._some_frames(),
            "frames without hello": self._some_frames,
            "changed frames": lambda: flipped(self._chance, self._some_frames()),
            "a great length": lambda: struct.pack(">I", self._chance.randrange(1 << 28, 1 << 32)),
            "a great length behind a hello": lambda: self._opening() + b"\xff" * 64,
            "pickle": lambda: self._pickle,
            "a frame of pickle": lambda: struct.pack(">I", len(self._pickle)) + self._pickle,
            "TLS": lambda: b"\x16\x03\x01" + self._random(),
            "HTTP": lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + self._random(),
            "deep msgpack": lambda: struct.pack(">I", 10_000) + b"\x91" * 10_000,
        }

    def draw(self) -> Said:
        """Return the next input."""
        kind = self._chance.choice(list(self.kinds))
        return Said(kind, self.kinds[kind]())

    def _bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)

    def _random(self) -> bytes:
        return self._bytes(int(BYTES_MAX ** self._chance.random()))

    def _opening(self) -> bytes:
        return MAGIC + self._bytes(NONCE_BYTES)

    def _some_frames(self) -> bytes:
        return b"".join(self._chance.choices(self._frames, k=self._chance.randrange(1, 8)))


def _frames(poison: bytes) -> list[bytes]:
    """Frames as members send them, in a state in which nobody may send any."""
    epoch, worker = Epoch(1), WorkerName("w1")
    control: list[ControlFrame] = [
        Join(epoch, worker, 1, "127.0.0.1:1", ["application"]),
        Failed(epoch, worker, "stop", "", 1),
        RequestStop(epoch),
        Pulse(epoch, worker),
        Stop(epoch),
        Drain(epoch, CheckpointId(1)),
        Checkpoint(epoch, CheckpointId(1)),
        Offer(Epoch(0), WorkerName("far"), "host", "instance", ["application"], 1, "zone"),
        StartProcess(epoch, WorkerName("far")),
    ]
    data: list[DataFrame] = [
        LinkHello(WorkerName("w2"), epoch, worker, epoch),
        LinkWelcome(0, True),
        BatchFrame(1, EdgeId(0), 1, 1, poison),
        Barrier(1, epoch, CheckpointId(1), EdgeId(0)),
        Ack(1 << 60),
    ]
    odd = [msgpack.packb([99, 1]), msgpack.packb([1]), msgpack.packb({1: 2}), b"", b"\x03"]
    return [
        *map(encode_control_frame, control),
        *map(encode_data_frame, data),
        *(struct.pack(">I", len(content)) + content for content in odd),
    ]
