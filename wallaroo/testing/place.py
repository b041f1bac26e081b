"""The ports of checkpoints for a simulated run: its store, its disk and its clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.store import ObjectStore
from wallaroo.connectors.file import StagedPart
from wallaroo.coordinator.events import Announce
from wallaroo.coordinator.manifest_writer import CheckpointPorts
from wallaroo.testing.disk import Disk
from wallaroo.testing.journals import JournalFolder
from wallaroo.testing.loop import Process

NOTICE_S = 0.02


def place_of(
    process: Process,
    disk: Disk,
    paths: Mapping[int, str],
    store: ObjectStore,
    tell: Callable[[str, dict[str, Any]], None],
    announce: Callable[[Announce], None],
) -> CheckpointPorts:
    """Return the ports for the process of one initializer; ``paths`` are the files of sinks."""
    token = f"{process.name} at {process.loop.now_s}"

    async def commit_output(sink: int, length_before: int, parts: Sequence[StagedPart]) -> None:
        await process.pause(process.loop.random.random() * NOTICE_S)
        disk.commit_output(process, paths[sink], length_before, parts)

    async def discard_output(sink: int, stage: str) -> None:
        await process.pause(0)
        disk.discard_output(paths[sink], stage)

    return CheckpointPorts(
        log=ManifestLog(store, process.pause, lambda: token),
        journal_epochs=JournalFolder(process, disk).epochs,
        journals=JournalFolder(process, disk),
        announce=announce,
        commit_output=commit_output,
        discard_output=discard_output,
        output_path=lambda sink: paths[sink],
        pause=process.pause,
        clock=lambda: process.loop.now_s,
        wall_clock=lambda: process.loop.now_s,
        info=tell,
        warn=tell,
    )
