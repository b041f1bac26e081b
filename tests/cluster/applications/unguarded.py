"""A script that runs its application when it is imported, with as many workers as it is told."""

import sys
from typing import Any

import wallaroo
from wallaroo.testing import TestSink, TestSource

step: Any = wallaroo.computation("c")(lambda record: record)
plan = (
    wallaroo.ApplicationBuilder("unguarded")
    .new_pipeline("p", TestSource([1]))
    .to(step)
    .to_sink(TestSink())
    .build()
)
wallaroo.run(plan, workers=int(sys.argv[1]))
