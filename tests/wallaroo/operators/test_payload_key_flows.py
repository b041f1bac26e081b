"""Records that are keyed before they are decoded: results are as with a partition function."""

from collections import Counter
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import Mesh, application, encode_line, tcp_sink
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.failures import StopOnError
from wallaroo.topology.plan import Application

decoded: list[bytes] = []


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> tuple[str, int] | None:
    decoded.append(payload)
    name, number = payload.decode().split(",")
    return None if number == "0" else (name, int(number))


class Total:
    def __init__(self) -> None:
        self.values: list[int] = []


@wallaroo.state_computation("add")
def add(record: tuple[str, int], total: Total) -> tuple[str | None, bool]:
    total.values.append(record[1])
    return (None if record[1] % 5 == 0 else f"{record[0]}{record[1]}"), True


@wallaroo.partition
def by_name(record: tuple[str, int]) -> str:
    return record[0]


NAMES = ("ann", "bob", "cy", "dee", "eve")
PAYLOADS = [b"%s,%d" % (NAMES[number * 7 % 5].encode(), number % 23) for number in range(200)]


def plan(key: Any, keys: list[str] | None = None) -> Application:
    builder = application(decoder=decode)
    builder.to_state_partition(add, Total, "totals", key, keys)
    return builder.to_sink(tcp_sink(encode_line)).build()


def run(key: Any, worker_count: int, keys: list[str] | None = None, **options: Any) -> Mesh:
    mesh = Mesh(plan(key, keys), worker_count, **options)
    mesh.feed(PAYLOADS)
    return mesh


def facts(mesh: Mesh) -> tuple[Any, ...]:
    totals = {key: Counter(total.values) for key, total in mesh.states("totals").items()}
    return totals, Counter(mesh.lines()), mesh.failures()


KEYS = [
    wallaroo.payload_key(field=0, separator=b","),
    wallaroo.payload_key(lambda payload: payload.partition(b",")[0].decode()),
]


@pytest.mark.parametrize("key", KEYS, ids=["field", "function"])
@pytest.mark.parametrize("worker_count", [1, 2, 3])
@pytest.mark.parametrize("form", [None, BatchFormat.PAYLOADS, BatchFormat.OBJECTS])
@pytest.mark.parametrize("keys", [None, ["ann", "cy"]])
def test_states_output_and_failures_are_the_same(
    key: Any, worker_count: int, form: BatchFormat | None, keys: list[str] | None
) -> None:
    ours = run(key, worker_count, keys, form=form)
    theirs = run(by_name, worker_count, keys, form=form)
    assert facts(ours) == facts(theirs)
    assert all(sent.form is BatchFormat.PAYLOADS for sent in ours.carried)


@pytest.mark.parametrize("worker_count", [1, 2, 3])
def test_each_record_is_decoded_once(worker_count: int) -> None:
    decoded.clear()
    mesh = run(KEYS[0], worker_count)
    assert Counter(decoded) == Counter(PAYLOADS)
    assert bool(mesh.carried) == (worker_count > 1)


@pytest.mark.parametrize("worker_count", [1, 2])
def test_records_are_counted_where_they_change_their_number(worker_count: int) -> None:
    mesh = Mesh(plan(KEYS[0]), worker_count)
    mesh.feed([*PAYLOADS, b"\xff,1", b"ann,x"])
    total: dict[str, list[int]] = {}
    for flow in mesh.flows.values():
        for nodes in flow.counts().values():
            for node, four in nodes.items():
                so_far = total.setdefault(node, [0, 0, 0, 0])
                total[node] = [a + b for a, b in zip(so_far, four, strict=True)]
    source, step, sink = total.values()
    assert source == [202, 202, 0, 0]
    assert step[0] == 202
    assert step[3] == 2
    assert sink[0] == step[1] == len(mesh.lines())


def test_a_payload_without_the_key_is_a_dead_letter_of_its_own_step() -> None:
    mesh = Mesh(plan(wallaroo.payload_key(field=1, separator=b";")), 2)
    mesh.feed([b"ann,1"])
    [failure] = mesh.failures()
    assert failure.step == "payload key"
    assert failure.pipeline == "p"
    assert failure.payload == b"ann,1"
    assert failure.key is None
    assert failure.error == "ValueError: the payload has 1 fields and the key is field 1"


def test_it_stops_the_cluster_if_errors_are_to() -> None:
    mesh = Mesh(plan(wallaroo.payload_key(field=1, separator=b";")), 2, stop_on_error=True)
    with pytest.raises(StopOnError) as stop:
        mesh.feed([b"ann,1"])
    assert stop.value.failure.step == "payload key"


def test_a_record_that_cannot_be_decoded_fails_at_its_owner_with_its_key() -> None:
    mesh = Mesh(plan(KEYS[0]), 2)
    mesh.feed([b"ann,x", b"bob,x"])
    failures = mesh.failures()
    assert sorted(failure.key for failure in failures) == ["ann", "bob"]
    assert {failure.step for failure in failures} == {"decoder"}


def test_it_goes_on_when_the_members_change() -> None:
    mesh = Mesh(plan(KEYS[0]), 2)
    mesh.feed(PAYLOADS[:100])
    for flow in mesh.flows.values():
        flow.bind(mesh.workers, mesh.maps)
    mesh.feed(PAYLOADS[100:])
    assert facts(mesh) == facts(run(by_name, 2))
