"""Declarations of keys in payloads: wrong ones are reported by build(), all together."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import application, tcp_sink
from wallaroo.errors import WallarooParameterError
from wallaroo.topology.describe import plan_dot, plan_text
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application


class Count:
    pass


@wallaroo.state_computation("count")
def count(record: str, state: Count) -> tuple[str, bool]:
    return record, True


@wallaroo.computation("strip")
def strip(record: str) -> str:
    return record.strip()


@wallaroo.partition
def whole(record: str) -> str:
    return record


def two_arguments(payload: bytes, other: int) -> str:
    return ""


def build(key: Any, *, before: Any = None) -> Application:
    builder = application()
    if before is not None:
        builder.to(before)
    return builder.to_state_partition(count, Count, "s", key).to_sink(tcp_sink()).build()


Mistake = tuple[dict[str, Any], str]

MISTAKES: list[Mistake] = [
    ({}, "payload_key() is given nothing; give one of payload_key(function)"),
    ({"offset": 0}, "payload_key() lacks length="),
    ({"length": 1}, "payload_key() lacks offset="),
    ({"offset": -1, "length": 1}, "offset= of payload_key() is the int -1; give a whole number"),
    (
        {"offset": 0, "length": 0},
        "length= of payload_key() is the int 0; give a whole number from 1",
    ),
    ({"offset": True, "length": 1}, "offset= of payload_key() is True"),
    ({"field": 1}, "payload_key() lacks separator="),
    ({"separator": b","}, "payload_key() lacks field="),
    ({"field": 1, "separator": ","}, "separator= of payload_key() is the str ','; give bytes"),
    ({"field": 1, "separator": b""}, "separator= of payload_key() is empty"),
    ({"json": b"user"}, "json= of payload_key() is the bytes b'user'"),
    ({"json": "\ud800"}, "half of a surrogate pair"),
    ({"json": "a", "type": bytes}, "type=bytes together with json; leave it out"),
    ({"field": 0, "separator": b",", "type": int}, "type= of payload_key() is the class int"),
    ({"json": "a", "field": 1}, "payload_key() is given field and separator and json"),
    ({"function": 3}, "the function of payload_key() is the int 3"),
    ({"function": two_arguments}, "the function of payload_key() "),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_a_wrong_declaration_is_a_mistake_of_build(arguments: dict[str, Any], said: str) -> None:
    key = wallaroo.payload_key(**arguments)
    with pytest.raises(WallarooParameterError) as error:
        build(key)
    assert said in str(error.value)
    assert "test_payload_keys.py:" in str(error.value)


def test_nothing_but_the_decoder_may_stand_before_it() -> None:
    with pytest.raises(WallarooParameterError, match="behind the step 'strip'"):
        build(wallaroo.payload_key(json="user"), before=strip)


def test_a_source_without_payloads_has_no_payload_key() -> None:
    class Numbers:
        def initial_value(self) -> int:
            return 0

        def apply(self, value: int) -> int | None:
            return None

    source = wallaroo.GenSourceConfig(Numbers())
    builder = wallaroo.ApplicationBuilder("a").new_pipeline("numbers", source)
    step: Any = count
    builder.to_state_partition(step, Count, "s", wallaroo.payload_key(json="user"))
    with pytest.raises(WallarooParameterError, match="pipeline 'numbers' has no payloads"):
        builder.to_sink(tcp_sink()).build()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (wallaroo.payload_key(offset=0, length=1), "text at 0, length 1"),
        (
            wallaroo.payload_key(field=2, separator=b",", type=bytes),
            "bytes in field 2 separated by b','",
        ),
        (wallaroo.payload_key(json="user"), "value of 'user' in JSON"),
        (wallaroo.payload_key(len), "function len"),
    ],
)
def test_plans_and_outlines_name_it(key: Any, said: str) -> None:
    plan = build(key)
    assert (
        f"by payload key ({said}) to the owner in state 's', payloads travel and are decoded there"
    ) in plan_text(plan)
    assert 'label="key: payload key"' in plan_dot(plan)
    assert f"exchange 0 keyed by payload key: {said} to state 's'" in outline(plan)
    assert repr(key) == f"<payload_key: {said}>"


def test_a_payload_key_is_refused_as_anything_else() -> None:
    with pytest.raises(WallarooParameterError, match="partition_function"):
        build(7)
