"""An encoder where a partition function is needed, and functions that give no key of the record."""

from collections import Counter

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(word: str) -> str:
    return word + "\n"


@wallaroo.partition
def by_share(word: str) -> float:
    return len(word) / 10


@wallaroo.partition
def by_first(word: str) -> str | None:
    return word[0] if word else None


@wallaroo.partition
def by_number(number: int) -> int:
    return number % 10


@wallaroo.partition
def itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, counts: Counter[str]) -> tuple[str, bool]:
    counts[word] += 1
    return word, True


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)

words = wallaroo.ApplicationBuilder("words").new_pipeline("words", SOURCE)

words.to_state_partition(count, Counter, "counts", encode)  # mistake
words.to_state_partition(count, Counter, "counts", by_share)  # mistake
words.to_state_partition(count, Counter, "counts", by_first)  # mistake
words.to_state_partition(count, Counter, "counts", by_number)  # mistake
words.to_state_partition(count, Counter, "counts", itself, [0.5, 1.5])  # mistake
words.to_state_partition(count, Counter, "counts", itself, "abc")  # mistake
