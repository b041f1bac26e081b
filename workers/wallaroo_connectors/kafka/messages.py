"""Messages of Kafka as decoders see them, and the payloads in which they travel.

An ordinary decoder gets the value of a message. A function with ``@message_decoder`` gets all of
it. Until it is decoded, perhaps by another worker, a message is a plain tuple: that is pickled
faster than an object of a class.
"""

import functools
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

R_co = TypeVar("R_co", covariant=True)

Payload: TypeAlias = tuple[Any, ...]


class Message(NamedTuple):
    """One message of a topic."""

    value: bytes | None
    """``None`` in a tombstone, which decoders get with ``tombstones="pass"`` only."""
    key: bytes | None
    timestamp_ms: int
    """Unix time in milliseconds; 0 if the message has none."""
    headers: list[tuple[str, bytes | None]]
    topic: str
    partition: int
    offset: int


class MessageDecoder(Generic[R_co]):
    """A user's function of a ``Message``; it can still be called."""

    def __init__(self, function: Callable[[Message], R_co]) -> None:
        functools.update_wrapper(self, function)
        self._of_message = function

    def __call__(self, message: Message) -> R_co:
        """Call the user's function, for example in a unit test."""
        return self._of_message(message)

    def decode(self, payload: Payload) -> R_co:
        """Decode a message in the form in which it travels."""
        return self._of_message(Message._make(payload))


def message_decoder(function: Callable[[Message], R_co], /) -> MessageDecoder[R_co]:
    """Mark a function that decodes whole messages, with key, headers, time and place::

    @kafka.message_decoder
    def decode(message):
        return Order(json.loads(message.value), placed_ms=message.timestamp_ms)
    """
    return MessageDecoder(function)


def value_of(message: Any) -> Any:
    """Return what an ordinary decoder gets of a message of the client library."""
    return message.value()


def payload_of(message: Any) -> Payload:
    """Return the payload of a message of the client library, for ``MessageDecoder.decode``."""
    kind, timestamp_ms = message.timestamp()
    return (
        message.value(),
        message.key(),
        timestamp_ms if kind else 0,
        message.headers() or [],
        message.topic(),
        message.partition(),
        message.offset(),
    )
