"""Names of topics; and the topic of a sink, which is found or created, and says what it allows."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo_connectors.kafka.client import Cluster

NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
FOUND_WITHIN_S = 3.0
"""A topic that was just created is not known to every broker at once."""
LOOKED_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """How a sink creates its topic if it does not exist."""

    partitions: int
    replicas: int | None = None
    """By default as the brokers are configured."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Options of the topic, such as ``{"cleanup.policy": "compact"}``."""

    def mistakes(self) -> Iterator[str]:
        """Yield a sentence for each mistake."""
        numbers = {"partitions": self.partitions, "replicas": self.replicas}
        for name, given in numbers.items():
            is_default = name == "replicas" and given is None
            if not is_default and (type(given) is not int or given < 1):
                yield f"{name} of create_topic is {given!r}; give a number from 1 on"
        config: Any = self.config
        if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
            yield f"config of create_topic is {config!r}; give a dict of options and values"

    def described(self, name: str) -> Any:
        """Return the client library's description."""
        from confluent_kafka.cimpl import NewTopic

        replicas = -1 if self.replicas is None else self.replicas
        config = {option: str(value) for option, value in self.config.items()}
        return NewTopic(name, self.partitions, replicas, config=config)


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What a topic allows."""

    partition_count: int
    message_bytes_max: int | None


def find_topic(cluster: Cluster, name: str, create: KafkaTopic | None) -> TopicFacts:
    """Return what a topic allows; create it if it is not there and ``create`` says how.

    Raises ``wallaroo.SinkError`` if there is no such topic.
    """
    give_up_s = time.monotonic() + FOUND_WITHIN_S
    if create is not None and not cluster.has_topic(name):
        cluster.create_topic(create.described(name))
    while not cluster.has_topic(name) and time.monotonic() < give_up_s:
        time.sleep(LOOKED_EVERY_S)
    return TopicFacts(cluster.partition_count(name), cluster.message_bytes_max(name))


def name_mistakes(names: Iterable[object]) -> Iterator[str]:
    """Yield a sentence for each name that no topic can have."""
    for name in names:
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            yield (
                f"{name!r} cannot be the name of a topic; names have at most 249 letters, "
                "digits, dots, hyphens and underscores"
            )
