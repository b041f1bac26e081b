"""Commits to measure, each in a git worktree with an environment of its own."""

import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import ROOT

INTERRUPTED_WITHIN_S = 30.0
IS_COMPILED = "from wallaroo.codec.framing import is_compiled; print(is_compiled())"


class CheckoutError(Exception):
    """A commit cannot be measured; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder with a commit's files, and the Python that runs them."""

    name: str
    """Its short id and its subject."""
    folder: Path
    python: Path

    def run(self, *arguments: str) -> str:
        """Run this Python in the folder; return what it printed, or raise `CheckoutError`."""
        # Help must not be wrapped, because rows are read from it.
        environment = {**os.environ, "COLUMNS": "1000000"}
        return _run([str(self.python), *arguments], self.folder, environment)

    @property
    def is_framing_compiled(self) -> bool:
        """Return whether it runs with the compiled framing."""
        return self.run("-c", IS_COMPILED).strip() == "True"


def current_commit() -> str:
    """Return a commit of the files that git knows here as they are now, committed or not."""
    # It makes a commit that no branch has, and changes neither files nor the list of stashes.
    return _git("stash", "create") or _git("rev-parse", "HEAD")


@contextmanager
def checkout_of(ref: str) -> Iterator[Checkout]:
    """Check out a commit in a temporary worktree with its own commands and compiled framing.

    Other packages come from the environment that runs this, so the set-up takes seconds and all
    commits run with the same ones.
    """
    commit = _git("rev-parse", "--short", "--verify", f"{ref}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, environment = Path(name, "checkout"), Path(name, "environment")
        try:
            _git("worktree", "add", "--detach", "--quiet", str(folder), commit)
            subject = _git("log", "-1", "--format=%s", commit)
            yield Checkout(f"{commit} {subject}", folder, _make_environment(folder, environment))
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _make_environment(folder: Path, environment: Path) -> Path:
    """Install the commands of the checkout into a new environment; return its Python."""
    _run([sys.executable, "-m", "venv", "--without-pip", str(environment)], ROOT)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--no-deps", "--editable", str(folder)], ROOT)
    packages = sysconfig.get_path("purelib")
    own = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], ROOT)
    # Files named .pth in that folder are not followed, so the package that it names is not found;
    # and this name sorts behind that of the file that names the checkout.
    Path(own.strip(), "zz-packages.pth").write_text(f"{packages}\n")
    return python


def _git(*arguments: str) -> str:
    return _run(["git", *arguments], ROOT).strip()


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            _interrupt(process)
            raise
    if process.returncode:
        said = "\n".join((errors or output).strip().splitlines()[-30:])
        raise CheckoutError(f"`{' '.join(command)}` failed in {folder}:\n{said}")
    return output


def _interrupt(process: subprocess.Popen[str]) -> None:
    """End a process as Ctrl-C does, so that it stops its clusters; kill it if that takes long."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=INTERRUPTED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def cleaning_up_at_sigterm() -> Iterator[None]:
    """End this block by ``SystemExit`` at the first SIGTERM; ignore others while it cleans up."""

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
