import copy
import inspect
import pickle
import subprocess
import sys
from typing import Any, assert_type

import pytest

import wallaroo


@wallaroo.computation("double")
def double(record: int, *, factor: int = 2) -> int:
    """Multiply."""
    return record * factor


@wallaroo.computation_multi("split")
def split(line: str) -> list[str]:
    return line.split()


@wallaroo.state_computation("count")
def count(word: str, totals: dict[str, int]) -> tuple[int, bool]:
    totals[word] = totals.get(word, 0) + 1
    return totals[word], True


@wallaroo.state_computation_multi("letters")
def letters(word: str, seen: set[str]) -> tuple[list[str], bool]:
    return [letter for letter in word if letter not in seen], False


def plain(record: int) -> int:
    return record


def mistake_of(thing: Any) -> str:
    (mistake,) = thing.mistakes
    return str(mistake)


def test_calling_the_object_calls_the_function() -> None:
    assert double(4) == 8
    assert double(4, factor=3) == 12
    assert split("a b") == ["a", "b"]
    assert count("a", {"a": 1}) == (2, True)
    assert letters("abc", {"b"}) == (["a", "c"], False)


def test_the_object_keeps_the_types_of_its_function() -> None:
    assert_type(double(4, factor=3), int)
    assert_type(split.compute_multi("a"), list[str])
    assert_type(count.compute("a", {}), tuple[int, bool])


def test_the_methods_of_the_class_style_are_there() -> None:
    assert double.name() == "double"
    assert double.compute(4) == 8
    assert split.compute_multi("a b") == ["a", "b"]
    assert count.compute("a", {}) == (1, True)
    assert letters.compute_multi("ab", set()) == (["a", "b"], False)
    assert not hasattr(split, "compute")
    assert not hasattr(letters, "compute")


def test_the_object_looks_like_its_function() -> None:
    copied: Any = double
    assert copied.__name__ == "double"
    assert copied.__doc__ == "Multiply."
    assert copied.__wrapped__ is double.function
    assert [*inspect.signature(double).parameters] == ["record", "factor"]


def test_repr_tells_name_function_and_place() -> None:
    function: Any = double.function
    line = function.__code__.co_firstlineno
    assert repr(double) == (
        f"<Computation 'double' ({__name__}.double) at test_computations.py:{line}>"
    )


@pytest.mark.parametrize("thing", [double, split, count, letters])
def test_pickle_refers_to_the_module(thing: Any) -> None:
    assert pickle.loads(pickle.dumps(thing)) is thing
    assert copy.deepcopy(thing) is thing


@pytest.mark.parametrize(
    ("thing", "name", "base"),
    [
        (double, "Computation__double", wallaroo.Computation),
        (split, "ComputationMulti__split", wallaroo.ComputationMulti),
        (count, "StateComputation__count", wallaroo.StateComputation),
        (letters, "StateComputationMulti__letters", wallaroo.StateComputationMulti),
        (wallaroo.partition(plain), "Partition__plain", wallaroo.Partition),
        (wallaroo.encoder(plain), "Encoder__plain", wallaroo.Encoder),
        (wallaroo.decoder(4, ">I")(plain), "Decoder__plain", wallaroo.Decoder),
        (wallaroo.decoder(plain), "Decoder__plain", wallaroo.Decoder),
    ],
)
def test_each_decorated_function_has_a_class_of_its_own(thing: Any, name: str, base: type) -> None:
    own = type(thing)
    assert own.__name__ == name
    assert issubclass(own, base)
    assert pickle.loads(pickle.dumps(getattr(wallaroo, name))) is getattr(wallaroo, name)


def test_an_object_is_of_no_other_functions_class() -> None:
    def halved(record: int) -> int:
        return record // 2

    # Made here: of two functions of one name, in any module, the later has the name of the class.
    one: Any = wallaroo.computation("one")(halved)
    other: Any = wallaroo.computation("other")(plain)
    assert isinstance(one, vars(wallaroo)["Computation__halved"])
    assert not isinstance(other, vars(wallaroo)["Computation__halved"])
    assert not isinstance(other, wallaroo.StateComputation)
    assert isinstance(other, vars(wallaroo)["Computation__plain"])


def adding(number: int) -> Any:
    def add(record: int) -> int:
        return record + number

    add.__name__ = f"add_{number}"
    return wallaroo.computation(f"add {number}")(add)


for each in (1, 2):
    globals()[f"add_{each}"] = adding(each)


@pytest.mark.parametrize("number", [1, 2])
def test_a_function_made_in_another_can_be_pickled_under_the_name_it_has_in_its_module(
    number: int,
) -> None:
    thing = globals()[f"add_{number}"]
    assert pickle.loads(pickle.dumps(thing)) is thing
    assert thing.compute(1) == 1 + number
    assert type(thing).__name__ == f"Computation__add_{number}"
    program = f"import pickle; print(pickle.loads({pickle.dumps(thing)!r}).compute(5))"
    told = subprocess.check_output(
        [sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, text=True
    )
    assert told == f"{5 + number}\n"


def test_the_name_may_be_given_to_the_decorated_object(monkeypatch: pytest.MonkeyPatch) -> None:
    thing = adding(3)
    thing.__name__ = "adds_three"
    monkeypatch.setitem(globals(), "adds_three", thing)
    assert pickle.loads(pickle.dumps(thing)) is thing


def test_a_local_function_is_refused_by_pickle() -> None:
    @wallaroo.computation("local")
    def local(record: int) -> int:
        return record

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


def test_a_wrong_arity_waits_in_the_object() -> None:
    needs_state = wallaroo.state_computation("x")(plain)
    line = plain.__code__.co_firstlineno
    assert mistake_of(needs_state) == (
        f"test_computations.py:{line}: plain, decorated with @wallaroo.state_computation(name), "
        "is called with 2 arguments but is declared (record); declare it (record, state); "
        "further parameters need defaults"
    )


def test_a_mistaken_object_refuses_to_be_called() -> None:
    mistaken = wallaroo.state_computation("x")(plain)
    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        mistaken(1)
    assert caught.value.mistakes == mistaken.mistakes
    with pytest.raises(wallaroo.WallarooParameterError):
        mistaken.compute(1)


@pytest.mark.parametrize(
    "decorator",
    [
        wallaroo.computation,
        wallaroo.computation_multi,
        wallaroo.state_computation,
        wallaroo.state_computation_multi,
    ],
)
def test_a_decorator_without_name_is_a_mistake(decorator: Any) -> None:
    def accepts_any(*arguments: int) -> None:
        pass

    forgot = decorator(accepts_any)
    bare = f"@wallaroo.{decorator.__name__}"
    assert f'{bare} is written without a name; write {bare}("what it does")' in mistake_of(forgot)
    assert forgot.name() == "accepts_any"


@pytest.mark.parametrize(("name", "seen"), [("", "is empty"), ("  ", "is empty"), (5, "the int 5")])
def test_a_name_is_a_string_with_something_in_it(name: Any, seen: str) -> None:
    assert seen in mistake_of(wallaroo.computation(name)(plain))


def test_what_cannot_be_called_is_a_mistake_at_the_place_of_the_decorator() -> None:
    not_callable: Any = 5
    mistake = mistake_of(wallaroo.computation("x")(not_callable))
    assert mistake.startswith("test_computations.py:")
    assert "what @wallaroo.computation(name) decorates is the int 5" in mistake


def test_two_decorators_on_one_function_are_a_mistake() -> None:
    twice = wallaroo.computation("x")(split)
    assert "split has both @wallaroo.computation(name) and @wallaroo.computation_multi" in (
        mistake_of(twice)
    )


def test_all_mistakes_of_an_object_are_kept() -> None:
    assert len(wallaroo.state_computation("")(plain).mistakes) == 2
