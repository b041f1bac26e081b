"""Shortens keys to be shown in lists, logs, dead letters and on the page.

A key may be a text of megabytes or an integer of thousands of digits, which Python even refuses to
write in decimal. Every place that shows a key shortens it with one of these functions.
"""

from typing import Any

CHARACTERS_MAX = 200
BYTES_MAX = 100
BITS_MAX = 512
ELEMENTS_MAX = 40
"""Elements of a tuple and all tuples in it."""


def short_text(text: str, characters_max: int = CHARACTERS_MAX) -> str:
    """Return ``text``, without its middle if it is too long; both ends identify keys."""
    if len(text) <= characters_max:
        return text
    length = f" ({len(text):,} characters)"
    kept = max(characters_max - len(length) - 1, 2)
    first = (kept + 1) // 2
    return f"{text[:first]}…{text[len(text) - (kept - first) :]}{length}"


def short_key(value: object) -> tuple[Any, bool]:
    """Return the user's key, shortened, and whether nothing was cut.

    A value that was cut has become a text, also within tuples.
    """
    cutter = _Cutter()
    return cutter.cut(value), not cutter.has_cut


class _Cutter:
    """Shortens one key."""

    def __init__(self) -> None:
        self.has_cut = False
        self._elements_left = ELEMENTS_MAX

    def cut(self, value: object) -> Any:
        if isinstance(value, tuple):
            return self._tuple(value)
        shown = _short_plain(value)
        self.has_cut = self.has_cut or shown is not value
        return shown

    def _tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        shown = []
        for number, element in enumerate(value):
            if self._elements_left <= 0:
                self.has_cut = True
                shown.append(f"… ({len(value) - number:,} more)")
                break
            self._elements_left -= 1
            shown.append(self.cut(element))
        return tuple(shown)


def _short_plain(value: object) -> Any:
    if isinstance(value, str):
        return short_text(value)
    if isinstance(value, bytes) and len(value) > BYTES_MAX:
        half = BYTES_MAX // 2 - 10
        return f"0x{value[:half].hex()}…{value[-half:].hex()} ({len(value):,} bytes)"
    if isinstance(value, int) and value.bit_length() > BITS_MAX:
        # Use hexadecimal: Python limits the number of decimal digits, and is slow at writing them.
        shift = value.bit_length() - 128
        sign, magnitude = ("-", -value) if value < 0 else ("", value)
        last = magnitude & ((1 << 64) - 1)
        return f"{sign}{magnitude >> shift:#x}…{last:016x} ({value.bit_length():,} bits)"
    return value
