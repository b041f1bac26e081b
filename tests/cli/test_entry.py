"""Ctrl-C while a command is still being imported ends it quietly."""

import importlib
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

INTERRUPTED_IN_IMPORT = """
import importlib, os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = [{name!r}, "--help"]
from {entry} import {function}
{function}()
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_starts_in_the_module_that_waits_for_ctrl_c(name: str) -> None:
    module, _, function = SCRIPTS[name].partition(":")
    assert module == "wallaroo_cli.entry"
    assert callable(getattr(importlib.import_module(module), function))


def interrupted(
    name: str, module: str, before: Callable[[], None] | None = None
) -> "subprocess.CompletedProcess[str]":
    entry, _, function = SCRIPTS[name].partition(":")
    program = INTERRUPTED_IN_IMPORT.format(module=module, name=name, entry=entry, function=function)
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_during_the_import_ends_without_a_traceback(name: str) -> None:
    ended = interrupted(name, "click")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_a_command_that_was_started_with_ctrl_c_ignored_keeps_ignoring_it() -> None:
    ended = interrupted("wallaroo-cluster", "click", before=ignore_interrupts)
    assert ended.returncode == 0
    assert ended.stdout.startswith("Usage: wallaroo-cluster")


APPLICATION = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize("more", [[], ["--cluster-initializer", "--data", "127.0.0.1:0"]])
def test_ctrl_c_during_the_import_of_the_application_ends_without_a_traceback(
    tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "slow.py").write_text(APPLICATION)
    program = "from wallaroo_cli.entry import run; run()"
    command = [sys.executable, "-c", program, "--application-module", "slow", *more]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr


def test_the_package_can_be_run_as_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "wallaroo", "alphabet.py", "--in", "h:1", "--out", "h:2", "--plan"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "examples" / "alphabet",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("application 'alphabet'")
