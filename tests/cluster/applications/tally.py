"""Counts records of a key and says which process did; a ``poison`` record kills it.

``--keys-only`` drops all records that are not keys of the tests, whatever their bytes are.
``--step`` gives the step that counts another name.
"""

import os
import signal

import wallaroo
from shared_codecs import decode_text, encode_text


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_any(payload: bytes) -> str:
    return payload.decode("latin-1")


@wallaroo.computation("known")
def known(record: str) -> str | None:
    return record if record.startswith("key") and record.isalnum() else None


@wallaroo.partition
def key_of(record: str) -> str:
    return record.removeprefix("poison ")


class Tally:
    def __init__(self) -> None:
        self.count = 0


def count(record: str, state: Tally) -> tuple[str, bool]:
    if record.startswith("poison "):
        os.kill(os.getpid(), signal.SIGKILL)
    state.count += 1
    return f"{record} {state.count} {os.getpid()}", True


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    step = args[args.index("--step") + 1] if "--step" in args else "count"
    builder = wallaroo.ApplicationBuilder("tally")
    if "--keys-only" in args:
        builder.new_pipeline("keys", wallaroo.TCPSourceConfig(*source, decode_any)).to(known)
    else:
        builder.new_pipeline("keys", wallaroo.TCPSourceConfig(*source, decode_text))
    return (
        builder.to_state_partition(
            wallaroo.state_computation(step)(count), Tally, "tallies", key_of
        )
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_text))
        .build()
    )
