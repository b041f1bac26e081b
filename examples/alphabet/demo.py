"""Counts the votes of votes.bin on 4 workers and shows the totals: what `make run` runs.

It starts the three commands that a user starts in three terminals, in the same way.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

HERE = Path(__file__).resolve().parent
VOTES = HERE / "votes.bin"
FRAME = struct.Struct(">IcI")
COMMANDS = Path(sys.executable).parent

START_S = 60.0
WORK_S = 60.0
STOP_S = 60.0
KILL_AFTER_S = 10.0
BAR_WIDTH = 50

Found = TypeVar("Found")


class DemoError(Exception):
    """The demo cannot go on, or its result is wrong."""


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Command:
    """One of the project's commands at work in this folder; what it says goes to a file."""

    def __init__(self, folder: Path, line: str) -> None:
        self.name, *arguments = shlex.split(line)
        self.log = folder / f"{self.name}.log"
        program = COMMANDS / self.name
        if not program.exists():
            raise DemoError(
                f"{program} is missing; start the demo with `make run`, which installs it."
            )
        say(f"$ {line}")
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends the others.
            self.process = subprocess.Popen(
                [str(program), *arguments],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, aim: str, find: Callable[[], Found | None], seconds: float) -> Found:
        """Return what ``find`` finds, as soon as it does."""
        deadline = time.monotonic() + seconds
        while (found := find()) is None:
            status = self.process.poll()
            if status is not None:
                self.fail(f"ended with exit status {status} before it was {aim}")
            if time.monotonic() > deadline:
                self.fail(f"is not {aim} after {seconds:.0f} seconds")
            time.sleep(0.02)
        return found

    def wait(self, seconds: float) -> None:
        """Wait until the command has ended by itself, and well."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"has not ended after {seconds:.0f} seconds")
        if status != 0:
            self.fail(f"ended with exit status {status}")

    def end(self) -> None:
        """Make sure that nothing of the command is left, however the demo went."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(KILL_AFTER_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def fail(self, what: str) -> NoReturn:
        raise DemoError(f"{self.name} {what}.")


@contextlib.contextmanager
def running(folder: Path, line: str) -> Iterator[Command]:
    command = Command(folder, line)
    try:
        yield command
    finally:
        command.end()


def listening_address(receiver: Command) -> str | None:
    listening = re.search(r"Listening on (\S+)\n", receiver.said())
    return listening[1] if listening else None


def source_address(ready_file: Path) -> str | None:
    """Return where the votes are to be sent, once the cluster has written its ready file."""
    try:
        address: str = json.loads(ready_file.read_text())["sources"][0]["address"]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return address


def count_with_wallaroo(folder: Path, message_count: int) -> list[str]:
    """Run the application on all votes and return its lines of output."""
    output = folder / "output.txt"
    output.touch()
    ready = folder / "ready.json"
    receive = f"wallaroo-receiver --listen 127.0.0.1:0 --output {shlex.quote(str(output))}"
    with running(folder, receive) as receiver:
        sink = receiver.wait_until("listening", lambda: listening_address(receiver), START_S)
        run = (
            f"wallaroo-run --application-module alphabet --in 127.0.0.1:0 --out {sink}"
            f" --workers 4 --ready-file {shlex.quote(str(ready))}"
        )
        with running(folder, run) as cluster:
            source = cluster.wait_until("ready", lambda: source_address(ready), START_S)
            send = f"wallaroo-sender --host {source} --file votes.bin --binary --msg-size 9"
            with running(folder, send) as sender:
                sender.wait(WORK_S)
            # A cluster that is told to stop first finishes what it was sent.
            cluster.process.send_signal(signal.SIGINT)
            cluster.wait(STOP_S)
        stop_receiver(receiver, output, message_count)
    return output.read_text(encoding="utf-8").splitlines()


def stop_receiver(receiver: Command, output: Path, line_count: int) -> None:
    def is_complete() -> bool | None:
        return output.read_bytes().count(b"\n") >= line_count or None

    # Lines that are missing are told better by the comparison that follows than here.
    with contextlib.suppress(DemoError):
        receiver.wait_until("complete", is_complete, STOP_S / 4)
    receiver.process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        receiver.process.wait(KILL_AFTER_S)


def count_by_hand() -> tuple[int, Counter[str]]:
    """Return how many messages votes.bin has, and the votes of each letter in them."""
    totals: Counter[str] = Counter()
    message_count = 0
    for _length, letter, votes in FRAME.iter_unpack(VOTES.read_bytes()):
        totals[letter.decode()] += votes
        message_count += 1
    return message_count, totals


def last_totals(lines: list[str]) -> Counter[str]:
    """Return the total of each letter: the number in the last of its lines."""
    totals: Counter[str] = Counter()
    for line in lines:
        letter, arrow, votes = line.partition(" => ")
        if not arrow or not votes.isdigit():
            raise DemoError(f"This line of output is not a total: {line!r}")
        totals[letter] = int(votes)
    return totals


def show(totals: Counter[str]) -> None:
    say()
    most = max(totals.values(), default=1)
    for letter, votes in sorted(totals.items()):
        say(f"  {letter} {votes:>7,}  {'#' * round(votes * BAR_WIDTH / most)}")
    say()


def check(lines: list[str], message_count: int, expected: Counter[str]) -> None:
    """Compare the application's count with the one made by hand."""
    totals = last_totals(lines)
    differences = [
        f"{letter}: {totals[letter]:,} votes instead of {expected[letter]:,}"
        for letter in sorted(totals | expected)
        if totals[letter] != expected[letter]
    ]
    if len(lines) != message_count:
        differences.append(f"{len(lines):,} lines of output instead of {message_count:,}")
    if differences:
        raise DemoError("The totals are wrong:\n" + "\n".join(f"  {line}" for line in differences))


def what_was_said(folder: Path) -> str:
    """Return the output of the commands, which shows what went wrong."""
    logs = {log.stem: log.read_text(errors="replace") for log in sorted(folder.glob("*.log"))}
    return "".join(f"\n{name} said:\n{said}" for name, said in logs.items() if said)


def run(folder: Path) -> None:
    message_count, expected = count_by_hand()
    say(f"Counting {message_count:,} messages with votes on 4 workers:\n")
    try:
        lines = count_with_wallaroo(folder, message_count)
        show(last_totals(lines))
        check(lines, message_count, expected)
    except DemoError as error:
        raise DemoError(f"{error}\n{what_was_said(folder)}") from error
    say(f"All {expected.total():,} votes counted, totals are right.")


def main() -> int:
    """Run the demo; the exit status is 0 where every vote is counted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix="wallaroo-demo-") as folder:
            run(Path(folder))
    except DemoError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; everything that was started is stopped.\n")
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
