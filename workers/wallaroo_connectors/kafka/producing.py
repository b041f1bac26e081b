"""The producer of one worker: it writes messages and says when all of them are written.

**What can go wrong**

* *A message is lost without a trace.* The client reports failures by a callback alone, so there is
  one, and ``flush`` raises what it was told.
* *A message is written twice.* The client sends again what was not acknowledged; the producer is
  idempotent, so the broker knows such messages. A producer that replaces another one does not know
  what the other one sent.
* *The brokers are away.* The client tries on by itself. A caller that can try again safely is told
  that no broker can be reached, and does not wait for it.
* *A message is larger than its topic allows.* The broker refuses the whole batch of messages that
  has it. So the limit of the topic becomes the limit of the client, and larger messages are refused
  before anything is sent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import wallaroo
from wallaroo_connectors.kafka.client import (
    close_soon,
    error_of,
    is_refusal,
    is_unknown_topic,
    new_client,
)
from wallaroo_connectors.kafka.options import ClientOptions
from wallaroo_connectors.kafka.records import Fields

DEFAULTS: Mapping[str, Any] = {
    "partitioner": "murmur2_random",
    "reconnect.backoff.max.ms": 1_000,
    "log_level": 0,
}
"""Options that users may change. The partitioner is that of Java's clients."""
FIXED: Mapping[str, Any] = {"enable.idempotence": True, "delivery.report.only.error": True}

MESSAGE_BYTES_MAX = 1_000_000
"""As of the client library, unless an option or the topic says otherwise."""
CLIENT_BYTES_MIN = 1_000
"""The client library allows no lower limit."""
SLICE_S = 0.25
"""After so long of waiting it is looked at what the client has reported."""

_log = wallaroo.get_logger("kafka")


class TopicProducer:
    """Writes to one topic; only the connector's thread uses it."""

    def __init__(
        self,
        options: ClientOptions,
        topic: str,
        topic_bytes_max: int | None,
        ours: Mapping[str, Any],
    ) -> None:
        from confluent_kafka import Producer

        self._options = options
        self._topic = topic
        self._failed: list[Any] = []
        self._errors: list[Any] = []
        given = {
            **DEFAULTS,
            **ours,
            "error_cb": self._errors.append,
            "on_delivery": self._note_failed,
            "logger": _log,
        }

        def make(chosen: dict[str, Any]) -> Any:
            self.message_bytes_max = _limit(chosen, topic_bytes_max)
            return Producer({**chosen, **_sizes(self.message_bytes_max), **FIXED})

        self.client: Any = new_client(make, options, given)

    def _note_failed(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failed.append(error)

    def write(self, messages: Sequence[Fields], go_on: Callable[[bool], None]) -> None:
        """Write messages; return when the brokers have all of them.

        ``go_on`` is called while they are waited for, with whether the client has reported that no
        broker can be reached. It raises to give up.
        """
        self._failed.clear()
        # What went wrong between two writes may be over.
        self._errors.clear()
        for value, key, partition, timestamp_ms, headers in messages:
            while True:
                try:
                    self.client.produce(
                        self._topic, value, key, partition, None, None, timestamp_ms, headers
                    )
                except BufferError:
                    # The client has as many messages as its options allow.
                    self.client.poll(SLICE_S)
                    self._look(go_on)
                else:
                    break
        while self.client.flush(SLICE_S):
            self._look(go_on)
        self._look(lambda _: None)

    def _look(self, go_on: Callable[[bool], None]) -> None:
        """Raise what the client has reported, if it is the end of this attempt."""
        from confluent_kafka import KafkaError

        if self._failed:
            raise self.error_of(self._failed[0])
        errors, self._errors[:] = [*self._errors], []
        for error in errors:
            if is_refusal(error, self._options):
                raise self.error_of(error)
        go_on(KafkaError._ALL_BROKERS_DOWN in {error.code() for error in errors})

    def error_of(self, error: Any) -> Exception:
        """Return what to raise for an error of the client library."""
        from confluent_kafka import KafkaError

        if is_unknown_topic(error) or error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            # The topic has changed. The sink looks at it when it is opened again.
            return ConnectionError(self._options.without_secrets(error.str()))
        return error_of(error, self._options, self._topic)

    def close(self) -> None:
        """Give up what is not written, and disconnect."""
        holder = [self.client]
        self.client = None
        holder[0].purge()
        close_soon(holder.clear)


def _limit(chosen: Mapping[str, Any], topic_bytes_max: int | None) -> int:
    """Return how many bytes a message may have."""
    given = chosen.get("message.max.bytes")
    limits = [int(given)] if given is not None else []
    if topic_bytes_max is not None:
        limits.append(topic_bytes_max)
    return min(limits, default=MESSAGE_BYTES_MAX)


def _sizes(bytes_max: int) -> dict[str, Any]:
    """Return the options that keep batches of messages below a limit."""
    return {
        "message.max.bytes": max(bytes_max, CLIENT_BYTES_MIN),
        "batch.size": min(bytes_max, MESSAGE_BYTES_MAX),
    }
