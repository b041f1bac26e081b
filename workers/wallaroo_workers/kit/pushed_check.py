"""Checks a pushed source: a *predecessor* is killed or stopped at some call, a *successor* goes on.

    push --> system --receive--> process --> journal (here) --> ack --> system

A predecessor that is stopped keeps its connection. It is woken while its successor receives, goes
on in the middle of what it was doing, and then ends, as a worker does that was replaced. What it
had taken and not acknowledged has to be delivered to its successor.

Each case pushes records of its own. Records of earlier cases may arrive again if nobody has
acknowledged them.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from wallaroo.connectors.source_classes import PushedSource
from wallaroo.describing import type_name
from wallaroo_workers.kit.child import CALL_S_MAX, Child, Said
from wallaroo_workers.kit.pushed_process import GROUP_MAX, Answer, main

EARLY_COUNT = 3 * GROUP_MAX
LATE_COUNT = GROUP_MAX
"""Records that are pushed when the successor has opened the source."""
CALLS = ("open", "receive 1", "ack 1", "receive 2", "ack 2")
LOCKED_S = 3.0
"""A successor that cannot open the source for so long waits for a lock of its predecessor."""
HELD_S = 1.0
"""A successor that gets nothing for so long waits for what its stopped predecessor holds."""
SILENT_S_MAX = 5.0
"""What is not delivered after so long is lost."""
PROMISES = ("at_least_once", "at_most_once")


class _Process:
    """One process with the source, and what became of its deliveries."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.child = Child(partial(main, make))
        self.start()

    def start(self) -> None:
        """Let it open the source and receive."""
        self.journal: list[Any] = []
        self.group: list[Any] = []
        """What it has received last."""
        self._waits_for_answer = False
        self.child.start(Answer.GO_ON)

    def speaks_within(self, time_s: float) -> bool:
        """Let the child go on, and wait for so long until it says something."""
        if self._waits_for_answer:
            self.answer(Answer.GO_ON)
        return self.child.speaks_within(time_s)

    def hear(self) -> Said:
        """Let the child go on; return what it says next."""
        if self._waits_for_answer:
            self.answer(Answer.GO_ON)
        said = self.child.hear()
        if said.where == "after" and said.call.startswith("receive"):
            self.group = said.result
        elif said.where == "before" and said.call.startswith("ack"):
            self.journal += self.group
        self._waits_for_answer = said.where in ("before", "after")
        return said

    def answer(self, answer: Answer) -> None:
        """Answer what it said last with something else than to go on."""
        self.child.go_on(answer)
        self._waits_for_answer = False


class _Check:
    """All cases of one source."""

    def __init__(
        self,
        make: Callable[[], Any],
        push: Callable[[Any], object],
        record: Callable[[int], Any],
        promise: str,
        seed: int,
    ) -> None:
        assert promise in PROMISES, f"promise is {promise!r}; give {' or '.join(PROMISES)}"
        self._make = make
        self._push = push
        self._record = record
        self._may_lose = promise == "at_most_once"
        self._random = random.Random(seed)
        source = make()
        self._name = type_name(source)
        assert isinstance(source, PushedSource), (
            f"make() returned a {self._name}; return an object of a class derived from "
            "wallaroo.PushedSource"
        )
        self._pushed_records: set[str] = set()
        self._delivered: set[str] = set()
        self._acknowledged: set[str] = set()
        self._durations_s: dict[str, float] = {}
        """How long each call takes if nothing disturbs it."""
        self._when = "without any disturbance"
        self._successor = _Process(make)

    def run(self) -> None:
        """Run all cases."""
        try:
            self._undisturbed()
            self._opened_again()
            for where, call in self._points():
                for stops in (False, True):
                    self._disturbed(where, call, stops=stops)
        finally:
            self._successor.child.end()

    @staticmethod
    def _points() -> Iterator[tuple[str, str]]:
        for call in CALLS:
            yield "before", call
            yield "inside", call
            # Behind other calls is what is before the next one.
            if call.startswith("receive") or call == CALLS[-1]:
                yield "after", call

    def _some(self, count: int) -> list[str]:
        """Push new records; return them as texts."""
        first = len(self._pushed_records)
        records = [self._record(number) for number in range(first, first + count)]
        names = [*map(repr, records)]
        self._pushed_records.update(names)
        assert len(self._pushed_records) == first + count, (
            f"record() gave a record twice, among {names}; let each number have its own"
        )
        for record in records:
            self._push(record)
        return names

    # Cases

    def _undisturbed(self) -> None:
        process, records = self._successor, self._some(EARLY_COUNT)
        started_s = time.monotonic()
        while len(process.journal) < EARLY_COUNT:
            said = self._hear(process)
            if said.where == "after":
                self._durations_s[said.call] = time.monotonic() - started_s
            elif time.monotonic() - started_s > SILENT_S_MAX:
                break
            started_s = time.monotonic()
        self._finish(process)
        counts = Counter(map(repr, process.journal))
        for record in records:
            assert counts[record] == 1, (
                f"{self._name}: {self._when}, this record was delivered {counts[record]} times: "
                f"{record}"
            )

    def _opened_again(self) -> None:
        self._when = "when it was closed and opened again, with deliveries not acknowledged"
        process, early = self._successor, self._some(EARLY_COUNT)
        process.start()
        self._go_to(process, "after", "receive 1")
        process.answer(Answer.OPEN_AGAIN)
        self._complete(early, (), has_taken=True)

    def _disturbed(self, where: str, call: str, *, stops: bool) -> None:
        how = "stopped" if stops else "killed"
        self._when = f"when a process was {how} {where} {call.partition(' ')[0]}"
        early = self._some(EARLY_COUNT)
        predecessor = _Process(self._make)
        try:
            self._halt(predecessor, where, call, stops=stops)
            self._successor.start()
            self._complete(
                early,
                [*map(repr, predecessor.journal)],
                has_taken=(where, call) != ("before", "open"),
                stopped=(predecessor, where) if stops else None,
            )
        finally:
            predecessor.child.end()

    def _halt(self, process: _Process, where: str, call: str, *, stops: bool) -> None:
        self._go_to(process, "before" if where == "inside" else where, call)
        if where == "inside":
            process.answer(Answer.GO_ON)
            time.sleep(self._random.uniform(0, self._durations_s.get(call, 0.0)))
        process.child.signal(signal.SIGSTOP if stops else signal.SIGKILL)

    def _complete(
        self,
        early: list[str],
        safe: Collection[str],
        *,
        has_taken: bool,
        stopped: tuple[_Process, str] | None = None,
    ) -> None:
        """Let the successor receive what is neither in a journal nor may be lost."""
        successor = self._successor
        self._go_to(successor, "after", "open", stopped)
        late = self._some(LATE_COUNT)
        may_miss = early if self._may_lose and has_taken else safe
        wanted = {*early, *late} - {*may_miss}
        if stopped is not None:
            # In the middle, so that both acknowledge the same deliveries, if both have them.
            self._take_some(successor)
            self._replace(*stopped)
        self._receive(successor, wanted, SILENT_S_MAX)
        self._finish(successor)
        for record in (*early, *late):
            assert record not in wanted or record in map(repr, successor.journal), (
                f"{self._name}: {self._when}, this record is lost: {record}"
            )

    def _replace(self, process: _Process, where: str) -> None:
        """Wake a stopped process, which ends when it notices that it was replaced."""
        if self._may_lose:
            process.child.end()  # What it would take from now on is lost, and may be.
            return
        process.child.signal(signal.SIGCONT)
        if where == "before":
            process.child.go_on(Answer.GO_ON)
        process.child.go_on(Answer.EXIT)
        while (said := process.child.hear()).where in ("before", "after", "failed"):
            pass
        assert said.where != "hangs", f"{self._name}: a call hangs in a process that was woken"

    # One process

    def _hear(self, process: _Process) -> Said:
        said = process.hear()
        assert said.where in ("before", "after"), self._told(said)
        if said.where == "after" and said.call.startswith("receive"):
            self._check_group([*map(repr, said.result)])
        elif said.where == "after" and said.call.startswith("ack"):
            self._acknowledged.update(map(repr, process.group))
        return said

    def _check_group(self, group: list[str]) -> None:
        for record in group:
            assert record in self._pushed_records, (
                f"{self._name}: {self._when}, a record arrived that was never pushed: {record}"
            )
            assert record not in self._acknowledged, (
                f"{self._name}: {self._when}, this record was acknowledged, and is delivered "
                f"again: {record}"
            )
            assert not self._may_lose or record not in self._delivered, (
                f"{self._name}: {self._when}, this record is delivered twice: {record}"
            )
        self._delivered.update(group)

    def _go_to(
        self,
        process: _Process,
        where: str,
        call: str,
        stopped: tuple[_Process, str] | None = None,
    ) -> None:
        give_up_s = time.monotonic() + CALL_S_MAX
        while True:
            if stopped is not None and not process.speaks_within(LOCKED_S):
                # It may wait for a lock that the stopped process holds.
                stopped[0].child.signal(signal.SIGCONT)
            said = self._hear(process)
            if (said.where, said.call) == (where, call):
                return
            assert time.monotonic() < give_up_s, (
                f"{self._name}: {self._when}, nothing was delivered for {CALL_S_MAX:g} s"
            )

    def _take_some(self, process: _Process) -> None:
        """Receive until there is something to acknowledge, or nothing comes."""
        quiet_from_s = time.monotonic()
        while time.monotonic() - quiet_from_s < HELD_S:
            if self._hear(process).call.startswith("ack"):
                return

    def _receive(self, process: _Process, wanted: set[str], silent_s: float) -> None:
        """Receive until everything that is wanted is in the journal, or nothing more comes."""
        count, quiet_from_s = 0, time.monotonic()
        while not wanted <= {*map(repr, process.journal)}:
            self._hear(process)
            if len(process.journal) > count:
                count, quiet_from_s = len(process.journal), time.monotonic()
            elif time.monotonic() - quiet_from_s > silent_s:
                return

    def _finish(self, process: _Process) -> None:
        """Let a process acknowledge what it has, and close the source."""
        while True:
            said = self._hear(process)
            if said.where == "before" and said.call.startswith("receive"):
                process.answer(Answer.STOP)
                ended = process.child.hear()
                assert ended.where == "end", self._told(ended)
                return

    def _told(self, said: Said) -> str:
        match said.where:
            case "failed":
                return f"{self._name}: a call failed {self._when}:\n{said.result}"
            case "hangs":
                return (
                    f"{self._name}: a call did not return within {CALL_S_MAX:g} s {self._when}; "
                    "write receive as a coroutine, or let it yield None after a moment"
                )
            case "end":
                return f"{self._name}: receive returned {self._when}, although records follow"
            case _:
                return f"{self._name}: its process ended {self._when}"


def check(
    make: Callable[[], Any],
    push: Callable[[Any], object],
    *,
    record: Callable[[int], Any],
    promise: str,
    seed: int,
) -> None:
    """Check a pushed source, see `wallaroo.testing.kit.check_pushed_source`."""
    _Check(make, push, record, promise, seed).run()
