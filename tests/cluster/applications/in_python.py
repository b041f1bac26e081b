"""A script that runs its own application from Python; arguments say how.

Functions, lambdas and classes of the script itself are used, so workers import it again.
"""

import asyncio
import json
import signal
import sys
from typing import Any

import wallaroo
from wallaroo.testing import TestSink, TestSource

WORDS = ["a", "b", "a", "c", "a"]


class Counted:
    def __init__(self, word: str, count: int) -> None:
        self.word = word
        self.count = count


class Count:
    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, state: Count) -> tuple[Counted, bool]:
    if word == "?":
        raise ValueError("not a word")
    if word == "break":
        breakpoint()
    state.value += 1
    return Counted(word, state.value), True


def application(words: list[str], sink: Any) -> wallaroo.Application:
    return (
        wallaroo.ApplicationBuilder("words in Python")
        .new_pipeline("words", TestSource(words))
        .to(wallaroo.computation("lower")(lambda word: word.lower()))
        .to_state_partition(count, Count, "counts", itself)
        .to_sink(sink)
        .build()
    )


def listening() -> wallaroo.Application:
    source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode)
    return wallaroo.ApplicationBuilder("l").new_pipeline("p", source).to_sink(TestSink()).build()


def application_setup(_args: list[str]) -> wallaroo.Application:
    return application(WORDS, TestSink())


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")


def run(words: list[str], **options: Any) -> None:
    sink = TestSink()
    try:
        result = wallaroo.run(application(words, sink), **options)
    except wallaroo.WallarooError as error:
        say(error=str(error), hint=error.hint, status=int(error.exit_code))
        return
    say(
        counts=sorted((each.word, each.count) for each in sink.records),
        are_ours=all(type(each) is Counted for each in sink.records),
        records=result.record_count,
        failures=[each.error for each in result.failures],
    )


async def run_in_a_loop() -> None:
    run(WORDS)


def main() -> None:
    signal.signal(signal.SIGTERM, on_signal)
    run([*WORDS, "?"], workers=2)
    run([*WORDS, "?"], workers=0)
    run(["?"], workers=2)
    run(["?", "?"], workers=0, on_error="stop")
    asyncio.run(run_in_a_loop())
    say(handler=signal.getsignal(signal.SIGTERM) is on_signal)
    say(blocked=sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))


def on_signal(*_: Any) -> None:
    say(signal=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["debug"]:
        run(["break", "a"], workers=0)
    elif sys.argv[1:] == ["listen"]:
        wallaroo.run(listening(), workers=2, ready_file="ready.json")
    else:
        main()
