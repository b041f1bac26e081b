"""Kafka as a source of records and as a sink, on librdkafka through ``confluent-kafka``.

``pip install wallaroo-streams[kafka]`` installs the client library.
"""

from wallaroo_connectors.kafka.messages import Message, MessageDecoder, message_decoder
from wallaroo_connectors.kafka.records import KafkaRecord
from wallaroo_connectors.kafka.sink import KafkaSinkConfig
from wallaroo_connectors.kafka.source import KafkaSourceConfig
from wallaroo_connectors.kafka.topics import KafkaTopic

__all__ = [
    "KafkaRecord",
    "KafkaSinkConfig",
    "KafkaSourceConfig",
    "KafkaTopic",
    "Message",
    "MessageDecoder",
    "message_decoder",
]
