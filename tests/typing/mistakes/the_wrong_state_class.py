"""A state class other than the one that the computation works on."""

import wallaroo


class Count:
    def __init__(self) -> None:
        self.value = 0


class Total:
    def __init__(self) -> None:
        self.total = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, state: Count) -> tuple[str, bool]:
    state.value += 1
    return f"{word} {state.value}", True


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)

words = wallaroo.ApplicationBuilder("words").new_pipeline("words", SOURCE)

words.to_stateful(count, Total, "total")  # mistake
words.to_state_partition(count, Total, "counts", itself)  # mistake
words.to_state_partition(count, Count(), "counts", itself)  # mistake
