"""A failure shows what happened, however hostile the record or its error."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from wallaroo.describing import text_of
from wallaroo.operators.failures import (
    RECORD_SHOWN_CHARACTERS_MAX,
    Failure,
    Site,
    StopOnError,
    describe_failure,
)
from wallaroo.routing.keys import canonical_key

SITE = Site("p", "step", has_key=True)


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("never shown")


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("never said")


def failed(error: Exception, record: object = None, key: object = None) -> Failure:
    """Describe ``error`` as raised by a user's function, which a chain called."""

    def users_function() -> None:
        raise error

    try:
        users_function()
    except Exception as caught:  # noqa: BLE001  any kind may be asked for
        return describe_failure(caught, SITE, key, record, b"payload")
    raise AssertionError("not raised")


def described(
    call: Callable[[], object],
    function: Callable[..., object] | None = None,
    *,
    skips_frame: bool = False,
) -> Failure:
    """Describe what ``call`` raises; ``function`` is the one that the site names."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  any kind may be asked for
        if skips_frame:
            assert error.__traceback__ is not None
            error = error.with_traceback(error.__traceback__.tb_next)
        site = Site("p", "step", has_key=True, function=function)
        return describe_failure(error, site, None, "r", None)
    raise AssertionError("not raised")


def test_all_facts_of_an_error_are_reported() -> None:
    failure = failed(ValueError("no such symbol"), {"symbol": "X"}, canonical_key("k"))
    assert (failure.pipeline, failure.step, failure.key) == ("p", "step", "k")
    assert (failure.payload, failure.record) == (b"payload", "{'symbol': 'X'}")
    assert failure.error == "ValueError: no such symbol"
    assert failure.traceback.endswith("ValueError: no such symbol\n")


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        ("a0", None),
        (5, None),
        (object(), None),
        (None, None),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
    ],
)
def test_a_payload_that_is_not_bytes_is_shown_as_the_record_alone(
    payload: object, kept: bytes | None
) -> None:
    failure = describe_failure(ValueError(), SITE, None, payload, payload)
    assert failure.payload == kept
    assert failure.record == text_of(payload)


def test_the_traceback_begins_in_the_users_function() -> None:
    first = failed(ValueError()).traceback.splitlines()[1]
    assert first.endswith("in users_function")
    assert f'File "{__file__}"' in first


def test_an_error_of_a_built_in_function_has_no_place_but_its_name() -> None:
    try:
        int("x")
    except ValueError as error:
        failure = describe_failure(error, SITE, None, "x", None)
    assert failure.traceback.startswith("ValueError: invalid literal")


def test_the_place_is_the_innermost_line_of_the_users_files() -> None:
    def users_helper() -> None:
        json.loads("{")  # fails in two functions of the library

    def users_function() -> None:
        users_helper()

    line = users_helper.__code__.co_firstlineno + 1
    assert described(users_function).at == f"{__file__}:{line}"
    assert "decoder.py" in described(users_function).traceback


def test_the_place_of_a_refused_result_is_its_function() -> None:
    def users_function() -> float:
        return 1.5

    def chain() -> None:
        users_function()
        raise TypeError("a float is not a key")

    failure = described(chain, users_function, skips_frame=True)
    assert failure.at == f"{__file__}:{users_function.__code__.co_firstlineno}"


def test_a_function_of_an_installed_package_has_a_place_too() -> None:
    names: dict[str, Any] = {}
    path = "/opt/lib/site-packages/app/steps.py"
    exec(compile("\n\ndef step():\n    return int('x')\n", path, "exec"), names)
    assert described(names["step"], names["step"]).at == f"{path}:4"


def test_an_error_without_a_line_of_the_user_has_no_place() -> None:
    try:
        int("x")
    except ValueError as error:
        assert describe_failure(error, SITE, None, "x", None).at == ""


@pytest.mark.parametrize(
    ("key", "as_json"),
    [(True, "true"), (1, "1"), ("1", '"1"'), (b"1", "\"b'1'\""), ("", '""'),
     ((1, (False, "x")), '[1, [false, "x"]]'), ("\udcff", '"\\\\udcff"')],
)  # fmt: skip
def test_a_key_is_shown_as_json_has_it(key: object, as_json: str) -> None:
    assert json.dumps(failed(ValueError(), key=canonical_key(key)).key) == as_json


def test_an_integer_of_any_size_is_shown() -> None:
    shown = failed(ValueError(), key=10**5000).key
    assert isinstance(shown, str)
    assert len(shown) < 200


def test_an_error_with_text_that_no_file_takes_is_written_with_escapes() -> None:
    failure = failed(ValueError("bad \udcff"))
    assert failure.error == "ValueError: bad \\udcff"
    assert failure.traceback.encode()


def test_a_record_that_cannot_be_shown_does_not_hide_the_error() -> None:
    failure = failed(ValueError("x"), Shy())
    assert (failure.record, failure.error) == ("<Shy that cannot be shown>", "ValueError: x")


def test_an_error_that_cannot_be_shown_is_named() -> None:
    failure = failed(WordlessError(), "r")
    assert failure.error == "WordlessError: <WordlessError that cannot be shown>"
    assert "WordlessError" in failure.traceback


def test_long_records_and_messages_are_shortened() -> None:
    failure = failed(ValueError("m" * 1000), "r" * 1000)
    assert failure.record == "'" + "r" * (RECORD_SHOWN_CHARACTERS_MAX - 1) + "\u2026"
    assert failure.error == "ValueError: " + "m" * RECORD_SHOWN_CHARACTERS_MAX + "\u2026"


def test_a_failure_holds_nothing_that_cannot_travel() -> None:
    failure = failed(WordlessError(), Shy(), canonical_key((True, 1)))
    assert pickle.loads(pickle.dumps(failure)) == failure


def test_a_stop_is_not_an_exception_that_a_chain_would_take_for_the_users() -> None:
    assert not issubclass(StopOnError, Exception)
    failure = failed(ValueError("x"))
    assert (StopOnError(failure).failure, str(StopOnError(failure))) == (failure, "ValueError: x")
