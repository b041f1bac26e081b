"""Files in and out, and several sinks: their encoders may take more than the records they get."""

from pathlib import Path

import wallaroo


class Event:
    def __init__(self, text: str) -> None:
        self.text = text


class Alarm(Event):
    """An event that matters."""


@wallaroo.decoder
def decode(line: bytes) -> Event:
    text = line.decode()
    return Alarm(text) if text.startswith("!") else Event(text)


@wallaroo.encoder
def encode_event(event: Event) -> bytes:
    return event.text.encode() + b"\n"


@wallaroo.encoder
def encode_alarm(event: Event) -> str | None:
    return event.text + "\n" if isinstance(event, Alarm) else None


@wallaroo.encoder
def encode_anything(record: object) -> bytearray:
    return bytearray(f"{record}\n".encode())


def application_setup(args: list[str]) -> wallaroo.Application:
    host, port = wallaroo.tcp_parse_output_addrs(args)[0]
    events = wallaroo.FileSinkConfig(Path("events.txt"), encode_event)
    alarms = wallaroo.TCPSinkConfig(host, port, encode_alarm)
    copies = wallaroo.FileSinkConfig("copies.txt", encode_anything)
    return (
        wallaroo.ApplicationBuilder("events")
        .new_pipeline("events", wallaroo.FileSourceConfig("in.txt", decode, "newline"))
        .to_sinks([events, alarms, copies])
        .build()
    )
