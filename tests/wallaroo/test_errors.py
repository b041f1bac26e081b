"""What Python shows of our errors."""

import pickle
import traceback

from wallaroo.errors import ConfigError, WallarooError


def shown(error: WallarooError) -> str:
    return "".join(traceback.format_exception_only(error))


def test_a_traceback_shows_the_hint_once() -> None:
    error = ConfigError("the source is unknown", hint="name one of those")
    said = "wallaroo.errors.ConfigError: the source is unknown\nhint: name one of those\n"
    assert shown(error) == said
    assert shown(pickle.loads(pickle.dumps(error))) == said


def test_the_text_of_an_error_is_what_happened() -> None:
    assert str(ConfigError("the source is unknown", hint="name one of those")) == (
        "the source is unknown"
    )


def test_a_traceback_without_a_hint_has_no_note() -> None:
    assert shown(ConfigError("the source is unknown")) == (
        "wallaroo.errors.ConfigError: the source is unknown\n"
    )
