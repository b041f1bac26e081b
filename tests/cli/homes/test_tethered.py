"""A command that ends with the process that started it."""

import os
import subprocess
import sys


def run(parent: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "wallaroo_cli.homes.tethered", str(parent), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_the_ordinary_command() -> None:
    done = run(os.getpid())
    assert done.returncode == 0, done.stderr
    assert "wallaroo-run, version " in done.stdout


def test_it_does_not_start_if_that_process_has_ended_already() -> None:
    done = run(os.getpid() + 1)
    assert (done.returncode, done.stdout) == (1, "")
