"""An application made of the steps that ``--chain`` names, in their order.

A record is a number in text. Every step adds a mark, so that the output tells what happened to it:
``17;to;parallel;whole=9;3=2`` ran through one step of each kind, was the ninth record at the step
with one state, and the second with the key 3. ``exit`` instead of a number ends its worker.
"""

import sys
from typing import Any

import wallaroo

KEYS = 10


class Counter:
    """The number of records so far."""

    def __init__(self) -> None:
        self.count = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode() + b"\n"


@wallaroo.partition
def key_of(record: str) -> str:
    number = record.split(";")[0]
    return str(int(number) % KEYS) if number.isdecimal() else number


@wallaroo.computation("here")
def here(record: str) -> str:
    if record.startswith("exit"):
        sys.exit(1)
    return record + ";to"


@wallaroo.computation("parallel")
def parallel(record: str) -> str:
    return record + ";parallel"


@wallaroo.state_computation("whole")
def whole(record: str, state: Counter) -> tuple[str, bool]:
    state.count += 1
    return f"{record};whole={state.count}", True


@wallaroo.state_computation("split")
def split(record: str, state: Counter) -> tuple[str, bool]:
    state.count += 1
    return f"{record};{key_of.partition(record)}={state.count}", True


def application_setup(args: list[str]) -> Any:
    ((host, port),) = wallaroo.tcp_parse_input_addrs(args)
    ((out_host, out_port),) = wallaroo.tcp_parse_output_addrs(args)
    chain = args[args.index("--chain") + 1]
    application = wallaroo.ApplicationBuilder(f"chain of {chain}")
    application.new_pipeline("numbers", wallaroo.TCPSourceConfig(host, port, decode))
    for number, kind in enumerate(kind for kind in chain.split(",") if kind):
        match kind:
            case "to":
                application.to(here)
            case "to_parallel":
                application.to_parallel(parallel)
            case "to_stateful":
                application.to_stateful(whole, Counter, f"whole-{number}")
            case "to_state_partition":
                application.to_state_partition(split, Counter, f"split-{number}", key_of)
    return application.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode)).build()
