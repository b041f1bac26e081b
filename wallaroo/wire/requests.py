"""Frames of requests: what people and programs ask of a running cluster, and what comes back.

    client -> initializer   Request          initializer -> worker   Query
    client <- initializer   Progress ...     initializer <- worker   Replied
    client <- initializer   Answer

A client is whoever proves the secret on the control address and then sends a ``Request`` where a
worker would send its ``Join``. Parameters and results travel as JSON: they end on a terminal or in
another program, and a state object of the application may hold what msgpack does not pack.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from wallaroo.errors import ProtocolError
from wallaroo.names import Epoch

NO_EPOCH = Epoch(0)
"""Of a client, which belongs to none."""

PARAMS_LENGTH_MAX = 1 << 20
"""Characters of a request's parameters."""

RESULT_LENGTH_MAX = 48 << 20
"""Characters of a result; all of them are ASCII, so a control frame has room for it."""

DONE = "done"
REFUSED = "refused"
"""It cannot be done, or was not done: the answer says why."""
MISTAKE = "mistake"
"""Whoever asked can mend it: a name that is not there, a parameter of the wrong kind."""


@dataclass(frozen=True, slots=True)
class Query:
    """Initializer: say something of yourself; the answer is ``Replied``."""

    tag: ClassVar[int] = 40
    epoch: Epoch
    request: int
    what: str
    params: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Replied:
    """Worker: the answer to a ``Query``."""

    tag: ClassVar[int] = 41
    epoch: Epoch
    request: int
    result: str
    """A JSON object."""
    error: str
    """Why there is no result; empty where there is one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Client: do this; ``request`` is a number of its own choice."""

    tag: ClassVar[int] = 42
    epoch: Epoch
    request: int
    method: str
    params: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Initializer: how far a request is."""

    tag: ClassVar[int] = 43
    epoch: Epoch
    request: int
    facts: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Initializer: what came of a request; nothing follows."""

    tag: ClassVar[int] = 44
    epoch: Epoch
    request: int
    kind: str
    """``DONE``, ``REFUSED`` or ``MISTAKE``."""
    result: str
    """A JSON object; empty where it is not done."""
    what: str
    """Why it is not done."""
    hint: str


def to_json(values: dict[str, Any]) -> str:
    """Return a JSON object on one line. Raises ``ValueError`` for what JSON does not know."""
    return json.dumps(values, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``. Raises ``ProtocolError`` if there is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{len(text)} characters of a request are no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ProtocolError(f"a request holds a JSON object, not {type(values).__name__}")
    return values
