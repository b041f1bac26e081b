"""What a worker answers to a query, and what it does with an answer that no frame can hold."""

from types import SimpleNamespace
from typing import Any, cast

from wallaroo.names import Epoch
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.routing.keys import key_bytes
from wallaroo.wire.control import FRAME_BYTES_MAX, ControlFrame, fits
from wallaroo.wire.requests import Query, Replied, from_json, to_json
from wallaroo_workers.query_answers import Answers


def answer(value: object) -> Replied:
    """Return what a worker answers that is asked for a key with this object."""
    sent: list[ControlFrame] = []
    states = {"s": KeyedState({"k": value})}
    machine: Any = SimpleNamespace(dataflow=SimpleNamespace(saved_states=states, timed=None))
    answers = Answers(
        machine=machine, sources=cast(Any, None), sinks=cast(Any, None), send=sent.append
    )
    params = to_json({"state": "s", "key": key_bytes("k").hex()})
    answers.asked(Query(Epoch(1), 7, "get", params))
    (replied,) = sent
    assert isinstance(replied, Replied)
    assert replied.request == 7
    return replied


def test_an_answer_is_json() -> None:
    replied = answer([1, 2])
    assert replied.error == ""
    assert from_json(replied.result)["value"] == [1, 2]


def test_an_answer_that_no_frame_can_hold_becomes_an_error() -> None:
    replied = answer("x" * FRAME_BYTES_MAX)
    assert fits(replied)
    assert replied.result == ""
    assert replied.error.startswith("the answer is too long to be sent: 68,")
