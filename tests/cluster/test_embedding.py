"""A cluster inside a program of the user's: a function runs it, and the program stays its own."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster

PROGRAM = Path(__file__).parent / "applications" / "embedding.py"


def test_a_program_runs_clusters_and_keeps_its_signal_handlers(tmp_path: Path) -> None:
    words = [b"a", b"b", b"a"]
    (tmp_path / "in").write_bytes(b"\n".join(words))

    ended = subprocess.run(
        [sys.executable, PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = [line for line in ended.stdout.splitlines() if line.startswith(("status", "signals"))]
    assert said == ["status 0", "status 0", "signals 2 True"], ended.stderr
    assert Counter((tmp_path / "out").read_bytes().splitlines()) == Counter(
        [b"a 1", b"a 2", b"b 1"]
    )
