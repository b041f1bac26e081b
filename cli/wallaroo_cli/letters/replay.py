"""Sends payloads of dead letters to the sources of a running cluster again."""

import signal
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wallaroo.describing import with_article
from wallaroo.errors import ClusterError
from wallaroo_cli.letters.marks import MarkWriter
from wallaroo_cli.letters.reading import Letter
from wallaroo_cli.tools.addresses import Address, parse_address
from wallaroo_workers.security import is_wildcard

BATCH_LETTERS = 100
"""What is unsure if the command is killed in the middle."""
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """A source of the running cluster, as it describes it."""

    pipeline: str
    describes: str
    address: str
    kind: str
    header: str | None

    def frame(self, payload: bytes) -> bytes:
        """Return what a sender sends. Raises ``ValueError`` with the reason if it cannot."""
        if self.kind == "several":
            raise ValueError(
                f"the records of pipeline {self.pipeline!r} are from {self.describes}, and a "
                "letter does not say from which; `show --payload` writes the payload"
            )
        if self.kind != "tcp":
            raise ValueError(
                f"pipeline {self.pipeline!r} reads from {with_article(self.describes)}, and only "
                "TCP sources take payloads again"
            )
        if self.header is None:
            raise ValueError(
                f"a function of the application reads the headers of pipeline {self.pipeline!r}, "
                "so only its own senders can write them; `show --payload` writes the payload"
            )
        if not self.header:
            return self._line(payload)
        try:
            return struct.pack(self.header, len(payload)) + payload
        except struct.error as error:
            raise ValueError(
                f"its payload is longer than a header {self.header!r} of pipeline "
                f"{self.pipeline!r} can say"
            ) from error

    def _line(self, payload: bytes) -> bytes:
        if b"\n" in payload:
            raise ValueError(
                f"pipeline {self.pipeline!r} takes lines, and the payload has a line end in it"
            )
        # A carriage return before the newline belongs to the line end.
        return payload + (b"\r\n" if payload.endswith(b"\r") else b"\n")


@dataclass(slots=True)
class Outcome:
    """What came of the letters that were chosen."""

    sent: list[Letter] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """By name of the letter: why."""
    replayed_before: list[Letter] = field(default_factory=list)
    unsure: list[Letter] = field(default_factory=list)
    """Left out, since they may have arrived when an earlier replay was interrupted."""
    is_interrupted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "sent": [letter.name for letter in self.sent],
            "refused": self.refused,
            "replayed_before": [letter.name for letter in self.replayed_before],
            "unsure": [letter.name for letter in self.unsure],
            "is_interrupted": self.is_interrupted,
        }


def sources_of(answer: Mapping[str, Any], control: Address) -> dict[str, Source]:
    """Return the sources by pipeline, from a cluster's answer."""
    sources = {one["pipeline"]: Source(**one) for one in answer["sources"]}
    return {name: _reachable(source, control) for name, source in sources.items()}


def _reachable(source: Source, control: Address) -> Source:
    """A source that listens at all addresses of its host is reached where its cluster is."""
    if source.kind != "tcp" or not source.address:
        return source
    address = parse_address(source.address, "the source's")
    if not is_wildcard(address.host) or is_wildcard(control.host):
        return source
    reachable = str(Address(control.host, address.port))
    return Source(source.pipeline, source.describes, reachable, source.kind, source.header)


def framed(
    letters: Iterable[Letter], sources: Mapping[str, Source], outcome: Outcome
) -> list[tuple[Source, Letter, bytes]]:
    """Return what is to be sent where; note in ``outcome`` what cannot be, and why."""
    ready = []
    for letter in letters:
        payload, source = letter.payload, sources.get(letter.pipeline)
        if source is None:
            outcome.refused[letter.name] = f"the cluster has no pipeline {letter.pipeline!r}"
        elif letter.is_result:
            outcome.refused[letter.name] = (
                "a sink refused it, so its payload is a result and not what a source received"
            )
        elif payload is None:
            outcome.refused[letter.name] = (
                f"it has no payload, since the source of pipeline {letter.pipeline!r} made its "
                "record; only TCP sources take payloads again"
            )
        else:
            try:
                ready.append((source, letter, source.frame(payload)))
            except ValueError as error:
                outcome.refused[letter.name] = str(error)
    return ready


def send_all(
    ready: Sequence[tuple[Source, Letter, bytes]],
    marks: MarkWriter,
    outcome: Outcome,
) -> None:
    """Send in batches, each one noted before and after; Ctrl-C ends it after a batch."""
    by_source: dict[Source, list[tuple[Letter, bytes]]] = defaultdict(list)
    for source, letter, frame in ready:
        by_source[source].append((letter, frame))
    with _interruptible_between_batches() as was_interrupted:
        for source, pairs in by_source.items():
            rest = iter(pairs)
            while batch := [*islice(rest, BATCH_LETTERS)]:
                if was_interrupted():
                    outcome.is_interrupted = True
                    return
                _send_batch(source, batch, marks)
                outcome.sent += [letter for letter, _ in batch]


def _send_batch(source: Source, batch: Sequence[tuple[Letter, bytes]], marks: MarkWriter) -> None:
    letters = [letter for letter, _ in batch]
    address = parse_address(source.address, "the source's")
    marks.note("sending", letters)
    try:
        connection = socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        marks.note("unsent", letters)
        raise ClusterError(
            f"cannot connect to the source at {address}: {error.strerror or error}",
            hint="wallaroo-cluster status shows whether the cluster runs; what was sent before is "
            "marked",
        ) from error
    with connection:
        try:
            # As long as the cluster keeps senders waiting, this one waits as well.
            connection.settimeout(None)
            connection.sendall(b"".join(frame for _, frame in batch))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass  # the worker closes its end once it has read everything
        except OSError as error:
            raise ClusterError(
                f"the source at {address} closed the connection ({error.strerror}) before it had "
                f"read all of {letters[0].name} to {letters[-1].name}",
                hint="the log of the cluster says why; these letters are marked as unsure, and "
                "`replay --unsure` sends them again",
            ) from error
    marks.note("sent", letters)


@contextmanager
def _interruptible_between_batches() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C or SIGTERM end the work after a batch, and the second one at once."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupted(number: int, _frame: object) -> None:
        received.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, interrupted)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
