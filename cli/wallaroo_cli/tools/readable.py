"""Output for terminals and files that cannot show every character, as in a Latin-1 locale.

Python raises if a character cannot be written, in the middle of an answer. Here a character that
the encoding lacks becomes a similar one, or its escape: ``*`` for a dot, ``\\u6f22`` for a Chinese
character of a key.
"""

import codecs
import sys

HANDLER = "wallaroo_readable"

SIMILAR = {
    "●": "*", "▲": "^", "✕": "x", "·": ".", "…": "...", "—": "-", "µ": "u",
    "•": "*", "─": "-", "━": "-", "│": "|", "╺": "-", "╸": "-", "\N{NO-BREAK SPACE}": " ",
    "“": '"', "”": '"', "≤": "<=", "≥": ">=", "→": "->", "\N{EN DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}  # fmt: skip

_BRAILLE = range(0x2800, 0x2900)
"""The characters of progress lines."""


def make_readable() -> None:
    """Make standard output and standard error write a substitute for each missing character."""
    codecs.register_error(HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        # A stream that was closed at the start is None, and tests put other objects there.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_similar, error.object[error.start : error.end])), error.end


def _similar(letter: str) -> str:
    if letter in SIMILAR:
        return SIMILAR[letter]
    if ord(letter) in _BRAILLE:
        return "*"
    return letter.encode("ascii", "backslashreplace").decode()
