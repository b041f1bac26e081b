"""A process that ran code of the application ends, with its status, whatever that code left."""

import subprocess
import sys
import time

import pytest

from wallaroo_workers.ending import exit_status

GRACE_S = 0.1
"""Far shorter than that of a run, since each of these tests waits for it."""
WAIT_S = 20

LEFT = {
    "a thread that never ends": "threading.Thread(target=threading.Event().wait).start()",
    "a function for the end that waits": "atexit.register(threading.Event().wait)",
    "an executor that is busy": """
executor = concurrent.futures.ThreadPoolExecutor(1)
executor.submit(threading.Event().wait)
""",
    "a child that is waited for": """
multiprocessing.get_context("fork").Process(target=threading.Event().wait).start()
""",
    "nothing": "",
}


@pytest.mark.parametrize("left", LEFT.values(), ids=list(LEFT))
@pytest.mark.parametrize("status", [0, 4])
def test_it_ends(left: str, status: int) -> None:
    program = f"""
import atexit, concurrent.futures, multiprocessing, sys, threading
from wallaroo_workers import ending
from wallaroo_workers.forks import guard_forks
guard_forks()
ending.GRACE_S = {GRACE_S}
with ending.ending_in_time():
    {"".join(line + chr(10) + "    " for line in left.strip().splitlines())}
    print("printed", end="")
    sys.exit({status})
"""
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == b"printed"
    assert time.monotonic() - started_s < WAIT_S


def test_what_ends_in_time_ends_by_itself() -> None:
    program = """
import atexit, sys
from wallaroo_workers.ending import ending_in_time
atexit.register(print, "closed")
with ending_in_time(lambda: print("cut off")):
    sys.exit("a text")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"closed\n", b"a text\n")


@pytest.mark.parametrize(
    ("code", "status"), [(None, 0), (0, 0), (3, 3), (256 + 7, 7), (-1, 255), ("why", 1), (True, 1)]
)
def test_the_status_is_what_python_makes_of_it(code: object, status: int) -> None:
    assert exit_status(SystemExit(code)) == status
