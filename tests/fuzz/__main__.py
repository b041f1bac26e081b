"""``make fuzz``: many inputs to every port of a running cluster."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import GROWTH_MB_MAX, fuzzed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report, growth = fuzzed(Path(folder), options.inputs, options.seed)
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"seed {options.seed}, {took_s:.0f} s\n")
    for name, counts in (("port", report.by_port), ("kind", report.by_kind)):
        for what, count in sorted(counts.items()):
            sys.stdout.write(f"  {name} {what}: {count}\n")
    sys.stdout.write(f"  ended by the other side: {report.refused}\n")
    sys.stdout.write(f"  growth of memory by process, MB: {growth}\n")
    if max(growth.values()) > GROWTH_MB_MAX:
        sys.stdout.write(f"memory grew by more than {GROWTH_MB_MAX} MB\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
