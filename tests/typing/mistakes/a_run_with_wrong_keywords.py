"""Keywords of a run that do not exist, or have values of another type."""

import wallaroo
from wallaroo.testing import TestSink, TestSource

pipeline = wallaroo.source("words", TestSource(["a"])).to_sink(TestSink())
application = wallaroo.build_application("words", pipeline)

wallaroo.run(pipeline)  # mistake
wallaroo.run(application, workers="2")  # mistake
wallaroo.run(application, resilience_directory="checkpoints")  # mistake
wallaroo.run(application, log_level="loud")  # mistake
wallaroo.run(application, 2)  # mistake
COUNT = wallaroo.run(application).records  # mistake


async def main() -> None:
    async with wallaroo.start(application, checkpoint_interval="1 s") as cluster:  # mistake
        await cluster.grow("2")  # mistake
