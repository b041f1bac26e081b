"""Makes the stored checkpoint with splits, tombstones and results: ``python -m ...counts COMMIT``.

A run is killed whose targets are away, so its last checkpoint has results that nobody has got.
"""

import sys
import tempfile
from pathlib import Path

import click

from tests.checkpoints.__main__ import Release, kill, newest_manifest, pack
from tests.checkpoints.formats import COUNTS, COUNTS_APPLICATION
from tests.cluster.durable import newest
from tests.cluster.harness import wait_until
from wallaroo.checkpoint.manifest import Manifest

SIZE = 8


def main(commit: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        code, folder = Path(name) / "code", Path(name) / "run"
        code.mkdir()
        folder.mkdir()
        (folder / COUNTS_APPLICATION.name).write_text(COUNTS_APPLICATION.read_text())
        options = ["--application-module", COUNTS_APPLICATION.stem, "--slow", "--workers", "2"]
        options += ["--resilience-dir", "checkpoints", "--checkpoint-interval", "0.2"]
        run = Release(commit, code).start(folder, "wallaroo-run", *options)
        store = folder / "checkpoints"
        try:
            wait_until("many results", lambda: len([*(folder / "target").glob("*.batch")]) > SIZE)
            (folder / "target" / "away").touch()
            wait_until("results that wait", lambda: newest(store) > 0 and waits(store))
        finally:
            kill(run)
        (folder / "target" / "away").unlink()
        assert waits(store)
        (folder / COUNTS_APPLICATION.name).unlink()
        pack(folder, COUNTS)
        click.echo(f"{COUNTS.name}: {COUNTS.stat().st_size} bytes")


def waits(store: Path) -> bool:
    """Return whether the last checkpoint names results of both sinks that are not visible."""
    manifest: Manifest = newest_manifest(store)
    tokens = [each.token for share in manifest.workers.values() for each in share.prepared]
    target = store.parent / "target"
    return bool(manifest.outbox()) and any(
        (target / f"{token.decode()}.prepared").exists() for token in tokens
    )


if __name__ == "__main__":
    main(sys.argv[1])
