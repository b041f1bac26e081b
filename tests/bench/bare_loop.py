"""The limit: the functions of an application called in one process, without any runtime.

Started as a process of its own by the benchmark, with the application's module, a sample file, the
size of a frame in it, the number of records, and the application's arguments; prints CPU seconds.
"""

import importlib
import sys
import time
from itertools import cycle, islice
from pathlib import Path

HEADER_BYTES = 4
BATCH_RECORDS = 10_000


def main() -> None:
    """Run the application's own functions over the file's payloads."""
    sys.path.insert(0, str(Path(__file__).with_name("applications")))
    module, sample, frame_bytes, record_count = sys.argv[1:5]
    bare = importlib.import_module(module).Bare(sys.argv[5:])
    size = int(frame_bytes)
    data = Path(sample).read_bytes()[: size * int(record_count)]
    source = cycle(
        [data[start + HEADER_BYTES : start + size] for start in range(0, len(data), size)]
    )
    remaining = int(record_count)
    used_s = 0.0
    while remaining:
        # As from a socket, payloads are new objects in every batch.
        batch = islice(source, min(remaining, BATCH_RECORDS))
        payloads = [bytes(bytearray(payload)) for payload in batch]
        remaining -= len(payloads)
        started_s = time.process_time()
        bare.run(payloads)
        used_s += time.process_time() - started_s
    sys.stdout.write(f"{used_s}\n")


if __name__ == "__main__":
    main()
