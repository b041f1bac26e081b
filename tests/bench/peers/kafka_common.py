"""What peers that read from Kafka share: where the broker is, and names of their own in each run.

Each reads the votes of the alphabet example from a topic, adds them up by the message's key, and
writes each total to another topic, as Wallaroo's run beside it does.
"""

import os
import uuid

BROKER_VARIABLE = "PEER_BROKER"
TOPIC_VARIABLE = "PEER_TOPIC"

BROKER = os.environ.get(BROKER_VARIABLE, "")
TOPIC = os.environ.get(TOPIC_VARIABLE, "")
PARTITIONS = 4
RUN = uuid.uuid4().hex[:10]
"""A part of the names of the group, of the topic of results, and of topics for states."""
