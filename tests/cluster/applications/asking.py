"""Asks about each number of a source with partitions, and notes each in the file ``out``.

Arguments: how many partitions there are, how many numbers each has, and how it is asked: ``async``
by a call that takes a while, ``thread`` in batches in a thread, ``batch`` in batches at once. With
``broken`` the resource of the step cannot be made; the folder has a file ``made-PID-NUMBER`` for
each resource that was made, and ``closed-PID`` for each that was closed.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import partitions
import wallaroo
from shared_codecs import encode_text

BROKEN: list[str] = []
FOLDER = Path.cwd()

Record = tuple[str, int]


@wallaroo.resource
async def service() -> AsyncIterator[str]:
    await asyncio.sleep(0)
    if BROKEN:
        raise OSError("there is no such service")
    made = len([*FOLDER.glob(f"made-{os.getpid()}-*")])
    (FOLDER / f"made-{os.getpid()}-{made}").touch()
    yield "service"
    (FOLDER / f"closed-{os.getpid()}").touch()


@wallaroo.computation_async("ask", capacity=50, service=service)
async def ask(record: Record, service: str) -> Record:
    await asyncio.sleep(0.001 * (len(str(record)) % 7))
    return record


@wallaroo.computation_batch("ask in a thread", in_thread=True, service=service)
def ask_in_thread(records: list[Record], service: str) -> list[Record]:
    return records


@wallaroo.computation_batch("ask many", max_size=20, service=service)
def ask_many(records: list[Record], service: str) -> list[Record]:
    return records


@wallaroo.state_computation("note")
def note(record: Record, seen: set[int]) -> tuple[str, bool]:
    is_new = record[1] not in seen
    seen.add(record[1])
    return f"{record[0]}.{record[1]}" if is_new else f"{record} again", True


def application_setup(args: list[str]) -> wallaroo.Application:
    partition_count, number_count, *chosen = [each for each in args[1:] if not each.startswith("-")]
    BROKEN[:] = [each for each in chosen if each == "broken"]
    step: Any = ask_in_thread if "thread" in chosen else ask_many if "batch" in chosen else ask
    source = partitions.Numbers(int(partition_count), int(number_count), set())
    builder = wallaroo.ApplicationBuilder("asking").new_pipeline("numbers", source).to(step)
    builder = builder.to_state_partition(note, set, "seen", partitions.key_of)
    return builder.to(step).to_sink(wallaroo.FileSinkConfig("out", encode_text)).build()
