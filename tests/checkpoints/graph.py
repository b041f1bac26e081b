"""Makes the stored checkpoint of a graph: ``python -m tests.checkpoints.graph COMMIT``.

A run is killed while records wait for answers at both steps, and its last checkpoint holds them.
"""

import sys
import tempfile
from pathlib import Path

import click

from tests.checkpoints.__main__ import Release, kill, newest_manifest, pack
from tests.checkpoints.formats import GRAPH, GRAPH_APPLICATION, HELD_STATES
from tests.cluster.durable import newest
from tests.cluster.harness import wait_until


def main(commit: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        code, folder = Path(name) / "code", Path(name) / "run"
        code.mkdir()
        folder.mkdir()
        (folder / GRAPH_APPLICATION.name).write_text(GRAPH_APPLICATION.read_text())
        options = ["--application-module", GRAPH_APPLICATION.stem, "--slow", "--workers", "2"]
        options += ["--resilience-dir", "checkpoints", "--checkpoint-interval", "0.2"]
        run = Release(commit, code).start(folder, "wallaroo-run", *options)
        store = folder / "checkpoints"
        try:
            wait_until("records that wait", lambda: newest(store) > 0 and are_held(store))
        finally:
            kill(run)
        assert are_held(store)
        (folder / GRAPH_APPLICATION.name).unlink()
        pack(folder, GRAPH)
        click.echo(f"{GRAPH.name}: {GRAPH.stat().st_size} bytes")


def are_held(store: Path) -> bool:
    """Return whether the last checkpoint holds records of both steps."""
    shares = newest_manifest(store).workers.values()
    return all(any(share.key_counts.get(state) for share in shares) for state in HELD_STATES)


if __name__ == "__main__":
    main(sys.argv[1])
