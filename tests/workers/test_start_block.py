"""The block of ``wallaroo.start`` when it raises, in a program of its own."""

import subprocess
import sys

PROGRAM = """
import asyncio, contextlib, types
from wallaroo.errors import ClusterError
from wallaroo_workers.embedded import threads

class EndlessRun:
    def __init__(self, *_, **__):
        self.cluster = types.SimpleNamespace(hosts=types.SimpleNamespace(is_ready=asyncio.Event()))

    def run(self, began):
        asyncio.run(self._run(began))

    async def _run(self, began):
        began()
        self.cluster.hosts.is_ready.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ClusterError("the run was ended") from None

async def main():
    with contextlib.suppress(ZeroDivisionError):
        async with threads.start(None, None, is_here=True):
            1 / 0

threads.EmbeddedRun = EndlessRun
asyncio.run(main())
"""


def test_a_block_that_raises_leaves_no_other_error_behind() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
