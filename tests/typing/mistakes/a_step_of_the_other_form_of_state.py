"""State computations where those with a state of their own belong, and the reverse."""

import wallaroo


class Count:
    value = 0


@wallaroo.decoder
def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.partition
def first_letter(line: str) -> str:
    return line[0]


@wallaroo.state_computation("pair")
def pair(line: str, count: Count) -> tuple[str, bool]:
    count.value += 1
    return line, True


@wallaroo.state_computation("own", Count)
def own(line: str, count: Count) -> str:
    count.value += 1
    return line


lines = wallaroo.source("lines", wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode))

lines.key_by(first_letter).to(pair)  # mistake
lines.to_parallel(own)  # mistake
lines.map(own)  # mistake
lines.to_stateful(own, Count, "counts")  # mistake
lines.to_state_partition(own, Count, "counts", first_letter)  # mistake
