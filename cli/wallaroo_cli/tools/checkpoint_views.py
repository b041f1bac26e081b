"""Checkpoints as tables for people and as plain values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.filesize import decimal
from rich.table import Table

from wallaroo.checkpoint.manifest import Manifest, WorkerCheckpoint
from wallaroo.errors import DamagedFileError
from wallaroo_cli.tools.tables import age_text, new_table, print_table
from wallaroo_workers.storage.verify import Findings


def row(found: Manifest | DamagedFileError, now_unix_s: float) -> dict[str, Any]:
    """Return what the list shows for a manifest, or for a damaged one."""
    if isinstance(found, DamagedFileError):
        return {"number": _number(found), "kind": "damaged", **_damage(found)}
    return {
        "number": found.number,
        "kind": _kind(found),
        "taken_unix_s": found.taken_unix_s,
        "age_s": max(0.0, now_unix_s - found.taken_unix_s),
        "epoch": found.epoch,
        "workers": len(found.members),
        "keys": sum(_key_count(worker) for worker in found.workers.values()),
        "part_bytes": sum(_part_bytes(worker) for worker in found.workers.values()),
        "duration_s": found.duration_s,
        "pause_s": max((worker.pause_s for worker in found.workers.values()), default=0.0),
    }


def print_rows(
    rows: Sequence[Manifest | DamagedFileError], location: str, now_unix_s: float
) -> None:
    """Print the list of all manifests, newest first."""
    if not rows:
        click.echo(f"There are no checkpoints in {location}.")
        return
    table = new_table("number", "kind", "age", "epoch", "workers", "keys", "parts", "took")
    for found in rows:
        values = row(found, now_unix_s)
        if isinstance(found, DamagedFileError):
            table.add_row(str(_number(found)), "DAMAGED")
            continue
        table.add_row(
            str(values["number"]),
            values["kind"],
            age_text(values["age_s"]),
            str(values["epoch"]),
            str(values["workers"]),
            f"{values['keys']:,}",
            decimal(values["part_bytes"]),
            f"{values['duration_s']:.2f} s",
        )
    print_table(table)
    for found in rows:
        if isinstance(found, DamagedFileError):
            click.echo(f"Error: {found.what}\nhint: {found.hint}", err=True)


def whole(manifest: Manifest) -> dict[str, Any]:
    """Return everything in a manifest as values for JSON; bytes become hexadecimal digits."""
    values = {"kind": _kind(manifest), **asdict(manifest)}
    del values["is_claim"]
    return {name: _plain(value) for name, value in values.items()}


def print_whole(manifest: Manifest) -> None:
    """Print everything in a manifest except the outline and the owners of partitions."""
    click.echo(
        f"{_kind(manifest).capitalize()} {manifest.number} of {manifest.application!r}, epoch "
        f"{manifest.epoch}, taken on {_local_time(manifest.taken_unix_s)} in "
        f"{manifest.duration_s:.2f} s"
    )
    if manifest.lineage:
        click.echo(f"Lineage {manifest.lineage}")
    for table in (_workers(manifest), _parts(manifest), _outbox(manifest), _positions(manifest)):
        if table.row_count:
            print_table(table)


def findings(found: Findings) -> dict[str, Any]:
    """Return what a verification found, as values for JSON."""
    return asdict(found)


def print_findings(found: Findings, *, has_journals: bool) -> None:
    """Print what a verification found; problems on stderr."""
    journals = (
        f"{found.journal_count} journals with {found.entry_count:,} entries"
        if has_journals
        else "no journals (name their folder with --journals)"
    )
    click.echo(
        f"Read {found.manifest_count} manifests, {found.object_count} objects and {journals}: "
        f"{decimal(found.byte_count)}."
    )
    for file, byte_count in found.torn:
        click.echo(
            f"{file} ends with {byte_count} bytes of an entry that was never finished: fine."
        )
    for problem in found.problems:
        place = "" if problem.offset is None else f", byte {problem.offset}"
        click.echo(f"Error: {problem.file}{place}: {problem.what}", err=True)
        click.echo(f"hint: {problem.hint}", err=True)
    if found.problems:
        count = len(found.problems)
        click.echo(f"{count} problem{'s' * (count != 1)}. {_way_back(found.whole)}")
    else:
        click.echo("No problems." if found.manifest_count else "There are no checkpoints here.")


def _way_back(whole: Sequence[int]) -> str:
    if not whole:
        return "No checkpoint is whole."
    numbers = ", ".join(map(str, whole))
    return f"These checkpoints are whole: {numbers}; choose one with --from-checkpoint."


def _local_time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().isoformat(" ", "milliseconds")


def _workers(manifest: Manifest) -> Table:
    table = new_table("worker", "keys", "parts", "bytes", "pause", "staged output")
    for worker in manifest.workers.values():
        staged = (
            f"sink {one.sink}: {one.name} ({decimal(one.byte_count)})" for one in worker.staged
        )
        table.add_row(
            worker.worker,
            ", ".join(f"{state}: {count:,}" for state, count in worker.key_counts.items()),
            str(len(worker.parts)),
            decimal(_part_bytes(worker)),
            f"{worker.pause_s * 1000:.1f} ms",
            "\n".join(staged),
        )
    return table


def _parts(manifest: Manifest) -> Table:
    table = new_table("part", "state", "checkpoint", "keys", "bytes")
    for part in (part for worker in manifest.workers.values() for part in worker.parts):
        table.add_row(
            part.name,
            str(part.state),
            str(part.checkpoint),
            f"{part.key_count:,}",
            f"{part.byte_count:,}",
        )
    return table


def _outbox(manifest: Manifest) -> Table:
    table = new_table("sink", "slot", "number", "results", "bytes", "barrier", "object")
    for batch in sorted(manifest.outbox(), key=lambda one: (one.sink, one.cut, one.slot)):
        table.add_row(
            str(batch.sink),
            batch.slot,
            str(batch.number),
            f"{batch.record_count:,}",
            f"{batch.byte_count:,}",
            str(batch.cut),
            batch.name,
        )
    return table


def _positions(manifest: Manifest) -> Table:
    table = new_table("source", "position")
    for worker in manifest.workers.values():
        for pipeline, position in worker.sources.items():
            table.add_row(f"{worker.worker}, pipeline {pipeline}", repr(position))
        for journal in worker.journals:
            done = f", {len(journal.done)} later entries in part" if journal.done else ""
            table.add_row(f"journal {journal.journal}", f"{journal.offset}{done}")
    for sink, length in manifest.file_lengths.items():
        table.add_row(f"file of sink {sink}", f"{length:,} bytes")
    return table


def _kind(manifest: Manifest) -> str:
    return "claim" if manifest.is_claim else "checkpoint"


def _key_count(worker: WorkerCheckpoint) -> int:
    return sum(worker.key_counts.values())


def _part_bytes(worker: WorkerCheckpoint) -> int:
    return sum(part.byte_count for part in worker.parts)


def _number(error: DamagedFileError) -> int:
    return int(error.file.rpartition("/")[2])


def _damage(error: DamagedFileError) -> dict[str, Any]:
    return {
        "file": error.file,
        "offset": error.offset,
        "what": error.damage,
        "hint": error.hint,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
