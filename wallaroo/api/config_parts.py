"""What the configurations of TCP and of files have in common."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from wallaroo.api.decorated import is_decorated
from wallaroo.api.inspection import Problem, named
from wallaroo.connectors.file import FRAMINGS


def read_form(
    kind: str, form: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Return what ``form``, one of several signatures of a class, makes of these arguments.

    Raises ``TypeError``, with the name of the class, if they do not fit.
    """
    try:
        bound = inspect.signature(form).bind(*arguments, **options)
    except TypeError as error:
        raise TypeError(f"{kind}() {error}") from None
    return form(*bound.args, **bound.kwargs)


def header_length(decoder: Any) -> int:
    """Return the length of the header that a decoder expects."""
    length: int = decoder.header_length()
    return length


def payload_length(decoder: Any) -> str | Callable[[bytes], int]:
    """Return how the header says the length of the payload: a format, or a function."""
    length: str | Callable[[bytes], int]
    length = decoder.length_fmt if is_decorated(decoder) else decoder.payload_length
    return length


def decode_function(decoder: Any) -> Callable[[bytes], Any]:
    """Return the function that workers call: the user's own one, if a decorator was used."""
    function: Callable[[bytes], Any]
    function = decoder.function if is_decorated(decoder) else decoder.decode
    return function


def encode_function(encoder: Any) -> Callable[[Any], bytes | str | None]:
    """Return the function that workers call: the user's own one, if a decorator was used."""
    function: Callable[[Any], bytes | str | None]
    function = encoder.function if is_decorated(encoder) else encoder.encode
    return function


def sink_name_problems(config: str, name: object) -> Iterator[Problem]:
    """Yield a problem unless the name of a sink is left out or a text."""
    if name is not None and (not isinstance(name, str) or not name):
        yield Problem(f"the name of {config} is {named(name)}", 'give a text, such as "totals"')


def framing_problems(config: str, framing: object) -> Iterator[Problem]:
    """Yield a problem unless ``framing`` is a known one."""
    if framing not in FRAMINGS:
        known = " or ".join(f'"{each}"' for each in FRAMINGS)
        yield Problem(f"the framing of {config} is {named(framing)}", f"give {known}")
