"""The work in Quix Streams: COUNT, with its recommended settings and at least once, its default.

Its states are in RocksDB with a topic of changes, which is its only kind of state. It writes values
of states as JSON, so the total is a number and not an object.
"""

import os
import sys

from quixstreams import Application, State

from tests.bench.peers.common import Votes, decode, encode, report
from tests.bench.peers.kafka_common import BROKER, RUN, TOPIC


def main() -> None:
    """Process so many records and report."""
    count = int(sys.argv[1])
    app = Application(
        broker_address=BROKER,
        consumer_group=f"quix-{RUN}",
        auto_offset_reset="earliest",
        state_dir=os.environ["HOME"],
        loglevel="WARNING",
    )
    votes = app.topic(TOPIC, key_deserializer="str", value_deserializer="bytes")
    totals = app.topic(f"quix-totals-{RUN}", key_serializer="str", value_serializer="bytes")
    app.dataframe(votes).apply(decode).apply(_add, stateful=True).apply(encode).to_topic(totals)
    app.run(count=count)
    report(count)


def _add(votes: Votes, state: State) -> Votes:
    total = state.get("votes", 0) + votes.votes
    state.set("votes", total)
    return Votes(votes.letter, total)


if __name__ == "__main__":
    main()
