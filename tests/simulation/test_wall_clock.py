"""Alarms of a simulated worker go by the clock that says when its records were read."""

import pytest

import wallaroo
from wallaroo.operators.dataflow import Dataflow
from wallaroo.testing import simulate
from wallaroo.testing.worker import SimulatedWorker


class Total:
    value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


@wallaroo.state_computation("count", Total)
def count(line: str, total: Total, ctx: wallaroo.Context[str]) -> str:
    total.value += 1
    return f"{ctx.key} {total.value}"


def test_the_wall_clock_of_states_is_that_of_their_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[SimulatedWorker, Dataflow]] = []
    new_dataflow = SimulatedWorker.new_dataflow

    def noted(worker: SimulatedWorker) -> Dataflow:
        made.append((worker, new_dataflow(worker)))
        return made[-1][1]

    monkeypatch.setattr(SimulatedWorker, "new_dataflow", noted)
    source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode)
    pipeline = wallaroo.source("lines", source).key_by(str).to(count)
    application = wallaroo.build_application(
        "counts", pipeline.to_sink(wallaroo.FileSinkConfig("out", encode))
    )
    simulate(application, {"lines": [[b"a", b"b"] * 10]}, seed=1)
    assert made
    for worker, dataflow in made:
        assert dataflow.timed is not None
        assert dataflow.timed.keyed.wall_ns() == worker.wall_ns()
