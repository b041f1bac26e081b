"""Questions to a cluster, each with a time limit; and what its errors mean.

An error that trying again cannot cure becomes a ``wallaroo.SourceError``, or for a sink a
``wallaroo.SinkError``, with the words of the broker and the name of the option to look at. Any
other error is raised as it is: the runtime logs it and asks again.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import wallaroo
from wallaroo_connectors.kafka.options import SINK, ClientOptions, Role

TIMEOUT_S = 5.0
"""Below the 10 s after which a reader that does not return counts as stuck."""
ANSWER_LATE_S = 1.0
"""How much longer an answer is waited for: the client's own time-out says more."""
CLOSED_WITHIN_S = 2.0

UNKNOWN_FOR_S = 3.0
"""For how long an unknown topic is asked for again."""
UNKNOWN_PAUSE_S = 0.1

NO_ID = ""
"""The id of a topic of brokers before 2.8, which have none."""
_ZERO_ID = "AAAAAAAAAAAAAAAAAAAAAA"

_QUIET = {"log_level": 0, "socket.connection.setup.timeout.ms": 5_000}
"""Clients write to stderr otherwise, between the lines of the log."""

_log = wallaroo.get_logger("kafka")


class Cluster:
    """Asks the brokers for topics, partitions and offsets."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._admin: Any = None
        self._said: list[Any] = []
        """Errors that the client reported since the last question."""

    def topics(self) -> dict[str, int]:
        """Return all topics with their numbers of partitions, those of Kafka itself left out."""
        found = self._ask(lambda admin: admin.list_topics(timeout=TIMEOUT_S))
        return {
            name: len(topic.partitions)
            for name, topic in found.topics.items()
            if not name.startswith("__") and topic.error is None
        }

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(self._ask(lambda admin: self._described(admin, topic), topic).partitions)

    def has_topic(self, topic: str) -> bool:
        """Return whether there is such a topic."""
        from confluent_kafka import KafkaException

        def ask(admin: Any) -> bool:
            try:
                self._described(admin, topic)
            except KafkaException as error:
                if not is_unknown_topic(error.args[0]):
                    raise
                return False
            return True

        return bool(self._ask(ask, topic))

    def _described(self, admin: Any, topic: str) -> Any:
        return _answer(self.ask_topic(admin, topic))

    def create_topic(self, topic: Any) -> None:
        """Create a topic that is not there, by the client library's description of it."""
        from confluent_kafka import KafkaError, KafkaException

        def create(admin: Any) -> None:
            made = admin.create_topics([topic], request_timeout=TIMEOUT_S)[topic.topic]
            try:
                _answer(made)
            except KafkaException as error:
                # Another worker may have created it meanwhile.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

        self._ask(create, topic.topic)

    def message_bytes_max(self, topic: str) -> int | None:
        """Return how large a batch of messages the topic takes; ``None`` if that is a secret."""
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka import admin as admin_api

        api: Any = admin_api
        resource = api.ConfigResource(api.ResourceType.TOPIC, topic)

        def ask(admin: Any) -> int | None:
            asked = admin.describe_configs([resource], request_timeout=TIMEOUT_S)[resource]
            try:
                return int(_answer(asked)["max.message.bytes"].value)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise
                return None

        found: int | None = self._ask(ask, topic)
        return found

    def topic_id(self, topic: str) -> str:
        """Return the id that the cluster gave to a topic when it was made."""
        return id_of(self._ask(lambda admin: self._described(admin, topic), topic))

    def topic_question(self, topic: str) -> Any:
        """Return a future of the topic's description; it does not wait."""
        return self._ask(lambda admin: self.ask_topic(admin, topic), topic)

    @staticmethod
    def ask_topic(admin: Any, topic: str) -> Any:
        """Send the question for one topic.

        ``list_topics`` with a name would create the topic where brokers allow that by default.
        """
        from confluent_kafka import TopicCollection

        asked = admin.describe_topics(TopicCollection([topic]), request_timeout=TIMEOUT_S)
        return asked[topic]

    def offset(self, topic: str, partition: int, where: str | int, isolation: str) -> int:
        """Return an offset: ``"earliest"``, ``"latest"``, or the first at a time in milliseconds.

        It is -1 if there is no message at that time or later.
        """
        from confluent_kafka import IsolationLevel, TopicPartition
        from confluent_kafka import admin as admin_api

        specs: Any = admin_api.OffsetSpec  # type: ignore[attr-defined]
        if isinstance(where, int):
            spec = specs.for_timestamp(where)
        else:
            spec = specs.earliest() if where == "earliest" else specs.latest()
        is_committed = isolation == "read_committed"
        level = IsolationLevel.READ_COMMITTED if is_committed else IsolationLevel.READ_UNCOMMITTED

        def ask(admin: Any) -> int:
            asked = admin.list_offsets(
                {TopicPartition(topic, partition): spec},
                isolation_level=level,
                request_timeout=TIMEOUT_S,
            )
            [future] = asked.values()
            return int(_answer(future).offset)

        return int(self._ask(ask, topic))

    def ends_question(
        self, places: Iterable[tuple[str, int]], *, is_committed: bool
    ) -> dict[tuple[str, int], Any]:
        """Return futures of where these partitions end; it does not wait.

        What is committed ends where the first transaction starts that is open.
        """
        from confluent_kafka import IsolationLevel, TopicPartition
        from confluent_kafka import admin as admin_api

        specs: Any = admin_api.OffsetSpec  # type: ignore[attr-defined]
        wanted = {TopicPartition(*place): specs.latest() for place in places}
        level = IsolationLevel.READ_COMMITTED if is_committed else IsolationLevel.READ_UNCOMMITTED
        asked = self._ask(
            lambda admin: admin.list_offsets(
                wanted, isolation_level=level, request_timeout=TIMEOUT_S
            )
        )
        return {(each.topic, each.partition): future for each, future in asked.items()}

    def _ask(self, question: Any, topic: str = "") -> Any:
        """Return what ``question`` returns when it is called with a client.

        A broker learns of a new topic a moment after its controller. So if the topic is unknown,
        the question is repeated for a short time.
        """
        from confluent_kafka import KafkaError, KafkaException

        with self._lock:
            admin = self._client()
        until_s = time.monotonic() + UNKNOWN_FOR_S
        while True:
            try:
                answer = question(admin)
                self._said.clear()
                return answer
            except KafkaException as error:
                is_unknown = is_unknown_topic(error.args[0])
                if not is_unknown or time.monotonic() > until_s:
                    raise self._explained(admin, error.args[0], topic) from error
            except TimeoutError as error:
                silence = KafkaError(KafkaError._TIMED_OUT, "the client has not answered")
                raise self._explained(admin, silence, topic) from error
            time.sleep(UNKNOWN_PAUSE_S)

    def _explained(self, admin: Any, error: Any, topic: str) -> Exception:
        """Return what to raise. Only the client itself says why no broker could be reached."""
        admin.poll(0)
        said_lately, self._said[:] = [*self._said], []
        for said in said_lately:
            if is_refusal(said, self._options):
                return self.error_of(said, topic)
        reason = reason_of(said_lately, self._options) or self._no_answer(error)
        return self.error_of(error, topic, reason)

    def _no_answer(self, error: Any) -> str:
        from confluent_kafka import KafkaError

        is_silence = error.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT)
        hint = "no broker has answered; check bootstrap= and security.protocol"
        return hint if is_silence else ""

    def _client(self) -> Any:
        if self._admin is None:
            from confluent_kafka.admin import AdminClient

            ours = {**_QUIET, "error_cb": self._said.append, "logger": _log}
            self._admin = new_client(AdminClient, self._options, ours, ADMIN_OPTIONS)
        return self._admin

    def error_of(self, error: Any, topic: str = "", reason: str = "") -> Exception:
        """Return what to raise for an error of the client library."""
        return error_of(error, self._options, topic, reason)


ADMIN_OPTIONS = ("security.", "sasl.", "ssl.", "client.", "socket.", "broker.", "debug",
                 "metadata.", "reconnect.", "enable.ssl", "enable.sasl", "log_level",
                 "connections.", "allow.auto", "bootstrap.", "request.", "resolve.",
                 "oauth_cb")  # fmt: skip
"""How the names of options start that are not only for consumers or producers."""


def new_client(
    kind: Any, options: ClientOptions, ours: Mapping[str, Any], starts: tuple[str, ...] = ("",)
) -> Any:
    """Return a client with these options; ``starts`` selects options of the user by their names."""
    from confluent_kafka import KafkaException

    names = {*ours, "bootstrap.servers"}
    given = options.client_options(ours)
    chosen = {
        name: value for name, value in given.items() if name in names or name.startswith(starts)
    }
    try:
        return kind(chosen)
    except KafkaException as error:
        raise options.role.error(
            f"the client refuses the options: {options.without_secrets(error.args[0].str())}",
            "correct options, or options_file",
        ) from error
    except (TypeError, ValueError) as error:
        raise options.role.error(
            f"the client refuses the options: {options.without_secrets(str(error))}",
            "correct options, or options_file",
        ) from error


def _answer(future: Any) -> Any:
    """Return the answer to a question of the client; ``TimeoutError`` if there is none."""
    return future.result(TIMEOUT_S + ANSWER_LATE_S)


def id_of(described: Any) -> str:
    """Return the id in a topic's description."""
    found = str(described.topic_id)
    return NO_ID if found == _ZERO_ID else found


def returned_within(time_s: float, call: Callable[[], Any]) -> Any:
    """Return what a call returns, or raise what it raises; ``TimeoutError`` if it takes longer.

    Some calls of the client do not keep their own time limit while brokers are away. One that is
    given up goes on in its thread.
    """
    outcome: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001  it is raised in the caller's thread
            raised.append(error)

    thread = threading.Thread(target=run, name="kafka call", daemon=True)
    thread.start()
    thread.join(time_s)
    if raised:
        raise raised[0]
    if not outcome:
        raise TimeoutError(f"the client has not returned within {time_s:g} s")
    return outcome[0]


def close_soon(close: Callable[[], Any]) -> None:
    """Close a client, or leave that to a thread if it takes too long.

    Without brokers a client may wait, with no limit, for answers to what it has sent.
    """
    closing = threading.Thread(target=close, name="kafka close", daemon=True)
    closing.start()
    closing.join(CLOSED_WITHIN_S)


def is_refusal(error: Any, options: ClientOptions) -> bool:
    """Return whether the brokers refuse this client, so that trying again cannot help."""
    return _hint(error, "", options.role) is not None


def is_unknown_topic(error: Any) -> bool:
    """Return whether there is no such topic, or no such partition of it."""
    from confluent_kafka import KafkaError

    return error.code() in (
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_EXCEPTION,
    )


def reason_of(said: Iterable[Any], options: ClientOptions) -> str:
    """Return why a broker could not be reached, as the client has reported last; "" if it has not.

    The error of a question says only that no broker answered. If the options may be wrong, the
    reason says what to do. Trying again may help as well, since a broker that is stopping ends
    connections in the same way.
    """
    from confluent_kafka import KafkaError

    texts = [each.str() for each in said if each.code() != KafkaError._ALL_BROKERS_DOWN]
    reason = options.without_secrets(texts[-1]) if texts else ""
    if "certificate verify failed" in reason:
        return f"{reason}; check ssl.ca.location in options"
    # A broker without TLS closes the connection, sometimes before the client sees an answer.
    if any(text in reason for text in ("SSL handshake failed", "listener?", "SSL_HANDSHAKE")):
        return f"{reason}; check security.protocol and the port in bootstrap="
    return reason


def error_of(error: Any, options: ClientOptions, topic: str = "", reason: str = "") -> Exception:
    """Return what to raise for an error of the client library; ``reason`` is from ``reason_of``."""
    text = options.without_secrets(error.str())
    hint = _hint(error, topic, options.role)
    if hint is None:
        return ConnectionError(f"{text} ({error.name()}){': ' if reason else ''}{reason}")
    of_topic = f" (topic {topic!r})" if topic else ""
    return options.role.error(f"{text}{of_topic}", hint)


def _hint(error: Any, topic: str, role: Role) -> str | None:
    """Return what to do about an error; ``None`` if it may get better by itself."""
    from confluent_kafka import KafkaError

    code = error.code()
    if code in (
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    ):
        return "check sasl.username, sasl.password and sasl.mechanisms in options"
    if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return f"allow this user to {role.rights} the topic {topic}".rstrip()
    if code == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        return "allow this user to DESCRIBE the cluster"
    if code == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return "allow this user to WRITE with transactional ids that start with wallaroo."
    if code == KafkaError.GROUP_AUTHORIZATION_FAILED and role is SINK:
        return "allow this user to READ the groups that start with wallaroo."
    if code in (
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
    ):
        return "correct create_topic="
    if is_unknown_topic(error):
        return role.unknown_topic
    return None
