"""Frames of requests to a running cluster, and of their answers.

    client -> initializer   Request          initializer -> worker   Query
    client <- initializer   Progress ...     initializer <- worker   Replied
    client <- initializer   Answer

A client is a peer that proves the secret on the control address and then sends a ``Request``, where
a worker would send its ``Join``. Parameters and results travel as JSON: they end up on a terminal
or in another program, and a state object of the application may hold what msgpack cannot pack.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from wallaroo.errors import ProtocolError
from wallaroo.names import Epoch

NO_EPOCH = Epoch(0)
"""The epoch of a client, which does not belong to one."""

PARAMS_LENGTH_MAX = 1 << 20
"""Longest parameters of a request, in characters."""

RESULT_LENGTH_MAX = 48 << 20
"""Longest result, in characters; all are ASCII, so that a control frame can hold it."""

DONE = "done"
REFUSED = "refused"
"""It was not done, or cannot be done; the answer says why."""
MISTAKE = "mistake"
"""The client can correct it: an unknown name, a parameter of the wrong type."""


@dataclass(frozen=True, slots=True)
class Query:
    """Initializer: asks a worker about itself; the answer is ``Replied``."""

    tag: ClassVar[int] = 40
    epoch: Epoch
    request: int
    what: str
    params: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Replied:
    """Worker: answers a ``Query``."""

    tag: ClassVar[int] = 41
    epoch: Epoch
    request: int
    result: str
    """A JSON object."""
    error: str
    """Why there is no result; empty if there is one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Client: asks for something; ``request`` is a number of its own choice."""

    tag: ClassVar[int] = 42
    epoch: Epoch
    request: int
    method: str
    params: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Initializer: reports the progress of a request."""

    tag: ClassVar[int] = 43
    epoch: Epoch
    request: int
    facts: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Initializer: reports the outcome of a request; nothing follows."""

    tag: ClassVar[int] = 44
    epoch: Epoch
    request: int
    kind: str
    """``DONE``, ``REFUSED`` or ``MISTAKE``."""
    result: str
    """A JSON object; empty if the request was not done."""
    what: str
    """Why it was not done."""
    hint: str


def to_json(values: dict[str, Any]) -> str:
    """Return a JSON object on one line. Raises ``ValueError`` for values that JSON does not
    have."""
    return json.dumps(values, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``. Raises ``ProtocolError`` for any other text."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{len(text)} characters of a request are not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ProtocolError(f"a request holds a JSON object, not {type(values).__name__}")
    return values
