"""Makes the stored checkpoints again: ``python -m tests.checkpoints`` all, or those that are named.

Each is made by the code of its own commit: a run reads a file, takes what is sent, writes some
checkpoints, and is then killed with records in its journals that no checkpoint holds.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

import click

from tests.checkpoints.formats import APPLICATION, FORMATS, LINES, SENT, STORED, Format
from tests.cluster.durable import children, newest
from tests.cluster.harness import framed, free_port, is_gone, wait_until
from wallaroo.checkpoint.journal import segment_name
from wallaroo.checkpoint.manifest import (
    JournalPosition,
    Manifest,
    decode_manifest,
    manifest_name,
)
from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import DamagedFileError
from wallaroo_workers.storage.journal_files import JournalReader, list_journals

ROOT = Path(__file__).resolve().parents[2]
LAST_COUNT = 60
"""So many of the records that are sent come behind the last checkpoint, or within its barrier."""

ATTEMPTS_MAX = 20
NOT_KEPT = ("lines.txt", ".wallaroo", "owner", "owner-lock", "ready.json", APPLICATION.name)
"""Files that are not part of a checkpoint, or that the tests have anyway."""


class Release:
    """The code of one commit, and its commands."""

    def __init__(self, commit: str, folder: Path) -> None:
        self._folder = folder
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        self._scripts: dict[str, str] = project["scripts"]

    def start(self, folder: Path, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        module, _, function = self._scripts[command].partition(":")
        program = f"import sys; from {module} import {function}; sys.exit({function}())"
        roots = [self._folder, self._folder / "workers", self._folder / "cli"]
        path = os.pathsep.join(map(str, roots))
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def has_option(self, option: str) -> bool:
        """Say whether any command has this option."""
        texts = (path.read_text() for path in (self._folder / "cli").rglob("*.py"))
        return any(f'"{option}"' in text or f"/{option}" in text for text in texts)


def make(chosen: Format) -> None:
    """Make the stored checkpoint of one format; raises if no attempt leaves what is wanted."""
    with tempfile.TemporaryDirectory() as name:
        code = Path(name) / "code"
        code.mkdir()
        release = Release(chosen.commit, code)
        for attempt in range(ATTEMPTS_MAX):
            folder = Path(name) / f"run{attempt}"
            folder.mkdir()
            run_and_kill(release, folder, may_grow=chosen.may_grow)
            if lack := what_is_missing(folder):
                click.echo(f"{chosen.name}: once more, since {lack}")
                continue
            pack(folder, chosen.archive)
            click.echo(f"{chosen.archive.name}: {chosen.archive.stat().st_size} bytes")
            return
    raise SystemExit(f"{chosen.name}: no attempt of {ATTEMPTS_MAX} leaves what is wanted")


def run_and_kill(release: Release, folder: Path, *, may_grow: bool) -> None:
    (folder / APPLICATION.name).write_text(APPLICATION.read_text())
    (folder / "lines.txt").write_bytes(b"\n".join(LINES) + b"\n")
    port = free_port()
    options = ["--application-module", APPLICATION.stem, "--in", f"127.0.0.1:{port}", "--slow"]
    options += ["--resilience-dir", "checkpoints", "--checkpoint-interval", "0.3"]
    options += ["--workers", "2", "--ready-file", "ready.json"]
    options += ["--no-dashboard"] if release.has_option("--no-dashboard") else []
    run = release.start(folder, "wallaroo-run", *options)
    try:
        wait_until("it is ready", lambda: (folder / "ready.json").exists() or _has_ended(run))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            send_most(folder, connection)
            if may_grow:
                grow = release.start(folder, "wallaroo-cluster", "grow", "--workers", "1")
                _, problem = grow.communicate()
                assert grow.returncode == 0, problem
            checkpoint = newest(folder / "checkpoints")
            wait_until("a checkpoint", lambda: newest(folder / "checkpoints") > checkpoint)
            connection.sendall(framed(*SENT[-LAST_COUNT:]))
            wait_accepted(folder, len(SENT))
    finally:
        kill(run)


def send_most(folder: Path, connection: socket.socket) -> None:
    """Send all but the last records, some by some, so that checkpoints meet changing keys."""
    end = len(SENT) - LAST_COUNT
    for begin in range(0, end, 20):
        connection.sendall(framed(*SENT[begin : begin + 20]))
        wait_accepted(folder, min(begin + 20, end))


def wait_accepted(folder: Path, count: int) -> None:
    journals = folder / "checkpoints" / "journals"
    wait_until(f"{count} are accepted", lambda: _accepted(journals) >= count)


def _accepted(journals: Path) -> int:
    """Return how many of the records sent were ever in journals: their numbers have no gaps."""
    accepted = 0
    for journal in list_journals(journals):
        # One may be deleted meanwhile, since nothing in it is needed any more.
        with contextlib.suppress(DamagedFileError):
            for entry in JournalReader(journals, JournalPosition(journal.name, 0, {})):
                *_, last = LengthFramer(4, ">I", 1 << 10).receive_data(entry.frames)
                accepted = max(accepted, int(last.split()[1]) + 1)
    return accepted


def _has_ended(run: "subprocess.Popen[bytes]") -> bool:
    assert run.poll() is None, run.stderr and run.stderr.read()
    return False


def kill(run: "subprocess.Popen[bytes]") -> None:
    """End all processes of a run at once."""
    pids = [run.pid, *children(run.pid)] if run.poll() is None else []
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    run.wait()
    wait_until("all workers have ended", lambda: all(map(is_gone, pids[1:])))
    if run.stderr is not None:
        run.stderr.close()


def what_is_missing(folder: Path) -> str:
    """Return what this run does not have that a restore is to meet; "" if it has all."""
    manifest = newest_manifest(folder / "checkpoints")
    counted = sum(share.key_counts.get("by key", 0) for share in manifest.workers.values())
    if not counted:
        return "its last checkpoint is empty"
    if manifest.is_claim:
        return "its last manifest is a claim"
    positions = manifest.journal_positions()
    ends = journal_ends(folder / "checkpoints" / "journals")
    if not any(each.offset < ends.get(each.journal, 0) for each in positions):
        return "all that is in journals is in its last checkpoint"
    read = [position for share in manifest.workers.values() for position in share.sources.values()]
    if not any(offset < end and offset + skip > 0 for offset, skip, end in read):
        return "the file was not read in part"
    return ""


def newest_manifest(store: Path) -> Manifest:
    name = manifest_name(newest(store))
    return decode_manifest((store / name).read_bytes(), name)


def journal_ends(journals: Path) -> dict[str, int]:
    """Return the offset behind the last byte of each journal."""
    ends = {}
    for journal in list_journals(journals):
        last = journals / journal.name / segment_name(journal.segments[-1])
        ends[journal.name] = journal.segments[-1] + last.stat().st_size
    return ends


def pack(folder: Path, archive: Path) -> None:
    """Keep what the run has left, the same bytes for the same files."""

    def nameless(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(info.name).name in NOT_KEPT:
            return None
        return info.replace(mtime=0, uid=0, gid=0, uname="", gname="", deep=False)

    STORED.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name, filter=nameless)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.checkpoints", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="of a format; all if none is given"
    )
    names = parser.parse_args().names
    for each in FORMATS:
        if not names or each.name in names:
            make(each)


if __name__ == "__main__":
    main()
