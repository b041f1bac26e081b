"""A program that runs a cluster inside itself: it keeps its own handlers of signals.

It runs the application ``files`` twice, one run after the other, and prints what each returned.
"""

import asyncio
import os
import signal
import sys
from types import FrameType

from wallaroo_workers import forks
from wallaroo_workers.application import load_plan
from wallaroo_workers.initializer.cluster import ClusterSettings, run_cluster
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.settings import ApplicationSettings, RunOptions

APPLICATIONS = os.path.dirname(os.path.abspath(__file__))

received: list[int] = []


def on_signal(number: int, _frame: FrameType | None) -> None:
    received.append(number)


async def run(folder: str) -> int:
    application = ApplicationSettings(
        module="files",
        paths=[APPLICATIONS],
        folder=folder,
        arguments=["files", "newline"],
    )
    settings = ClusterSettings(
        application=application,
        options=RunOptions(folder=folder, dead_letters=os.path.join(folder, "dead-letters")),
        worker_count=2,
    )
    running = asyncio.ensure_future(run_cluster(load_plan(application), settings, LocalPlacement()))
    os.kill(os.getpid(), signal.SIGTERM)
    return await running


def main() -> None:
    signal.signal(signal.SIGTERM, on_signal)
    folder = os.getcwd()
    for _ in range(2):
        sys.stdout.write(f"status {int(forks.run(run(folder)))}\n")
    is_kept = signal.getsignal(signal.SIGTERM) is on_signal
    sys.stdout.write(f"signals {len(received)} {is_kept}\n")


if __name__ == "__main__":
    main()
