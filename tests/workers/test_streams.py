"""Standard streams that are closed become the null device before anything takes their numbers."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from wallaroo_workers.streams import open_missing_streams
open_missing_streams()
assert sys.stdin.read() == ""
print("to stdout")
print("to stderr", file=sys.stderr)
taken = [os.stat(number).st_rdev == os.stat(os.devnull).st_rdev for number in (0, 1, 2)]
number = os.open(os.devnull, os.O_RDONLY)
assert number > 2, number
assert subprocess.run(["sh", "-c", "cat; echo to >&1; echo to >&2"]).returncode == 0
os._exit(sum(is_null << number for number, is_null in enumerate(taken)))
""".replace("import os, sys", "import os, subprocess, sys")


@pytest.mark.parametrize("closed", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_closed_ones_are_opened_and_others_are_left_alone(closed: tuple[int, ...]) -> None:
    closing = " ".join(f"{number}{'<' if number == 0 else '>'}&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, PROGRAM],
        input=b"",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == sum(1 << number for number in closed), done.stderr
    assert (b"to stdout" in done.stdout) == (1 not in closed)
    assert (b"to stderr" in done.stderr) == (2 not in closed)
