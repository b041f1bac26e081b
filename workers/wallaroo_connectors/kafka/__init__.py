"""Kafka as a source of records, on librdkafka through ``confluent-kafka``.

``pip install wallaroo-streams[kafka]`` installs the client library.
"""
