"""The alphabet example as a measured application; also with a computation before the exchange.

The argument ``objects`` puts a stateless computation first, so that records must travel as objects.
With ``payload-key`` the key is declared as a part of the payload. With ``from-memory COUNT GO`` a
source with one partition gives so many votes from a list, from when the file ``GO`` is there. With
``at-least-once`` or ``exactly-once`` a sink of an author writes to the receiver.
"""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[3] / "examples" / "alphabet"))

import alphabet

import wallaroo


@wallaroo.computation("check votes")
def check_votes(data: Any) -> Any:
    return data if data.votes else None


def application_setup(args: list[str]) -> Any:
    source: Any
    if "from-memory" in args:
        count, go = args[args.index("from-memory") + 1 :][:2]
        source = Memory(int(count), Path(go))
    else:
        in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
        source = wallaroo.TCPSourceConfig(in_host, in_port, alphabet.decode_votes)
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    builder = wallaroo.ApplicationBuilder("letters").new_pipeline("votes", source)
    if "objects" in args:
        builder.to(check_votes)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    key: Any = alphabet.letter_of
    if "payload-key" in args:
        key = wallaroo.payload_key(offset=0, length=1)
    builder.to_state_partition(
        alphabet.add_votes, alphabet.TotalVotes, "letter state", key, letters
    )
    sink: Any = wallaroo.TCPSinkConfig(out_host, out_port, alphabet.encode_votes)
    if "at-least-once" in args:
        sink = Lines(out_host, out_port)
    elif "exactly-once" in args:
        sink = OnceLines(out_host, out_port)
    return builder.to_sink(sink).build()


class Memory(wallaroo.PartitionedSource[Any]):
    """Gives the votes of the example again and again, in batches of 1,000."""

    decoder = alphabet.decode_votes

    def __init__(self, count: int, go: Path) -> None:
        self.count = count
        self.go = go

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        data = Path(alphabet.__file__).with_name("votes.bin").read_bytes()
        payloads = [data[start + 4 : start + 9] for start in range(0, len(data), 9)]
        while not self.go.exists():
            yield None
        for n in range(0, self.count, 1000):
            first = n % (len(payloads) - 1000)
            yield wallaroo.Batch(payloads[first : first + 1000], position=n + 1000)
        while True:
            # The run is stopped by the command that measures it.
            yield None


class Lines(wallaroo.Sink[Any]):
    """Writes lines to a receiver."""

    encoder = alphabet.encode_votes

    def __init__(self, host: str, port: str) -> None:
        self.address = host, int(port)

    def open(self) -> None:
        self.socket = socket.create_connection(self.address)

    def write(self, records: list[Any]) -> None:
        self.socket.sendall(b"".join(records))

    def close(self) -> None:
        self.socket.close()


class OnceLines(wallaroo.OnceSink[Any]):
    """The same through an outbox; the receiver never forgets anything."""

    encoder = alphabet.encode_votes

    def __init__(self, host: str, port: str) -> None:
        self.address = host, int(port)

    def open(self, slot: str) -> None:
        self.socket = socket.create_connection(self.address)
        self.number = 0

    def last(self) -> int:
        return self.number

    def write(self, records: list[Any], number: int) -> None:
        self.socket.sendall(b"".join(records))
        self.number = number

    def close(self) -> None:
        self.socket.close()


class Bare:
    """The same functions in one loop."""

    def __init__(self, args: list[str]) -> None:
        self.states: dict[str, Any] = {}
        self.has_check = "objects" in args

    def run(self, payloads: list[bytes]) -> list[bytes]:
        decode = alphabet.decode_votes.function
        check = check_votes.function if self.has_check else None
        partition = alphabet.letter_of.function
        compute = alphabet.add_votes.function
        encode = alphabet.encode_votes.function
        states = self.states
        output = []
        for payload in payloads:
            record = decode(payload)
            if check is not None:
                record = check(record)
            key = partition(record)
            state = states.get(key)
            if state is None:
                state = states[key] = alphabet.TotalVotes()
            total, _ = compute(record, state)
            output.append(encode(total))
        return output
