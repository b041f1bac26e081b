"""Checkouts of other commits leave nothing behind, however the benchmark ends."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.bench.processes import ROOT

WAIT_S = 60
HELD_CHECKOUT = """
import sys
from tests.bench import checkouts

checkouts._make_environment = lambda folder, environment: environment
with checkouts.cleaning_up_at_sigterm(), checkouts.checkout_of("HEAD") as checkout:
    print(checkout.folder, flush=True)
    sys.stdin.read()
"""


def worktrees() -> str:
    command = ["git", "worktree", "list", "--porcelain"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_worktree_is_removed_when_the_benchmark_is_terminated() -> None:
    command = [sys.executable, "-c", HELD_CHECKOUT]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = process.stdout.readline().strip()
        assert Path(folder).is_dir()
        assert folder in worktrees()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 128 + signal.SIGTERM
    assert not Path(folder).exists()
    assert folder not in worktrees()
