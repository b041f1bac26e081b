"""The work in PyFlink's DataStream API: COUNT STYLE, thread mode (Python within the JVM).

``records`` has one stream element a payload. ``blocks`` is its fast path: an element is a block of
a thousand payloads, of which ``flat_map`` makes votes, so fewer elements cross from the JVM to
Python. Behind it both are the same: keyed by letter, a ``KeyedProcessFunction`` with a
``ValueState``, and a ``map`` that encodes. Parallelism is 1, operators are chained as by default,
checkpoints are off. Thread mode took less CPU than process mode when tried.

Other than in Wallaroo's run, the source is a collection (PyFlink has no socket source that takes
bytes) and the sink is Flink's ``DiscardingSink`` behind the encoder, which counts. The JVM compiles
its code during the first tens of thousands of records; the short run, which is taken off, has them
too.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyflink
from pyflink.common import Configuration, Types
from pyflink.datastream import (
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from pyflink.datastream.connectors.base import Sink
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.java_gateway import get_gateway

# Functions go to Flink by value, and `common` goes by name: it holds what can not be pickled.
from tests.bench.peers import common

PAYLOAD_BYTES = 5
LINE = Types.PRIMITIVE_ARRAY(Types.BYTE())


class AddVotes(KeyedProcessFunction):
    """The running total of each letter."""

    def open(self, context: RuntimeContext) -> None:
        self._votes = context.get_state(ValueStateDescriptor("votes", Types.LONG()))

    def process_element(
        self, votes: common.Votes, context: KeyedProcessFunction.Context
    ) -> Iterator[common.Votes]:
        state = common.TotalVotes()
        state.votes = self._votes.value() or 0
        total, _ = common.add_votes(votes, state)
        self._votes.update(state.votes)
        yield total


class Encode(MapFunction):
    """Encodes, and counts what comes out."""

    def open(self, context: RuntimeContext) -> None:
        self._record_count = 0

    def map(self, total: common.Votes) -> bytes:
        self._record_count += 1
        return common.encode(total)

    def close(self) -> None:
        common.report(self._record_count)


def main() -> None:
    """Build the job, run it in a local mini cluster until the source ends."""
    count, style = int(sys.argv[1]), sys.argv[2]
    # The interpreter within the JVM does not find the environment's packages by itself.
    packages = str(Path(pyflink.__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([os.environ["PYTHONPATH"], packages])
    settings = Configuration()
    settings.set_string("python.execution-mode", "thread")
    settings.set_string("python.executable", sys.executable)
    job = StreamExecutionEnvironment.get_execution_environment(settings)
    job.set_parallelism(1)
    batches = common.payload_batches(count)
    if style == "blocks":
        votes = job.from_collection([b"".join(batch) for batch in batches]).flat_map(decode_block)
    else:
        payloads = [payload for batch in batches for payload in batch]
        votes = job.from_collection(payloads).map(decode)
    totals = votes.key_by(letter_of, key_type=Types.STRING()).process(AddVotes())
    lines = totals.map(Encode(), output_type=LINE)
    sinks = get_gateway().jvm.org.apache.flink.streaming.api.functions.sink.v2
    lines.sink_to(Sink(sinks.DiscardingSink()))
    job.execute("letters")


def decode(payload: bytes) -> common.Votes:
    """Decode one payload."""
    return common.decode(payload)


def decode_block(block: bytes) -> Iterator[common.Votes]:
    """Decode a block of payloads."""
    for start in range(0, len(block), PAYLOAD_BYTES):
        yield common.decode(block[start : start + PAYLOAD_BYTES])


def letter_of(votes: common.Votes) -> str:
    """Name the key."""
    key: str = common.letter_of(votes)
    return key


if __name__ == "__main__":
    main()
