"""Kafka as a source of records and as a sink, on librdkafka through ``confluent-kafka``.

``pip install ".[kafka]"`` in a clone installs the client library, and ``[kafka-schemas]`` also
what schema registries need.
"""

from wallaroo_connectors.kafka.messages import Message, MessageDecoder, message_decoder
from wallaroo_connectors.kafka.records import KafkaRecord
from wallaroo_connectors.kafka.registry import SchemaRegistry
from wallaroo_connectors.kafka.schemas import (
    AvroDecoder,
    AvroEncoder,
    JSONSchemaDecoder,
    JSONSchemaEncoder,
    ProtobufDecoder,
    ProtobufEncoder,
)
from wallaroo_connectors.kafka.sink import KafkaSinkConfig
from wallaroo_connectors.kafka.source import KafkaSourceConfig
from wallaroo_connectors.kafka.topics import KafkaTopic

__all__ = [
    "AvroDecoder",
    "AvroEncoder",
    "JSONSchemaDecoder",
    "JSONSchemaEncoder",
    "KafkaRecord",
    "KafkaSinkConfig",
    "KafkaSourceConfig",
    "KafkaTopic",
    "Message",
    "MessageDecoder",
    "ProtobufDecoder",
    "ProtobufEncoder",
    "SchemaRegistry",
    "message_decoder",
]
