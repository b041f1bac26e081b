"""The work in Faust (faust-streaming): COUNT, with its default settings.

Its table is in memory, with a topic of changes, which it writes at least once. Neither
``producer_linger_ms=5`` nor ``send_soon`` instead of ``send`` makes a difference.
"""

import os
import sys
from typing import Any

import faust

from tests.bench.peers.common import Votes, decode, encode, report
from tests.bench.peers.kafka_common import BROKER, PARTITIONS, RUN, TOPIC

COUNT = int(sys.argv[1])

app = faust.App(
    f"faust-{RUN}",
    broker=f"kafka://{BROKER}",
    store="memory://",
    topic_partitions=PARTITIONS,
    web_enabled=False,
)
votes_topic = app.topic(TOPIC, key_serializer="raw", value_serializer="raw")
totals_topic = app.topic(f"faust-totals-{RUN}", key_serializer="raw", value_serializer="raw")
table: Any = app.Table("totals", default=int, partitions=PARTITIONS)
done = [0]


@app.agent(votes_topic)
async def add(stream: Any) -> None:
    """Add up votes by key."""
    async for key, payload in stream.items():
        votes = decode(payload)
        total = table[key] + votes.votes
        table[key] = total
        await totals_topic.send(key=key, value=encode(Votes(votes.letter, total)))
        done[0] += 1
        if done[0] == COUNT:
            report(COUNT)
            # It would go on for ever, and takes seconds to stop.
            os._exit(0)


def main() -> None:
    """Run one worker."""
    sys.argv = [sys.argv[0], "worker", "--loglevel", "warn"]
    app.main()


if __name__ == "__main__":
    main()
