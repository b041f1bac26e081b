import logging

import wallaroo


def test_what_is_serialized_comes_back() -> None:
    record = {"key": (1, b"2", None), "nested": [{"a": 1.5}]}
    data = wallaroo.serialize(record)
    assert isinstance(data, bytes)
    assert wallaroo.deserialize(data) == record


def test_the_pickle_protocol_is_fixed() -> None:
    assert wallaroo.serialize(None)[:2] == b"\x80\x05"


def test_loggers_of_an_application_are_below_one() -> None:
    assert wallaroo.get_logger() is logging.getLogger("application")
    assert wallaroo.get_logger("votes").parent is wallaroo.get_logger()
