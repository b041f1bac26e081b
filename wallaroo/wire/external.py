"""Messages of the original's external channel, with which operators query and change a cluster.

    u32 big-endian: bytes that follow | u16 big-endian: id | text in UTF-8

A client connects to any worker, sends one message, reads the answer if there is one, and closes the
connection. A length of 0 is not a message and is skipped. Each id documents its text.
"""

import enum
import struct
from dataclasses import dataclass

from wallaroo.errors import ProtocolError

TEXT_BYTES_MAX = 16 << 20
"""Longest text of a message; the longest are answers with every key of a state."""

REQUEST_BYTES_MAX = 64 << 10
"""Longest frame that a client sends; none of its requests needs more."""

LENGTH = struct.Struct(">I")
_ID = struct.Struct(">H")


class ExternalId(enum.IntEnum):
    """The kind of a message."""

    PRINT = 1
    """To a worker: write this text to standard output."""
    ROTATE_LOG = 2
    """To a worker: the name of the worker whose log is to be rotated."""
    CLEAN_SHUTDOWN = 3
    """To a worker: stop the whole cluster; any text."""
    SHRINK_REQUEST = 4
    """To a worker: JSON with ``query``, ``node_names`` and ``node_count``."""
    SHRINK_QUERY_RESPONSE = 5
    """JSON with ``node_names`` and ``node_count``: who may leave."""
    SHRINK_RESPONSE = 6
    """A sentence: what is being done, or why nothing is."""
    PARTITION_QUERY = 7
    PARTITION_QUERY_RESPONSE = 8
    """JSON with ``state_partitions`` and ``stateless_partitions``: worker to ids, by name."""
    CLUSTER_STATUS_QUERY = 9
    CLUSTER_STATUS_RESPONSE = 10
    """JSON with ``worker_count``, ``worker_names`` and ``processing_messages``."""
    CLUSTER_STATUS_NOT_INITIALIZED = 11
    """Empty: the answer to a status query before the application is ready."""
    PARTITION_COUNT_QUERY = 12
    PARTITION_COUNT_QUERY_RESPONSE = 13
    """As ``PARTITION_QUERY_RESPONSE``, with numbers instead of lists."""
    SOURCE_IDS_QUERY = 14
    SOURCE_IDS_QUERY_RESPONSE = 15
    """JSON with ``source_ids``."""
    REPORT_STATUS = 16
    """To a worker: ``boundary-count-status``; the worker logs it."""
    STATE_ENTITY_QUERY = 17
    STATE_ENTITY_QUERY_RESPONSE = 18
    """JSON: the keys on the worker that was asked, by state."""
    STATELESS_PARTITION_QUERY = 19
    STATELESS_PARTITION_QUERY_RESPONSE = 20
    """JSON: worker to ids, by parallel step."""
    STATE_ENTITY_COUNT_QUERY = 21
    STATE_ENTITY_COUNT_QUERY_RESPONSE = 22
    """JSON: how many keys are on the worker that was asked, by state."""
    STATELESS_PARTITION_COUNT_QUERY = 23
    STATELESS_PARTITION_COUNT_QUERY_RESPONSE = 24
    """JSON: worker to a number, by parallel step."""
    CLUSTER_STATE_ENTITY_COUNT_QUERY = 25
    CLUSTER_STATE_ENTITY_COUNT_QUERY_RESPONSE = 26
    """JSON: how many keys are in the cluster, by state."""


WITHOUT_ANSWER = frozenset(
    {
        ExternalId.PRINT,
        ExternalId.ROTATE_LOG,
        ExternalId.CLEAN_SHUTDOWN,
        ExternalId.REPORT_STATUS,
    }
)
"""Messages that a client sends and no worker answers."""


@dataclass(frozen=True, slots=True)
class ExternalMessage:
    """One message, of either side."""

    id: ExternalId
    text: str = ""


def encode_external(message: ExternalMessage) -> bytes:
    """Return ``message`` as bytes, with its length first."""
    content = _ID.pack(message.id) + message.text.encode("utf-8", "backslashreplace")
    return LENGTH.pack(len(content)) + content


def decode_external(content: bytes) -> ExternalMessage:
    """Return the message in ``content``, which excludes the length.

    Raises ``ProtocolError`` for an unknown id, and for a text that is not UTF-8.
    """
    if len(content) < _ID.size:
        raise ProtocolError(f"a message has at least {_ID.size} bytes, not {len(content)}")
    (number,) = _ID.unpack_from(content)
    try:
        return ExternalMessage(ExternalId(number), content[_ID.size :].decode())
    except UnicodeDecodeError as error:
        raise ProtocolError(f"the text of message {number} is not UTF-8: {error}") from error
    except ValueError as error:
        raise ProtocolError(f"there is no message with the id {number}") from error
