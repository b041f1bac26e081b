import functools
from collections.abc import Iterator
from typing import Any

import pytest

from wallaroo.api.inspection import (
    Problem,
    caller_place,
    function_place,
    function_problems,
    method_problems,
    named,
)
from wallaroo.topology.graph import SourceLocation


def accepts(function: object, *arguments: str) -> bool:
    return not [*function_problems(function, "it", arguments)]


def two(record: int, state: dict[str, int]) -> int:
    return record


def one_and_defaults(record: int, scale: int = 2, *, unit: str = "s") -> int:
    return record


def one_and_required_keyword(record: int, *, unit: str) -> int:
    return record


def any_number(*records: int) -> int:
    return len(records)


async def coroutine(record: int) -> int:
    return record


def test_a_function_accepts_what_can_be_bound_to_its_parameters() -> None:
    assert accepts(two, "record", "state")
    assert not accepts(two, "record")
    assert not accepts(two, "record", "state", "more")
    assert accepts(one_and_defaults, "record")
    assert accepts(one_and_defaults, "record", "scale")
    assert accepts(any_number)
    assert accepts(any_number, "a", "b", "c")


def test_a_keyword_without_default_can_never_be_given() -> None:
    assert not accepts(one_and_required_keyword, "record")


def test_a_builtin_without_signature_is_taken_to_accept() -> None:
    assert accepts(min, "record")
    assert accepts(dict)


def test_a_wrapper_is_judged_by_what_it_takes_itself() -> None:
    @functools.wraps(two)
    def with_state(record: int) -> int:
        return two(record, {})

    assert accepts(with_state, "record")
    assert not accepts(with_state, "record", "state")


def test_a_partial_is_judged_by_what_is_left() -> None:
    assert accepts(functools.partial(two, 1), "state")


def test_an_async_function_is_refused() -> None:
    (problem,) = function_problems(coroutine, "it", ("record",))
    assert problem.what == "it is an async function"


def many(record: int) -> Iterator[int]:
    yield record


class Calls:
    def __call__(self, record: int) -> Iterator[int]:
        yield record

    async def later(self, record: int) -> int:
        return record


class CallsLater:
    async def __call__(self, record: int) -> int:
        return record


@functools.wraps(many)
def collected(record: int) -> list[int]:
    return list(many(record))


@pytest.mark.parametrize("function", [many, functools.partial(many), Calls(), Calls().__call__])
def test_a_generator_function_is_refused(function: object) -> None:
    (problem,) = function_problems(function, "it", ("record",))
    assert problem.what == "it is a generator function: it has `yield` in it"
    assert "return a list" in problem.remedy


def test_a_generator_function_for_a_batch_gets_the_remedy_of_a_batch() -> None:
    (problem,) = function_problems(many, "it", ("records",))
    assert problem.remedy == "use `return`; return a list with one result for each record"


@pytest.mark.parametrize("function", [functools.partial(coroutine), Calls().later, CallsLater()])
def test_an_async_function_is_refused_whatever_holds_it(function: object) -> None:
    (problem,) = function_problems(function, "it", ("record",))
    assert problem.what == "it is an async function"


def test_a_generator_function_that_something_collects_is_accepted() -> None:
    assert accepts(collected, "record")
    assert accepts(lambda record: list(many(record)), "record")


def test_an_arity_problem_shows_both_sides_without_annotations() -> None:
    (problem,) = function_problems(two, "two", ("record",))
    assert problem.at(SourceLocation("app.py", 3)) == (
        "app.py:3: two is called with 1 argument but is declared (record, state); "
        "declare it (record); further parameters need defaults"
    )


def test_the_place_of_a_function_is_its_definition() -> None:
    otherwise = SourceLocation("elsewhere.py", 1)
    line = two.__code__.co_firstlineno
    assert function_place(two, otherwise) == SourceLocation("test_inspection.py", line)
    assert function_place(functools.partial(two, 1), otherwise).line == line
    assert function_place(len, otherwise) == otherwise
    assert function_place(5, otherwise) == otherwise


def test_the_place_of_a_caller_is_outside_this_package() -> None:
    assert caller_place().file == "test_inspection.py"


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (two, "the function two"),
        (len, "the function len"),
        (dict, "the class dict"),
        (None, "None"),
        (True, "True"),
        ("abc", "the str 'abc'"),
        (5, "the int 5"),
        ({1}, "an object of class set"),
    ],
)
def test_things_are_called_by_kind_and_name(thing: Any, name: str) -> None:
    assert named(thing) == name


def test_a_long_value_is_shortened() -> None:
    assert len(named("x" * 10_000)) < 60


def test_all_missing_methods_are_named_at_once() -> None:
    problems = [*method_problems(5, "it", {"first": (), "second": ()}, "fix it")]
    assert problems == [Problem("it is the int 5, which has no first() and no second()", "fix it")]


def test_a_class_instead_of_its_object_is_told_apart() -> None:
    (problem,) = method_problems(dict, "it", {"keys": ()}, "fix it")
    assert problem == Problem("it is the class dict itself", "give an object of it: dict()")


def test_methods_are_judged_without_self() -> None:
    class Codec:
        def encode(self) -> bytes:
            return b""

    (problem,) = method_problems(Codec(), "it", {"encode": ("record",)}, "fix it")
    assert problem.what == "encode of it is called with 1 argument but is declared ()"
