"""What applications have in common whose sink kills its process: ``once`` and ``parts``.

``--die POINT`` ends the process with SIGKILL at a point of the sink, once for each point;
``--die-all POINT`` ends the initializer, and ``--freeze POINT`` stops the process with SIGSTOP.
"""

import argparse
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import decode_text


class Seen:
    def __init__(self) -> None:
        self.count = 0


class Killed:
    """A part of a sink over ``folder``."""

    def __init__(
        self,
        folder: Path,
        points: list[str],
        points_of_all: list[str],
        points_of_freezing: Sequence[str] = (),
    ) -> None:
        self.folder, self.points, self.points_of_all = folder, points, points_of_all
        self.points_of_freezing = points_of_freezing

    def at(self, point: str) -> None:
        """End a process, if that is wanted here and has not been done before."""
        folder = self.folder.parent
        if point not in (*self.points, *self.points_of_all, *self.points_of_freezing):
            return
        if point.endswith("again") and not [*folder.glob("done-*")]:
            return
        try:
            (folder / f"done-{point}").touch(exist_ok=False)
        except FileExistsError:
            return
        if point in self.points_of_freezing:
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        os.kill(os.getpid() if point in self.points else os.getppid(), signal.SIGKILL)
        time.sleep(60)  # a worker without initializer ends by itself


@wallaroo.partition
def key_of(line: str) -> str:
    return line.split()[0]


@wallaroo.state_computation("count")
def count(line: str, seen: Seen) -> tuple[tuple[str, int], bool]:
    # Slow enough for several checkpoints.
    time.sleep(0.0003)
    seen.count += 1
    return (line.split()[0], seen.count), True


def application(
    name: str, sink: Callable[[Path, list[str], list[str], list[str]], Any], args: list[str]
) -> wallaroo.Application:
    """Count the lines of ``lines.txt``, or of ``--in``, into a sink over ``--target``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--die", action="append", default=[])
    parser.add_argument("--die-all", action="append", default=[])
    parser.add_argument("--freeze", action="append", default=[])
    parser.add_argument("--target", default="target")
    options, _ = parser.parse_known_args(args)
    source: Any = wallaroo.FileSourceConfig("lines.txt", decode_text, "newline")
    if "--in" in args:
        (address,) = wallaroo.tcp_parse_input_addrs(args)
        source = wallaroo.TCPSourceConfig(*address, decode_text)
    return (
        wallaroo.ApplicationBuilder(name)
        .new_pipeline("lines", source)
        .to_state_partition(count, Seen, "seen", key_of)
        .to_sink(
            sink(Path(options.target).absolute(), options.die, options.die_all, options.freeze)
        )
        .build()
    )
