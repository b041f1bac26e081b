"""A computation with state where one without is needed, and the other way round."""

import wallaroo


class Count:
    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.computation("upper")
def upper(word: str) -> str:
    return word.upper()


@wallaroo.state_computation("count")
def count(word: str, state: Count) -> tuple[str, bool]:
    state.value += 1
    return f"{word} {state.value}", True


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)

words = wallaroo.ApplicationBuilder("words").new_pipeline("words", SOURCE)

words.to(count)  # mistake
words.to_parallel(count)  # mistake
words.to_stateful(upper, Count, "counts")  # mistake
