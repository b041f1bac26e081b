"""Records that are routed by the keys of their source: results are as with a partition function."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import Mesh, encode_line, tcp_sink
from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.operators.batches import BatchFormat
from wallaroo.topology.describe import plan_text
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application

decoded: list[bytes] = []


def decode(payload: bytes) -> tuple[str, int] | None:
    decoded.append(payload)
    name, number = payload.decode().split(",")
    return None if number == "0" else (name, int(number))


class Messages(wallaroo.PartitionedSource[Any]):
    def __init__(self, key: Any, decoder: Callable[[bytes], Any] | None = decode) -> None:
        self.key = key
        self.decoder = decoder

    def read(self, partition: str, position: Any, /) -> Iterator[Any]:
        yield None


class Total:
    def __init__(self) -> None:
        self.values: list[int] = []


@wallaroo.state_computation("add")
def add(record: tuple[str, int], total: Total) -> tuple[str | None, bool]:
    total.values.append(record[1])
    return (None if record[1] % 5 == 0 else f"{record[0]}{record[1]}"), True


@wallaroo.computation("same")
def same(record: Any) -> Any:
    return record


@wallaroo.partition
def by_name(record: tuple[str, int]) -> str:
    return record[0]


NAMES = (b"ann", b"bob", b"cy", b"dee", b"eve")
KEYS = [NAMES[number * 7 % 5] for number in range(200)]
PAYLOADS = [b"%s,%d" % (key, number % 23) for number, key in enumerate(KEYS)]


def plan(by: Any, key: Any = "utf-8", decoder: Any = decode) -> Application:
    builder = wallaroo.ApplicationBuilder("test").new_pipeline("p", Messages(key, decoder))
    return (
        builder.to_state_partition(add, Total, "totals", by).to_sink(tcp_sink(encode_line)).build()
    )


def run(by: Any, worker_count: int, key: Any = "utf-8", **options: Any) -> Mesh:
    mesh = Mesh(plan(by, key), worker_count, **options)
    mesh.feed(KeyedRecords(PAYLOADS, KEYS))
    return mesh


def facts(mesh: Mesh) -> tuple[Any, ...]:
    totals = {key: Counter(total.values) for key, total in mesh.states("totals").items()}
    return totals, Counter(mesh.lines()), mesh.failures()


@pytest.mark.parametrize("worker_count", [1, 2, 3])
@pytest.mark.parametrize("form", [None, BatchFormat.PAYLOADS, BatchFormat.OBJECTS])
@pytest.mark.parametrize("key", ["utf-8", bytes.decode], ids=["text", "function"])
def test_states_output_and_failures_are_as_with_a_partition_function(
    worker_count: int, form: BatchFormat | None, key: Any
) -> None:
    ours = run(wallaroo.source_key, worker_count, key, form=form)
    theirs = run(by_name, worker_count, form=form)
    assert facts(ours) == facts(theirs)
    assert all(sent.form is BatchFormat.PAYLOADS for sent in ours.carried)


def test_keys_may_stay_bytes() -> None:
    assert set(run(wallaroo.source_key, 2, "bytes").states("totals")) == {*NAMES}


@pytest.mark.parametrize("worker_count", [1, 2, 3])
def test_each_record_is_decoded_once_by_its_owner(worker_count: int) -> None:
    decoded.clear()
    mesh = run(wallaroo.source_key, worker_count)
    assert Counter(decoded) == Counter(PAYLOADS)
    assert bool(mesh.carried) == (worker_count > 1)


@pytest.mark.parametrize("worker_count", [1, 2])
def test_a_source_without_decoder_hands_out_records_with_keys(worker_count: int) -> None:
    records = [(key.decode(), number) for number, key in enumerate(KEYS)]
    mesh = Mesh(plan(wallaroo.source_key, decoder=None), worker_count)
    mesh.feed(KeyedRecords(records, KEYS))
    assert sum(len(total.values) for total in mesh.states("totals").values()) == 200
    assert mesh.failures() == []


@pytest.mark.parametrize(
    ("key", "form", "error"),
    [
        (None, "utf-8", "ValueError: the record has no key"),
        (b"\xff", "utf-8", "UnicodeDecodeError"),
        (b"x", len, ""),
        (b"x", lambda key: key / 2, "TypeError"),
        (b"x", lambda _: 0.5, "TypeError: a float cannot be a key"),
    ],
)
def test_a_record_without_a_usable_key_is_a_dead_letter(key: Any, form: Any, error: str) -> None:
    mesh = Mesh(plan(wallaroo.source_key, form), 2)
    mesh.feed(KeyedRecords([b"ann,1"], [key]))
    failures = mesh.failures()
    assert [failure.step for failure in failures] == ["source key"] * bool(error)
    for failure in failures:
        assert failure.error.startswith(error)
        assert failure.payload == b"ann,1"
        assert failure.key is None


def test_a_record_that_cannot_be_decoded_fails_at_its_owner_with_its_key() -> None:
    mesh = Mesh(plan(wallaroo.source_key), 2)
    mesh.feed(KeyedRecords([b"ann,x", b"bob,x"], [b"ann", b"bob"]))
    failures = mesh.failures()
    assert sorted(failure.key for failure in failures) == ["ann", "bob"]
    assert {failure.step for failure in failures} == {"decoder"}


@pytest.mark.parametrize("worker_count", [1, 2])
def test_records_are_counted_where_they_change_their_number(worker_count: int) -> None:
    mesh = Mesh(plan(wallaroo.source_key), worker_count)
    mesh.feed(KeyedRecords([*PAYLOADS, b"ann,1", b"ann,x"], [*KEYS, None, b"ann"]))
    total: dict[str, list[int]] = {}
    for flow in mesh.flows.values():
        for nodes in flow.counts().values():
            for node, four in nodes.items():
                so_far = total.setdefault(node, [0, 0, 0, 0])
                total[node] = [a + b for a, b in zip(so_far, four, strict=True)]
    source, step, sink = total.values()
    assert source == [202, 202, 0, 0]
    assert (step[0], step[3]) == (202, 2)
    assert sink[0] == step[1] == len(mesh.lines())


def test_slices_of_records_keep_their_keys() -> None:
    records = KeyedRecords([1, 2, 3], ["a", "b", "c"])
    assert (records[1:], records[1:].keys, records[0]) == ([2, 3], ["b", "c"], 1)


def test_plans_and_outlines_name_it() -> None:
    made = plan(wallaroo.source_key)
    assert "by source key to the owner in state 'totals', payloads travel" in plan_text(made)
    assert "exchange 0 keyed by source key to state 'totals'" in outline(made)
    assert "key='utf-8')" in outline(made)[1]


def test_without_keys_it_is_a_mistake_of_build() -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match="pipeline 'p' has no keys; give it"):
        plan(wallaroo.source_key, None)


def test_behind_a_step_it_is_a_mistake_of_build() -> None:
    builder = wallaroo.ApplicationBuilder("test").new_pipeline("p", Messages("utf-8"))
    builder.to(same).to_state_partition(add, Total, "totals", wallaroo.source_key)
    with pytest.raises(wallaroo.WallarooParameterError, match="behind the step 'same'"):
        builder.to_sink(tcp_sink()).build()


def test_an_unknown_form_of_keys_is_a_mistake_of_build() -> None:
    with pytest.raises(wallaroo.WallarooParameterError, match="the key of Messages is 'latin'"):
        plan(wallaroo.source_key, "latin")
