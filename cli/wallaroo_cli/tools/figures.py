"""Numbers, durations and sizes as people read them; a dash where nothing was measured."""

NOTHING = "-"
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_DURATIONS = ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (60.0, 1.0, "s"))


def count_text(value: float | None) -> str:
    """Return a number or a rate: ``0.4``, ``9,874``, ``48.1k``, ``366.2M``."""
    if value is None:
        return NOTHING
    if 0 < value < 10 and value != int(value):
        return f"{value:.1f}"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= max(limit, 1e4):
            return f"{value / limit:.1f}{unit}"
    return f"{value:,.0f}"


def share_text(value: float | None) -> str:
    """Return a share of 1 as a percentage."""
    return NOTHING if value is None else f"{value * 100:.{1 if 0 < value < 0.1 else 0}f} %"


def bytes_text(value: float | None) -> str:
    """Return a size."""
    if value is None:
        return NOTHING
    size, unit = float(value), 0
    while size >= 1024 and unit < len(_SIZES) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.{1 if unit and size < 100 else 0}f} {_SIZES[unit]}"


def duration_text(seconds: float | None) -> str:
    """Return a duration with three figures at most: ``840 µs``, ``12.3 ms``, ``2 h 7 min``."""
    if seconds is None:
        return NOTHING
    if seconds == 0:
        return "0 s"
    for limit, factor, unit in _DURATIONS:
        if seconds < limit:
            value = seconds * factor
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def plain(value: object, length: int = 200) -> str:
    """Return text of records shortened, and without control characters for the terminal."""
    if value is None:
        return ""
    text = "".join(letter if letter.isprintable() else "·" for letter in str(value))
    return text if len(text) <= length else f"{text[: length - 1]}…"
