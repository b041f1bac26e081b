"""Dead letters as a table, as one page, and as plain values for JSON."""

import json
from collections.abc import Sequence
from typing import Any

import click

from wallaroo_cli.letters.marks import State
from wallaroo_cli.letters.reading import Damage, Letter
from wallaroo_cli.letters.replay import Outcome
from wallaroo_cli.tools.columns import Column
from wallaroo_cli.tools.tables import print_columns

CELL_LENGTH_MIN = 16

Row = tuple[Letter, State]


def print_rows(rows: Sequence[Row], count: int) -> None:
    """Print the table; ``count`` is how many were chosen."""
    if not rows:
        click.echo("No dead letters.")
        return
    letters = [letter for letter, _ in rows]
    print_columns([
        Column("letter", [letter.name for letter in letters]),
        Column("time", [f"{letter.time:%Y-%m-%d %H:%M:%S}Z" for letter in letters], rank=3),
        Column("pipeline", [_plain(letter.pipeline) for letter in letters], rank=2),
        Column("step", [_plain(letter.step) for letter in letters], elastic_min=CELL_LENGTH_MIN),
        Column("key", [_key(letter) for letter in letters], rank=1, elastic_min=CELL_LENGTH_MIN),
        Column("error", [_plain(letter.values["error"]) for letter in letters],
               elastic_min=CELL_LENGTH_MIN),
        Column("replayed", [{"": "", "replayed": "yes", "unsure": "unsure"}[state]
                            for _, state in rows]),
    ])  # fmt: skip
    if count > len(rows):
        click.echo(f"The newest {len(rows):,} of {count:,}; --last N shows more.", err=True)


def print_letter(letter: Letter, state: State) -> None:
    """Print one letter with its traceback as Python prints it."""
    values, payload = letter.values, letter.payload
    facts = {
        "letter": letter.name,
        "time": letter.time.isoformat(),
        "worker": values.get("worker", ""),
        "pipeline": letter.pipeline,
        "step": letter.step,
        "key": _key(letter),
        "at": values.get("at", ""),
        "record": values.get("record", ""),
        "payload": "none" if payload is None else f"{len(payload):,} bytes: {_start(payload)}",
        "replayed": {"": "no", "replayed": "yes", "unsure": "perhaps: an earlier replay was "
                     "interrupted"}[state],
    }  # fmt: skip
    for name, value in facts.items():
        if value != "":
            click.echo(f"{name + ':':10} {_plain(value)}")
    click.echo()
    for line in str(values["traceback"]).splitlines():
        click.echo(_plain(line))


def as_json(letter: Letter, state: State) -> dict[str, Any]:
    """Return a letter with its name and whether it was sent again."""
    return {"letter": letter.name, **letter.values, "replayed": state or "no"}


def print_damages(damages: Sequence[Damage]) -> None:
    """Print on stderr which lines are not letters."""
    for damage in damages:
        click.echo(
            f"warning: line {damage.line} of {damage.path} is not a dead letter and is left out",
            err=True,
        )


def print_outcome(outcome: Outcome) -> None:
    """Print what was sent and what was not, and why."""
    click.echo(f"sent {_count(len(outcome.sent))} again")
    if outcome.replayed_before:
        before = len(outcome.replayed_before)
        click.echo(f"left out {_count(before)}, sent again before")
    if outcome.unsure:
        click.echo(
            f"left out {_count(len(outcome.unsure))} that may have arrived when an earlier replay "
            "was interrupted; --unsure sends them, too"
        )
    by_reason: dict[str, list[str]] = {}
    for name, why in outcome.refused.items():
        by_reason.setdefault(why, []).append(name)
    for why, names in by_reason.items():
        which = names[0] if len(names) == 1 else f"{_count(len(names))}, the first {names[0]}"
        click.echo(f"refused {which}: {why}", err=True)


def _count(count: int) -> str:
    return f"{count:,} letter{'' if count == 1 else 's'}"


def _key(letter: Letter) -> str:
    key = letter.values.get("key")
    if key is None:
        return ""
    return _plain(key if isinstance(key, str) else json.dumps(key))


def _start(payload: bytes) -> str:
    shown = repr(payload[:60])
    return shown if len(payload) <= 60 else f"{shown}…"


def _plain(value: object) -> str:
    """Return text without control characters: users' data must not steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
