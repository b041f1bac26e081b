"""Errors, records and results of any shape: one record becomes a dead letter, the others go on."""

import dataclasses
from typing import Any

import msgpack
import pytest

import wallaroo
from tests.wallaroo.operators.mesh import Mesh, application, payloads, stateless_plan, tcp_sink
from wallaroo.operators.failures import Failure
from wallaroo.operators.state_rendering import show
from wallaroo.routing.keys import short_repr

ENDS = (SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError, MemoryError, StopIteration)


def raising(error: BaseException) -> Any:
    def method(*_: object) -> Any:
        raise error

    return method


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    symbol: str


class HidingMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit(7)


class HiddenError(Exception, metaclass=HidingMeta):
    pass


class UntraceableError(Exception):
    __traceback__ = None


class StubbornError(Exception):
    __setattr__ = raising(SystemExit(3))
    __getattribute__ = raising(SystemExit(4))


class FalseError(Exception):
    __bool__ = raising(SystemExit(5))
    __len__ = raising(SystemExit(5))
    __eq__ = raising(SystemExit(5))
    __hash__ = raising(SystemExit(5))


class NotTextError(Exception):
    def __str__(self) -> Any:
        return 5


def with_notes() -> BaseException:
    error = ValueError("noted")
    error.__notes__ = raising(SystemExit(6))
    return error


def with_itself_as_cause() -> BaseException:
    error = ValueError("round")
    error.__cause__ = error
    return error


def with_untellable_cause() -> BaseException:
    error = ValueError("caused")
    error.__cause__ = untellable("__str__", SystemExit)
    return error


def untellable(method: str, kind: type[BaseException]) -> BaseException:
    made: BaseException = type("UntellableError", (Exception,), {method: raising(kind("no"))})("x")
    return made


ERRORS: list[BaseException] = [
    *(kind("raised itself") for kind in ENDS),
    *(untellable(method, kind) for method in ("__str__", "__repr__") for kind in ENDS),
    FrozenError("X"),
    HiddenError("x"),
    UntraceableError("x"),
    StubbornError("x"),
    FalseError("x"),
    NotTextError("x"),
    with_notes(),
    with_itself_as_cause(),
    with_untellable_cause(),
    BaseExceptionGroup("group", [SystemExit(1), untellable("__str__", SystemExit)]),
    SyntaxError("odd", ("file", "no number", None, 5)),  # type: ignore[arg-type]
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\ud800"),
]


def failures_of(mesh: Mesh) -> list[Failure]:
    """The failures, which can all be told: in msgpack, and so in JSON."""
    failures = mesh.failures()
    for failure in failures:
        msgpack.packb(dataclasses.asdict(failure))
        assert failure.error
        assert failure.traceback
    return failures


# By their numbers: pytest looks at parameters itself.
@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_whatever_a_function_raises_the_next_record_is_processed(number: int) -> None:
    error = ERRORS[number]

    def step(word: str) -> str:
        if word == "bad":
            raise error
        return word

    mesh = Mesh(stateless_plan(step))
    mesh.feed(payloads("a bad b bad c"))
    assert mesh.lines() == ["a", "b", "c"]
    assert [failure.payload for failure in failures_of(mesh)] == [b"bad", b"bad"]


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("method", ["__repr__", "__str__", "__class__", "__getattribute__"])
def test_a_record_that_cannot_be_looked_at_is_a_dead_letter(
    kind: type[BaseException], method: str
) -> None:
    hook = raising(kind("not for you"))
    body: dict[str, Any] = {method: property(hook) if method == "__class__" else hook}
    record_class = type("Record", (), body)
    plan = stateless_plan(
        lambda word: record_class() if word == "bad" else word,
        lambda record: 1 // 0 if type(record) is record_class else record,
    )
    mesh = Mesh(plan)
    mesh.feed(payloads("a bad b"))
    assert mesh.lines() == ["a", "b"]
    (failure,) = failures_of(mesh)
    assert failure.record
    assert short_repr(record_class())
    assert show(record_class())["type"] == "Record"


class Sly:
    __class__ = property(raising(SystemExit(1)))


class SlyList(list):  # type: ignore[type-arg]
    __iter__ = raising(SystemExit(1))


def test_a_result_that_hides_what_it_is_is_a_dead_letter() -> None:
    encoder: Any = wallaroo.encoder(lambda word: Sly() if word == "bad" else f"{word}\n")
    mesh = Mesh(stateless_plan(encoder=encoder))
    mesh.feed(payloads("a bad b"))
    assert (mesh.lines(), len(failures_of(mesh))) == (["a", "b"], 1)


def test_a_list_that_cannot_be_read_is_a_dead_letter() -> None:
    split = wallaroo.computation_multi("split")(
        lambda word: SlyList([word]) if word == "bad" else [word]
    )
    mesh = Mesh(application().to(split).to_sink(tcp_sink()).build())
    mesh.feed(payloads("a bad b"))
    assert (mesh.lines(), len(failures_of(mesh))) == (["a", "b"], 1)


def test_a_record_that_pickles_only_once_is_a_dead_letter() -> None:
    class Once:
        count = 0

        def __reduce__(self) -> Any:
            Once.count += 1
            if Once.count % 2:
                return str, ("ok",)
            raise SystemExit(1)

    from wallaroo.operators.batches import BatchFormat, pack_objects, unpack

    class Never:
        __reduce__ = raising(SystemExit(1))

    body, bad = pack_objects(["k", Once(), b"1", "k", Never(), b"2"], None)
    assert len(bad) == 2
    assert unpack(BatchFormat.OBJECTS, body, None)[0].records == []
