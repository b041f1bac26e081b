"""Values with schemas: Avro, JSON Schema and Protobuf, in the framing of Confluent's registry.

A decoder goes where a function with ``@wallaroo.decoder`` goes, an encoder where one with
``@wallaroo.encoder`` goes. The work is done by the serializers of ``confluent-kafka``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import wallaroo
from wallaroo_connectors.kafka.records import KafkaRecord
from wallaroo_connectors.kafka.registry import SchemaRegistry, missing_library

Key = Callable[[Any], bytes | str | None]


class _Lazy:
    """Makes the object of the client library when it is first needed: not in ``build()``."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    def __call__(self, *arguments: Any) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made(*arguments)


class SchemaDecoder:
    """What the decoders have in common."""

    def __init__(
        self,
        registry: SchemaRegistry | None,
        make: Callable[[], Any],
        convert: Callable[[Any], Any] | None,
    ) -> None:
        self._registry = registry
        self._read = _Lazy(make)
        self._convert = convert

    def decode(self, payload: bytes) -> Any:
        """Return the record in a value."""
        if self._registry is not None:
            self._registry.check(payload)
        read = self._read(payload, None)
        return read if self._convert is None else self._convert(read)

    __call__ = decode

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Fetch the schemas of these values; the source calls it in its thread.

        Raises if the registry cannot be asked: records wait then.
        """
        if self._registry is None:
            return
        for value in self._registry.fetch(values):
            try:
                # This also fetches the schemas to which this one refers.
                self._read(value, None)
            except Exception:  # noqa: BLE001  a record that cannot be read is a dead letter
                continue

    @property
    def mistakes(self) -> list[str]:
        """A sentence for each mistake, for ``build()``."""
        return [*_mistakes_of(self._registry)]


class AvroDecoder(SchemaDecoder):
    """Decodes Avro, by the schema with which a value was written.

    ``schema`` is the one to read with, if it is to be another. ``from_dict`` makes your record of
    the dict of a value::

        KafkaSourceConfig("orders", brokers, AvroDecoder(registry, from_dict=Order.from_dict))
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        *,
        schema: str | None = None,
        from_dict: Callable[[Any], Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        def make() -> Any:
            from confluent_kafka.schema_registry.avro import AvroDeserializer

            return AvroDeserializer(registry.client, schema, conf=_read_options(options))

        super().__init__(registry, make, from_dict)


class JSONSchemaDecoder(SchemaDecoder):
    """Decodes JSON, and checks it by the schema with which a value was written.

    With ``schema`` that one is used, and no registry is needed.
    """

    def __init__(
        self,
        registry: SchemaRegistry | None = None,
        *,
        schema: str | None = None,
        from_dict: Callable[[Any], Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._has_schema = schema is not None or registry is not None

        def make() -> Any:
            from confluent_kafka.schema_registry.json_schema import JSONDeserializer

            client = None if registry is None else registry.client
            return JSONDeserializer(
                schema, schema_registry_client=client, conf=_read_options(options)
            )

        super().__init__(registry, make, from_dict)

    @property
    def mistakes(self) -> list[str]:
        """A sentence for each mistake, for ``build()``."""
        neither = "JSONSchemaDecoder has neither a registry nor a schema; give it one of them"
        return [*super().mistakes, *(() if self._has_schema else (neither,))]


class ProtobufDecoder(SchemaDecoder):
    """Decodes Protobuf into messages of a class that ``protoc`` has made; it needs no registry."""

    def __init__(
        self,
        message_type: Any,
        *,
        convert: Callable[[Any], Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        def make() -> Any:
            from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer

            return ProtobufDeserializer(message_type, _read_options(options))

        super().__init__(None, make, convert)


class SchemaEncoder:
    """What the encoders have in common. ``key`` gives the message's key of a record."""

    def __init__(
        self,
        registry: SchemaRegistry,
        topic: str,
        make: Callable[[], Any],
        convert: Callable[[Any], Any] | None,
        key: Key | None,
    ) -> None:
        self._registry = registry
        self._topic = topic
        self._write = _Lazy(make)
        self._convert = convert
        self._key = key
        self._of_value: Any = None

    def encode(self, record: Any) -> bytes | KafkaRecord:
        """Return the value of a message, or all of it if there is a key."""
        value = self._value(record if self._convert is None else self._convert(record))
        return value if self._key is None else KafkaRecord(value, self._key(record))

    __call__ = encode

    def _value(self, given: Any) -> bytes:
        if self._of_value is None:
            from confluent_kafka.serialization import MessageField, SerializationContext

            self._of_value = SerializationContext(self._topic, MessageField.VALUE)
        value: bytes = self._write(given, self._of_value)
        return value

    def prepare(self) -> None:
        """Register the schema, or find it; the sink calls it when it is opened.

        Raises if the registry cannot be asked, or refuses the schema.
        """
        try:
            self._register(f"{self._topic}-value")
        except Exception as error:
            wanted = f"the schema of {self._topic}-value"
            raise self._registry.error_of(error, wanted, wallaroo.SinkError) from error

    def _register(self, subject: str) -> None:
        raise NotImplementedError

    @property
    def mistakes(self) -> list[str]:
        """A sentence for each mistake, for ``build()``."""
        return [*_mistakes_of(self._registry)]


class _TextSchemaEncoder(SchemaEncoder):
    """An encoder whose schema is a text."""

    kind = ""

    def __init__(
        self,
        registry: SchemaRegistry,
        topic: str,
        schema: str,
        *,
        to_dict: Callable[[Any], Any] | None = None,
        key: Key | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._schema = schema
        self._given = _write_options(options)
        super().__init__(registry, topic, self._serializer, to_dict, key)

    def _serializer(self) -> Any:
        raise NotImplementedError

    def _register(self, subject: str) -> None:
        from confluent_kafka.schema_registry import Schema

        client, schema = self._registry.client, Schema(self._schema, self.kind)
        if self._given.get("use.latest.version"):
            client.get_latest_version(subject)
        elif self._given.get("auto.register.schemas", True):
            client.register_schema(subject, schema)
        else:
            client.lookup_schema(subject, schema)


class AvroEncoder(_TextSchemaEncoder):
    """Encodes records as Avro, and registers ``schema`` for the subject ``TOPIC-value``.

    ``to_dict`` makes a dict of a record. ``options`` are those of the client's serializer, such as
    ``{"auto.register.schemas": False}``.
    """

    kind = "AVRO"

    def _serializer(self) -> Any:
        from confluent_kafka.schema_registry.avro import AvroSerializer

        return AvroSerializer(self._registry.client, self._schema, conf=self._given)


class JSONSchemaEncoder(_TextSchemaEncoder):
    """Encodes records as JSON that is checked by ``schema``; otherwise as ``AvroEncoder``."""

    kind = "JSON"

    def _serializer(self) -> Any:
        from confluent_kafka.schema_registry.json_schema import JSONSerializer

        return JSONSerializer(self._schema, self._registry.client, conf=self._given)


class ProtobufEncoder(SchemaEncoder):
    """Encodes messages of a class that ``protoc`` has made; ``convert`` makes one of a record."""

    def __init__(
        self,
        registry: SchemaRegistry,
        topic: str,
        message_type: Any,
        *,
        convert: Callable[[Any], Any] | None = None,
        key: Key | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._message_type = message_type

        def make() -> Any:
            from confluent_kafka.schema_registry.protobuf import ProtobufSerializer

            return ProtobufSerializer(message_type, registry.client, _write_options(options))

        super().__init__(registry, topic, make, convert, key)

    def _register(self, subject: str) -> None:
        # The schema is in the class, so an empty message registers it.
        self._value(self._message_type())


def _no_subject(*_: Any) -> None:
    """Find the schema of a value by its id alone."""


def _read_options(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"subject.name.strategy": _no_subject, **(given or {})}


def _write_options(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"subject.name.strategy.type": "TOPIC", **(given or {})}


def _mistakes_of(registry: object) -> Iterator[str]:
    if isinstance(registry, SchemaRegistry):
        yield from registry.mistakes()
    elif registry is not None:
        yield f"the schema registry is {registry!r}; give a SchemaRegistry"
    elif (missing := missing_library()) is not None:
        yield missing
