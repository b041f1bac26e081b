"""A schema registry, through the client of ``confluent-kafka``.

The client asks over HTTP and waits, so schemas are fetched where that holds up no records: in the
thread that reads a topic, and when a sink is opened. If the registry is away, both wait for it.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import wallaroo
from wallaroo_connectors.kafka.options import (
    MASK,
    OptionValue,
    Plain,
    address_secrets,
    variables_in,
    with_environment,
)

INSTALL: Final = 'install it on every host: pip install "wallaroo-streams[kafka-schemas]"'
TIMEOUT_S = 4.0
"""Below the 10 s after which a reader that does not return counts as stuck."""
UNKNOWN_FOR_S = 10.0
"""For how long an id that the registry did not know is not asked for again."""

_FRAME_BYTES = 5
_NOT_FOUND = 404
_REFUSED = (401, 403)
_FINAL = range(400, 500)
"""The request is wrong, and stays so."""
_LATER = (408, 429)


class SchemaRegistry:
    """A registry with the interface of Confluent's, such as Karapace and Apicurio have it, too.

    ``options`` are passed to the client, such as ``"basic.auth.user.info"`` and
    ``"ssl.ca.location"``. ``${env:NAME}`` in the URL and in values is replaced by that environment
    variable when the client is made::

        SchemaRegistry("https://registry:8081",
                       options={"basic.auth.user.info": "${env:REGISTRY_LOGIN}"})
    """

    def __init__(self, url: str, *, options: Mapping[str, OptionValue] | None = None) -> None:
        self._url: Any = url
        self._options: dict[str, Any] = dict(options or {})
        self._made: Any = None
        self._lock = threading.Lock()
        self._known: set[bytes] = set()
        """The first bytes of values whose schemas are there, or that have none."""
        self._unknown: dict[bytes, float] = {}
        """Those whose schemas the registry does not have, and when to ask again."""

    def __repr__(self) -> str:
        return "<schema registry>"

    def mistakes(self) -> Iterator[str]:
        """Yield a sentence for each mistake, without asking the registry."""
        if (missing := missing_library()) is not None:
            yield missing
        if not isinstance(self._url, str) or not self._url:
            yield "the URL of the schema registry is not a text; give such as http://registry:8081"
        elif "@" in self._url:
            yield (
                "the URL of the schema registry has a user and a password; give them as "
                'options={"basic.auth.user.info": "${env:NAME}"}'
            )
        elif not self._url.startswith(("http://", "https://", "mock://", "${env:")):
            yield f"the URL of the schema registry is {self._url!r}; it starts with http or https"
        for name, value in self._options.items():
            if not isinstance(value, Plain):
                yield f'the value of option "{name}" of the schema registry is not a text or number'

    @property
    def client(self) -> Any:
        """The client; it connects when it is asked."""
        with self._lock:
            if self._made is None:
                self._made = self._new_client()
            return self._made

    def _new_client(self) -> Any:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        given: dict[str, OptionValue] = {
            "timeout": TIMEOUT_S,
            "max.retries": 0,
            **self._options,
            "url": self._url,
        }
        values = {
            name: with_environment(name, value, wallaroo.SourceError)
            for name, value in given.items()
        }
        try:
            return SchemaRegistryClient(values)
        except (TypeError, ValueError) as error:
            raise wallaroo.SourceError(
                f"the client refuses the options of the schema registry: {self._masked(error)}",
                "correct the URL, or options of SchemaRegistry",
            ) from error

    # Schemas of values that were read

    def fetch(self, values: Iterable[bytes | None]) -> list[bytes]:
        """Fetch the schemas of these values that are not known yet; return a value of each.

        Raises if the registry cannot be asked. A schema that it does not have is not an error here:
        each record with it becomes a dead letter.
        """
        heads = {value[:_FRAME_BYTES]: value for value in values if value is not None}
        new = heads.keys() - self._known
        fetched = [heads[head] for head in new if self._fetch(head)]
        self._known.update(new - self._unknown.keys())
        return fetched

    def _fetch(self, head: bytes) -> bool:
        """Fetch the schema of values that begin so; return whether there is one."""
        if len(head) < _FRAME_BYTES or head[0] != 0:
            return False
        if self._unknown.get(head, 0.0) > time.monotonic():
            return False
        schema_id = int.from_bytes(head[1:])
        try:
            self.client.get_schema(schema_id)
        except Exception as error:
            if getattr(error, "http_status_code", 0) != _NOT_FOUND:
                raise self.error_of(error, f"schema {schema_id}") from error
            self._unknown[head] = time.monotonic() + UNKNOWN_FOR_S
            return False
        self._unknown.pop(head, None)
        return True

    def check(self, value: bytes) -> None:
        """Raise if the registry did not have the schema of this value a moment ago."""
        if self._unknown and self._unknown.get(value[:_FRAME_BYTES], 0.0) > time.monotonic():
            raise LookupError(
                f"the schema registry has no schema {int.from_bytes(value[1:_FRAME_BYTES])}"
            )

    def error_of(
        self,
        error: Exception,
        wanted: str,
        kind: type[wallaroo.SourceError | wallaroo.SinkError] = wallaroo.SourceError,
    ) -> Exception:
        """Return what to raise for an error of the client: one to wait for, or a final ``kind``."""
        if isinstance(error, wallaroo.SourceError):
            return kind(error.what, error.hint)
        status = getattr(error, "http_status_code", 0)
        said = f"the schema registry does not give {wanted}: {self._masked(error)}"
        if status in _REFUSED:
            hint = 'check "basic.auth.user.info" and the like in options of SchemaRegistry'
            return kind(said, hint)
        if status in _FINAL and status not in _LATER:
            return kind(said, "correct the schema, or options of the encoder")
        return ConnectionError(said)

    def _masked(self, error: Exception) -> str:
        text = str(error) or type(error).__name__
        for secret in sorted(address_secrets(self._url), key=len, reverse=True):
            text = text.replace(secret, MASK)
        for name, value in self._options.items():
            if isinstance(value, str) and (variables_in(value) or "auth" in name or "key" in name):
                secret = str(with_environment(name, value, wallaroo.SourceError))
                text = text.replace(secret, MASK) if secret else text
        return text


def missing_library() -> str | None:
    """Return a sentence that says what to install; ``None`` if everything is there."""
    try:
        import confluent_kafka.schema_registry.avro
        import confluent_kafka.schema_registry.json_schema
        import confluent_kafka.schema_registry.protobuf  # noqa: F401  needed when records are there
    except ImportError as error:
        return f"the client of the schema registry cannot be imported ({error}); {INSTALL}"
    return None
