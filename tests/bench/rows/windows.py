"""The rows of windows: with checkpoints, and on several workers, over the same without that."""

import dataclasses

from tests.bench.rows.switched import SwitchedRow
from tests.bench.scenarios import Scenario

WINDOWS = 39
WINDOW_RECORDS = 50_000
LONG_WINDOWS = 10
LONG_WINDOW_RECORDS = 200_000
"""With 50,000 keys, so that a key has several records in a window."""
BEHIND = 1_000
"""Records behind the last window, so that it fires."""


def _counted(name: str, key_count: int, *, is_long: bool = False) -> Scenario:
    windows = LONG_WINDOWS if is_long else WINDOWS
    size = LONG_WINDOW_RECORDS if is_long else WINDOW_RECORDS
    return Scenario(
        name=name,
        module="windows",
        arguments=("long",) if is_long else (),
        key_count=key_count,
        record_count=windows * size + BEHIND,
        windows=windows,
    )


def _on_workers(name: str, key_count: int, *arguments: str) -> SwitchedRow:
    one = dataclasses.replace(
        _counted(name, key_count), arguments=("stamped", *arguments), payload_bytes=12
    )
    four = dataclasses.replace(one, workers=4)
    return SwitchedRow(four, one, "times the CPU of one worker", target=1.3)


def windows_rows() -> list[SwitchedRow]:
    """Return all of them."""
    short = _counted("durable, windows of 1,000 keys", 1_000)
    long = _counted("durable, windows of 50,000 keys", 50_000, is_long=True)
    return [
        SwitchedRow(
            dataclasses.replace(off, is_durable=True),
            off,
            "times the CPU without checkpoints",
            target=target,
        )
        for off, target in ((short, 1.15), (long, 1.3))
    ] + [
        _on_workers("windows of 100 keys, 4 workers", 100),
        _on_workers("windows of 1,000 keys, 4 workers", 1_000),
    ]
