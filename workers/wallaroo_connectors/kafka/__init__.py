"""Kafka as a source of records, on librdkafka through ``confluent-kafka``.

``pip install wallaroo-streams[kafka]`` installs the client library.
"""

from wallaroo_connectors.kafka.messages import Message, MessageDecoder, message_decoder
from wallaroo_connectors.kafka.source import KafkaSourceConfig

__all__ = ["KafkaSourceConfig", "Message", "MessageDecoder", "message_decoder"]
