"""Counts records by key and window; each record comes a millisecond after another.

A payload is ``u32 key`` and padding. The decoder makes the times, so that a sample that is sent
again and again goes on in time; that needs one worker. With the argument ``stamped`` the time is in
the payload, as ``u64 milliseconds`` behind the key. ``long`` makes windows of 200 instead of 50
seconds. ``each-record`` lets every record cross the exchange, also where accumulators would be
cheaper.

The bare loop is plain: a dict by key and window, and a sweep when time passes a window's end. With
the argument ``expert`` it has a dict for each window, and keeps the current one at hand.
"""

import itertools
import struct
from typing import Any

import wallaroo
from wallaroo import aggregate
from wallaroo.operators import combining

KEY = struct.Struct(">I")
KEY_AND_TIME = struct.Struct(">IQ")
SIZE_MS = 50_000
LONG_MS = 200_000
now_ms = itertools.count()

Event = tuple[str, int]
"""Key and time."""


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Event:
    (number,) = KEY.unpack_from(payload)
    return f"k{number}", next(now_ms)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_stamped(payload: bytes) -> Event:
    number, time = KEY_AND_TIME.unpack_from(payload)
    return f"k{number}", time


@wallaroo.timestamp("ms")
def time_of(event: Event) -> int:
    return event[1]


@wallaroo.partition
def key_of(event: Event) -> str:
    return event[0]


@wallaroo.encoder
def encode(result: Any) -> bytes:
    return b"%s %d\n" % (result[0].encode(), result[1])


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    time = wallaroo.event_time(time_of)
    source = wallaroo.TCPSourceConfig(in_host, in_port, _decoder(args), time=time)
    windows = wallaroo.tumbling(wallaroo.milliseconds(_size_ms(args))).over(aggregate.count())
    if "each-record" in args:
        combining.RECORDS_MIN = 1 << 60
    return (
        wallaroo.ApplicationBuilder("windows")
        .new_pipeline("events", source)
        .key_by(key_of)
        .to(windows)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )


def _decoder(args: list[str]) -> Any:
    return decode_stamped if "stamped" in args else decode


def _size_ms(args: list[str]) -> int:
    return LONG_MS if "long" in args else SIZE_MS


class Bare:
    """The same functions in one loop, with windows by hand."""

    def __init__(self, args: list[str]) -> None:
        self._is_expert = "expert" in args
        self._decode = _decoder(args).function
        self._size_ms = _size_ms(args)
        self._counts: dict[tuple[str, int], int] = {}
        self._windows: dict[int, dict[str, int]] = {}
        self._fired = 0

    def run(self, payloads: list[bytes]) -> list[bytes]:
        return self._expert(payloads) if self._is_expert else self._plain(payloads)

    def _plain(self, payloads: list[bytes]) -> list[bytes]:
        decode_record, read_time = self._decode, time_of.function
        partition, encode_record = key_of.function, encode.function
        counts, fired, size_ms = self._counts, self._fired, self._size_ms
        output: list[bytes] = []
        for payload in payloads:
            record = decode_record(payload)
            time = read_time(record)
            place = partition(record), time - time % size_ms
            counts[place] = counts.get(place, 0) + 1
            if time >= fired + size_ms:
                fired = time - time % size_ms
                over = [each for each in counts if each[1] < fired]
                output += [encode_record((each[0], counts.pop(each))) for each in over]
        self._fired = fired
        return output

    def _expert(self, payloads: list[bytes]) -> list[bytes]:
        decode_record, read_time = self._decode, time_of.function
        partition, encode_record = key_of.function, encode.function
        windows, size_ms = self._windows, self._size_ms
        low = high = 0
        counts: dict[str, int] = {}
        output: list[bytes] = []
        for payload in payloads:
            record = decode_record(payload)
            time = read_time(record)
            key = partition(record)
            if not low <= time < high:
                low = time - time % size_ms
                high = low + size_ms
                counts = windows.setdefault(low, {})
                for start in [each for each in windows if each + size_ms <= time]:
                    output += [encode_record(each) for each in windows.pop(start).items()]
            counts[key] = counts.get(key, 0) + 1
        return output
