"""Writes celsius.bin: one frame each for -50.0 to 150.0 degrees in steps of a quarter."""

import struct
from pathlib import Path

FRAME = struct.Struct(">If")
PAYLOAD_BYTES = 4


def main() -> None:
    quarters = range(-50 * 4, 150 * 4 + 1)
    frames = b"".join(FRAME.pack(PAYLOAD_BYTES, quarter / 4) for quarter in quarters)
    Path(__file__).with_name("celsius.bin").write_bytes(frames)


if __name__ == "__main__":
    main()
