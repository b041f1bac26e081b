"""``make fuzz``: many inputs to every port of running clusters, with TLS and without."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import GROWTH_MB_MAX, KINDS, fuzzed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", choices=KINDS, help="this kind of cluster alone")
    options = parser.parse_args()
    kinds = [options.only] if options.only else list(KINDS)
    shares = sum(KINDS[kind].share for kind in kinds)
    has_grown = False
    for kind in kinds:
        count = round(options.inputs * KINDS[kind].share / shares)
        has_grown |= _fuzz(kind, count, options.seed)
    return int(has_grown)


def _fuzz(kind: str, count: int, seed: int) -> bool:
    """Fuzz one cluster and print the counts; return whether its memory grew too much."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report, growth = fuzzed(Path(folder), kind, count, seed)
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{kind}: {count} inputs, seed {seed}, {took_s:.0f} s\n")
    for name, counts in (("port", report.by_port), ("kind", report.by_kind)):
        for what, number in sorted(counts.items()):
            sys.stdout.write(f"  {name} {what}: {number}\n")
    sys.stdout.write(f"  ended by the other side: {report.refused}\n")
    sys.stdout.write(f"  growth of memory by process, MB: {growth}\n")
    has_grown = max(growth.values()) > GROWTH_MB_MAX
    if has_grown:
        sys.stdout.write(f"  memory grew by more than {GROWTH_MB_MAX} MB\n")
    sys.stdout.flush()
    return has_grown


if __name__ == "__main__":
    sys.exit(main())
