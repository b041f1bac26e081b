"""The Kafka sink as applications configure it."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import wallaroo
from wallaroo_connectors.kafka.options import SINK, ClientOptions, OptionValue
from wallaroo_connectors.kafka.topics import KafkaTopic
from wallaroo_connectors.kafka.writers import KafkaOnceSink, KafkaSink, SinkSettings

DELIVERIES: Final = ("at_least_once", "exactly_once")
ON_UNKNOWN: Final = ("again", "stop")

_WRITTEN = "the sink waits until all replicas have a message"
_FOR_SOURCES = "it is for sources"
REFUSED: Final = {
    "transactional.id": 'give delivery="exactly_once" instead',
    "enable.idempotence": "a message that is sent again is always written once",
    "acks": _WRITTEN,
    "request.required.acks": _WRITTEN,
    "delivery.report.only.error": _WRITTEN,
    "group.*": _FOR_SOURCES,
    "enable.auto.*": _FOR_SOURCES,
    "auto.offset.reset": _FOR_SOURCES,
}


class KafkaSinkConfig(wallaroo.SinkConfig[Any]):
    """Writes results to a topic of Kafka, at least once or exactly once.

    ``encoder`` returns bytes or a text, ``(value, key)``, ``(value, key, partition)``, or a
    ``KafkaRecord`` with headers and a time; ``None`` writes nothing::

        @wallaroo.encoder
        def encode(total):
            return KafkaRecord(b"%d" % total.sum, key=total.user)

        KafkaSinkConfig("totals", "b1:9092,b2:9092", encode, delivery="exactly_once")

    * ``delivery``: ``"at_least_once"`` writes results as they are made, and some of them again
      after a crash. ``"exactly_once"`` writes the results of each checkpoint in a transaction, for
      readers with ``isolation.level=read_committed``; it needs ``--resilience-dir``.
    * ``on_unknown``: what to do if the brokers have forgotten how far this sink had written, which
      they do after ``offsets.retention.minutes`` (a week) without results: write the last batch
      ``"again"``, or ``"stop"`` the run.
    * ``create_topic``: how to create the topic if it does not exist; by default that is an error.
    * ``options``, ``options_file``: options of librdkafka, and a file with lines ``name=value``.
      ``${env:NAME}`` in a value is replaced by that environment variable when a client is made.
    * ``name``: the sink's name in dead letters, logs and metrics.
    """

    def __init__(  # noqa: PLR0913
        self,
        topic: str,
        bootstrap: str,
        encoder: Callable[[Any], Any] | None,
        *,
        delivery: Literal["at_least_once", "exactly_once"] = "at_least_once",
        on_unknown: Literal["again", "stop"] = "again",
        create_topic: KafkaTopic | None = None,
        options: Mapping[str, OptionValue] | None = None,
        options_file: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> None:
        client_options = ClientOptions(bootstrap, options, options_file, REFUSED, SINK)
        self._settings = SinkSettings(topic, client_options, encoder, name, create_topic)
        self._delivery = delivery
        self._on_unknown = on_unknown

    def __repr__(self) -> str:
        return f"KafkaSinkConfig({self._settings.topic!r})"

    def sink(self) -> Any:
        """Return the sink for the plan."""
        return self._author().sink()

    def _author(self) -> KafkaSink | KafkaOnceSink:
        if self._delivery == "exactly_once":
            return KafkaOnceSink(self._settings, self._on_unknown)
        return KafkaSink(self._settings)

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake in the arguments."""
        choices: list[tuple[str, str, Sequence[str]]] = [("delivery", self._delivery, DELIVERIES)]
        if self._delivery != "exactly_once":
            choices.append(("on_unknown", self._on_unknown, ON_UNKNOWN))
        for name, given, allowed in choices:
            if given not in allowed:
                wanted = " or ".join(map(repr, allowed))
                yield f"{place}: KafkaSinkConfig: {name} is {given!r}; give {wanted}"
        yield from self._author().mistakes_at(place)
