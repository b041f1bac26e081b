"""Counts words in objects that cannot always be pickled or read back.

The word ``refused`` leaves an error in its object that can be pickled and does not unpickle.
``--state-has`` chooses what the class has beside that: ``own-reduce`` leaves the error out, and
``own-setstate`` refuses to read an object that has counted two.
"""

from typing import Any

import wallaroo
from shared_codecs import decode_text, encode_text, itself


class RefusedError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


class Total:
    def __init__(self) -> None:
        self.count = 0
        self.error: RefusedError | None = None


def reduce_without_error(total: Total) -> tuple[type[Total], tuple[()], dict[str, Any]]:
    return Total, (), {"count": total.count}


def refuse_two(total: Total, state: dict[str, Any]) -> None:
    if state["count"] == 2:
        raise ValueError("two is not allowed any more")
    vars(total).update(state)


METHODS = {
    "own-reduce": ("__reduce__", reduce_without_error),
    "own-setstate": ("__setstate__", refuse_two),
}


@wallaroo.state_computation("count")
def count(word: str, total: Total) -> tuple[str, bool]:
    total.count += 1
    total.error = RefusedError(4, "late") if word == "refused" else None
    return f"{word} {total.count}", True


def application_setup(args: list[str]) -> wallaroo.Application:
    if "--state-has" in args:
        setattr(Total, *METHODS[args[args.index("--state-has") + 1]])
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    return (
        wallaroo.ApplicationBuilder("words")
        .new_pipeline("words", wallaroo.TCPSourceConfig(*source, decode_text))
        .to_state_partition(count, Total, "totals", itself)
        .to_sink(wallaroo.FileSinkConfig("words.txt", encode_text))
        .build()
    )
