"""Applications that run from Python, to their end or while a block controls them."""

import asyncio
import sys
from pathlib import Path

import wallaroo
from wallaroo.testing import TestSink, TestSource


def length_of(word: str) -> int:
    return len(word)


lengths: TestSink = TestSink(name="lengths")
application: wallaroo.Application = wallaroo.build_application(
    "lengths", wallaroo.source("words", TestSource(["a", "bc"])).map(length_of).to_sink(lengths)
)


def run_it(folder: Path) -> int:
    result = wallaroo.run(
        application,
        workers=2,
        resilience_dir=folder,
        checkpoint_interval=0.5,
        on_error="stop",
        log_level="debug",
    )
    errors: list[str] = [failure.error for failure in result.failures]
    return result.record_count - result.failure_count - len(errors)


async def control_it() -> wallaroo.RunResult:
    async with wallaroo.start(application, workers=0, dashboard=None) as cluster:
        port: str = cluster.sources["words"]
        status = await cluster.status()
        await cluster.get("counts", port)
        await cluster.grow(status["worker_count"])
        await cluster.stop()
        return await cluster.ended()


def application_setup(_args: list[str]) -> wallaroo.Application:
    return application


if __name__ == "__main__":
    sys.exit(run_it(Path("checkpoints")) + asyncio.run(control_it()).record_count)
