"""The work in Pathway: COUNT STYLE.

``records`` hands over and decodes one row a record. ``blocks`` is its fast path: a row holds a
thousand payloads, one call decodes them all to a list, and ``flatten`` makes rows of it. In both,
letters are grouped, a ``stateful_many`` reducer runs a letter's new records through the user's
functions in one call for each commit, and commits are as often as by default.

Other than in Wallaroo's run, the source is a ``ConnectorSubject`` that reads from memory and the
sink is ``subscribe``; neither is a socket. Rows carry the letter and the number instead of the
object, since objects would be pickled. Within a commit Pathway unites equal rows, so that records
of a letter are added in another order; what comes out is one row for each letter and commit, with
the encoded lines of all its records.
"""

import sys
from typing import Any

import pathway as pw

from tests.bench.peers.common import (
    TotalVotes,
    Votes,
    add_votes,
    decode,
    encode,
    letter_of,
    payload_batches,
    report,
)

PAYLOAD_BYTES = 5

Row = tuple[str, int]


class Input(pw.Schema):
    """One payload, or many of them in a row."""

    data: bytes


class Payloads(pw.io.python.ConnectorSubject):
    """All records, read from memory."""

    deletions_enabled = False

    def __init__(self, record_count: int, style: str) -> None:
        super().__init__()
        self._record_count = record_count
        self._has_blocks = style == "blocks"

    def run(self) -> None:
        for payloads in payload_batches(self._record_count):
            if self._has_blocks:
                self.next(data=b"".join(payloads))
            else:
                for payload in payloads:
                    self.next(data=payload)


class Count:
    """Counts the lines of all rows that come out."""

    def __init__(self) -> None:
        self.record_count = 0

    def __call__(self, key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:
        if is_addition:
            self.record_count += row["total"][1].count(b"\n")


def main() -> None:
    """Build the graph, run it until the source ends."""
    count, style = int(sys.argv[1]), sys.argv[2]
    rows = pw.io.python.read(Payloads(count, style), schema=Input)
    if style == "blocks":
        blocks = rows.select(votes=pw.apply_with_type(decode_block, list[Row], pw.this.data))
        votes = blocks.flatten(pw.this.votes)
    else:
        votes = rows.select(votes=pw.apply_with_type(decode_row, Row, pw.this.data))
    columns = votes.select(letter=pw.this.votes[0], votes=pw.this.votes[1])
    totals = columns.groupby(pw.this.letter).reduce(
        total=pw.reducers.stateful_many(add_rows)(pw.this.letter, pw.this.votes)
    )
    counted = Count()
    pw.io.subscribe(totals, on_change=counted)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    report(counted.record_count)


def decode_row(payload: bytes) -> Row:
    """Decode one payload and name its key."""
    votes = decode(payload)
    return letter_of(votes), votes.votes


def decode_block(block: bytes) -> list[Row]:
    """Decode a block of payloads."""
    return [
        decode_row(block[start : start + PAYLOAD_BYTES])
        for start in range(0, len(block), PAYLOAD_BYTES)
    ]


def add_rows(
    before: tuple[int, bytes] | None, rows: list[tuple[list[Any], int]]
) -> tuple[int, bytes]:
    """Run a letter's records of one commit; the state is its total, and their lines."""
    state = TotalVotes()
    if before is not None:
        state.votes = before[0]
    lines = [
        encode(add_votes(Votes(letter, votes), state)[0])
        for (letter, votes), count in rows
        for _ in range(count)
    ]
    return state.votes, b"".join(lines)


if __name__ == "__main__":
    main()
