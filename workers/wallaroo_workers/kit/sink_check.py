"""Checks a sink: a *predecessor* is killed or stopped at some call, a *successor* takes its slot.

Each case is a slot of its own in the same target, so nothing has to be deleted in between. A
stopped predecessor is woken when its successor has finished. It goes on in the middle of whatever
it was doing, as a process does that was frozen for a minute. What it does then must have no effect.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from wallaroo.connectors.sink_classes import OnceSink, Sink, TwoPhaseSink
from wallaroo_workers.kit.child import CALL_S_MAX, Child, Said
from wallaroo_workers.kit.sink_process import Batch, Play, main

ROWS_PER_BATCH = 20
NUMBERS = (1, 2, 3)
LOCKED_S = 3.0
"""A successor that waits so long is waiting for a lock that its stopped predecessor holds."""
MOMENTS_INSIDE = 2
"""How often a predecessor is halted within each call, at a random moment of its usual duration."""


class _Check:
    """All cases of one sink."""

    def __init__(
        self,
        make: Callable[[], Any],
        read_back: Callable[[], Iterable[Any]],
        record: Callable[[int], Any],
        seed: int,
        *,
        reads_once: bool,
    ) -> None:
        self._make = make
        self._read_back = read_back
        self._reads_once = reads_once
        self._rows: list[Any] = []
        """What was read back, if it can be read only once."""
        self._given: set[str] = set()
        """All rows that any process was to write, as texts."""
        self._record = record
        self._random = random.Random(seed)
        self._run = f"{self._random.getrandbits(32):08x}{os.getpid():x}"
        self._case_count = 0
        sink = make()
        self._name = type(sink).__name__
        assert isinstance(sink, Sink | OnceSink | TwoPhaseSink), (
            f"make() returned a {self._name}; return an object of a class derived from "
            "wallaroo.Sink, wallaroo.OnceSink or wallaroo.TwoPhaseSink"
        )
        self._is_once = isinstance(sink, OnceSink)
        self._is_repeated = not isinstance(sink, OnceSink | TwoPhaseSink)
        """Whether rows may be there more than once."""
        self._encoder = sink.encoder
        self._durations_s: dict[str, float] = {}
        """How long each call takes if nothing disturbs it."""
        self._successor = Child(partial(main, make))

    def run(self) -> None:
        """Run all cases."""
        try:
            self._undisturbed()
            for where, call in self._points():
                for stops in (False, True):
                    self._disturbed(where, call, stops=stops)
        finally:
            self._successor.end()

    def _points(self) -> Iterator[tuple[str, str]]:
        calls = [call for call in self._durations_s if not call.endswith(f"{NUMBERS[-1]}")]
        for call in calls:
            yield "before", call
            yield from [("inside", call)] * MOMENTS_INSIDE
        yield "after", calls[-1]

    # One case

    def _new_case(self) -> tuple[str, list[Batch], list[Batch]]:
        """Return a slot, batches for it, and other ones with the same numbers.

        A successor may have other records for a number that was never written: a run that goes back
        to an older checkpoint processes them again.
        """
        self._case_count += 1
        slot = f"wallaroo.kit.{self._run}.{self._case_count}.w1"
        first = self._case_count * 1_000_000
        batches, others = self._batches(first), self._batches(first + 500_000)
        self._given.update(repr(row) for batch in (*batches, *others) for row in batch.rows)
        return slot, batches, others

    def _batches(self, first: int) -> list[Batch]:
        return [
            Batch(number, [self._row(first + number * 1_000 + n) for n in range(ROWS_PER_BATCH)])
            for number in NUMBERS
        ]

    def _row(self, number: int) -> Any:
        record = self._record(number)
        if self._encoder is None:
            return record
        encode = getattr(self._encoder, "encode", self._encoder)
        return encode(record)

    def _found(self) -> list[Any]:
        """Return all rows that are in the target."""
        rows = [*self._read_back()]
        if not self._reads_once:
            return rows
        for row in rows:
            assert repr(row) in self._given, (
                f"{self._name}: a row is there that was never written as a whole: {row!r}"
            )
        self._rows += rows
        return self._rows

    def _undisturbed(self) -> None:
        slot, batches, _ = self._new_case()
        when = "without any disturbance"
        self._successor.start(Play(slot, batches, [], tries_again=False))
        started_s = time.monotonic()
        while (said := self._successor.hear()).where in ("before", "after"):
            if said.where == "after":
                self._durations_s[said.call] = time.monotonic() - started_s
            started_s = time.monotonic()
            self._successor.go_on()
        assert said.where == "end", self._told(said, when)
        self._compare(batches, when)
        if self._is_once:
            self._succeed(Play(slot, batches, [], tries_again=False), "opened again")
            self._compare(batches, "when the slot was opened again, with nothing left to write")

    def _disturbed(self, where: str, call: str, *, stops: bool) -> None:
        slot, batches, others = self._new_case()
        how = "stopped" if stops else "killed"
        when = f"when a process was {how} {where} {call.partition(' ')[0]}"
        predecessor = Child(partial(main, self._make))
        try:
            predecessor.start(Play(slot, batches[:2], [], tries_again=False))
            safe = self._halt(predecessor, where, call, stops=stops)
            if self._is_repeated:
                others = batches
            rest = [batch for batch in others if batch.number not in safe]
            tokens = [token for token in safe.values() if token is not None]
            part = Play(slot, rest, tokens, tries_again=True)
            last = self._succeed(part, when, predecessor if stops else None)
            if stops:
                self._wake(predecessor, safe, is_in_call=where == "inside")
        finally:
            predecessor.end()
        is_there = range(1, last + 1) if self._is_once else [*safe]
        expected = [
            (batch if batch.number in is_there else other)
            for batch, other in zip(batches, others, strict=True)
        ]
        self._compare(expected, when + (", and woken after its successor" if stops else ""))
        if not self._is_repeated:
            replaced = [each for each in (*batches, *others) if each not in expected]
            self._compare_absent(replaced, when)

    def _halt(self, child: Child, where: str, call: str, *, stops: bool) -> dict[int, bytes | None]:
        """Halt a child at this point; return the batches that no successor writes again.

        These are what a manifest names, with their tokens; or, of a sink that is at least once,
        what it has written.
        """
        safe: dict[int, bytes | None] = {}
        wanted = "before" if where == "inside" else where
        while True:
            said = child.hear()
            assert said.where in ("before", "after"), self._told(said, "in its first process")
            if said.where == "after" and said.call.startswith("prepare ") and said.result:
                safe[_batch_of(said)] = said.result
            elif said.where == "after" and said.call.startswith("write ") and self._is_repeated:
                safe[_batch_of(said)] = None
            if (said.where, said.call) == (wanted, call):
                break
            child.go_on()
        if where == "inside":
            child.go_on()
            time.sleep(self._random.uniform(0, self._durations_s[call]))
        child.signal(signal.SIGSTOP if stops else signal.SIGKILL)
        return safe

    def _wake(self, child: Child, safe: dict[int, bytes | None], *, is_in_call: bool) -> None:
        """Let a child go on that was stopped; it fails, or does what has no effect."""
        child.signal(signal.SIGCONT)
        if not is_in_call:
            child.go_on()
        while True:
            said = child.hear()
            assert said.where != "hangs", f"{self._name}: a call hangs in a process that was woken"
            if said.where not in ("before", "after"):
                return
            is_commit = said.where == "before" and said.call.startswith("commit")
            if is_commit and _batch_of(said) not in safe:
                return  # no checkpoint names it, so nothing asks this process to commit it
            child.go_on()

    def _succeed(self, part: Play, when: str, stopped: Child | None = None) -> int:
        """Play the successor's part; return the number that ``last`` told it."""
        successor, last = self._successor, 0
        successor.start(part)
        while True:
            if stopped is not None and not successor.speaks_within(LOCKED_S):
                # It may wait for a lock of the target, but not go on before that is released.
                stopped.signal(signal.SIGCONT)
            said = successor.hear()
            if said.where not in ("before", "after"):
                assert said.where == "end", self._told(said, when)
                return last
            if (said.where, said.call) == ("after", "last"):
                last = said.result or 0
            successor.go_on()

    def _told(self, said: Said, when: str) -> str:
        match said.where:
            case "failed":
                return f"{self._name}: a call failed {when}:\n{said.result}"
            case "hangs":
                return f"{self._name}: a call did not return within {CALL_S_MAX:g} s {when}"
            case _:
                return f"{self._name}: its process ended {when}"

    def _compare(self, batches: list[Batch], when: str) -> None:
        expected = [row for batch in batches for row in batch.rows]
        found = [row for row in self._found() if row in expected]
        count = Counter(map(repr, found))
        for row in expected:
            assert count[repr(row)], f"{self._name}: {when}, this row is missing: {row!r}"
            assert count[repr(row)] == 1 or self._is_repeated, (
                f"{self._name}: {when}, this row is there {count[repr(row)]} times: {row!r}"
            )
        if self._is_once:
            assert found == expected, f"{self._name}: {when}, the rows are in another order"

    def _compare_absent(self, batches: list[Batch], when: str) -> None:
        for row in [row for row in self._found() if any(row in each.rows for each in batches)]:
            raise AssertionError(
                f"{self._name}: {when}, a row is there that no checkpoint names: {row!r}; after "
                "open() of a slot, nothing that an earlier opener does may take effect"
            )


def _batch_of(said: Said) -> int:
    return int(said.call.split()[1])


def check(
    make: Callable[[], Any],
    read_back: Callable[[], Iterable[Any]],
    *,
    record: Callable[[int], Any],
    seed: int,
    reads_once: bool,
) -> None:
    """Check a sink, see `wallaroo.testing.kit.check_sink`."""
    _Check(make, read_back, record, seed, reads_once=reads_once).run()
