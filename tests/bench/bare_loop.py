"""The limit: the functions of an application called in one process, without any runtime.

Started as a process of its own by the benchmark: ``bare_loop.py FILE RECORD_COUNT`` prints the CPU
seconds that the records took.
"""

import importlib
import sys
import time
from itertools import cycle, islice
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "alphabet"
FRAME_BYTES = 9
HEADER_BYTES = 4
BATCH_RECORDS = 10_000


def main() -> None:
    """Run the alphabet application's own functions over the file's payloads."""
    sys.path.insert(0, str(EXAMPLE))
    alphabet = importlib.import_module(EXAMPLE.name)
    decode = alphabet.decode_votes.function
    partition = alphabet.letter_of.function
    compute = alphabet.add_votes.function
    encode = alphabet.encode_votes.function
    create = alphabet.TotalVotes
    data = Path(sys.argv[1]).read_bytes()
    frames = [data[start : start + FRAME_BYTES] for start in range(0, len(data), FRAME_BYTES)]
    source = cycle([frame[HEADER_BYTES:] for frame in frames])
    states: dict[str, object] = {}
    remaining = int(sys.argv[2])
    used_s = 0.0
    while remaining:
        # As from a socket, payloads are new objects in every batch.
        payloads = [bytes(bytearray(p)) for p in islice(source, min(remaining, BATCH_RECORDS))]
        remaining -= len(payloads)
        output = []
        started_s = time.process_time()
        for payload in payloads:
            record = decode(payload)
            key = partition(record)
            state = states.get(key)
            if state is None:
                state = states[key] = create()
            total, _ = compute(record, state)
            output.append(encode(total))
        used_s += time.process_time() - started_s
    sys.stdout.write(f"{used_s}\n")


if __name__ == "__main__":
    main()
