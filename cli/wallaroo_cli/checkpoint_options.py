"""Options of ``wallaroo-run`` for checkpoints; all need ``--resilience-dir``."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any

import click

from wallaroo.checkpoint.journal import JOURNAL_FOLDER
from wallaroo.errors import ConfigError
from wallaroo_cli.tools.numbers import Number
from wallaroo_workers.initializer.resources.checkpoint_store import CheckpointSettings
from wallaroo_workers.storage.journal_files import JournalSync

INTERVAL_S = 1.0
INTERVAL_S_PER_WORKER = 0.05
"""In object stores each request has a price, and a checkpoint makes some for each worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOptions:
    """The values of these options; the names are those of the options below."""

    resilience_dir: str | None
    checkpoint_interval: float | None
    keep_checkpoints: int
    max_checkpoint_failures: int | None
    journal_dir: str | None
    journal_sync: JournalSync
    from_checkpoint: int | None
    allow_dropped_state: bool
    take_over: bool
    store_timeout_s: float
    allow_lost_input: bool
    allow_changed_state: bool
    skip_unreadable_keys: bool

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> "CheckpointOptions":
        """Remove these options from ``values`` and return them; paths become absolute."""
        own = {field.name: values.pop(field.name) for field in fields(cls)}
        if own["resilience_dir"] and not is_url(own["resilience_dir"]):
            own["resilience_dir"] = os.path.abspath(own["resilience_dir"].removeprefix("file://"))
        return cls(**own)

    @property
    def has_local_journals(self) -> bool:
        """Whether journals are on the disk of each host, because no option names a folder.

        The folder of checkpoints is shared by all hosts, and has the journals too.
        """
        return is_url(self.resilience_dir or "") and not self.journal_dir

    def places(self, folder: str) -> tuple[str, str]:
        """Return where checkpoints and journals are, both empty if checkpoints are off.

        ``folder`` is the one in which the command was started.
        """
        if not self.resilience_dir:
            return "", ""
        if self.journal_dir:
            return self.resilience_dir, self.journal_dir
        if is_url(self.resilience_dir):
            return self.resilience_dir, os.path.join(folder, "wallaroo-journals")
        return self.resilience_dir, os.path.join(self.resilience_dir, JOURNAL_FOLDER)

    def settings(self, folder: str) -> CheckpointSettings | None:
        """Return the settings for a run in ``folder``; ``None`` if checkpoints are off."""
        location, journal_folder = self.places(folder)
        if not location:
            return None
        is_quick = self.checkpoint_interval is not None or not is_url(location)
        return CheckpointSettings(
            location=location,
            journal_folder=journal_folder,
            folder=folder,
            interval_s=self.checkpoint_interval or INTERVAL_S,
            interval_s_per_worker=0.0 if is_quick else INTERVAL_S_PER_WORKER,
            keep=self.keep_checkpoints,
            failures_max=self.max_checkpoint_failures,
            from_checkpoint=self.from_checkpoint,
            allow_dropped_state=self.allow_dropped_state,
            takes_over=self.take_over,
            store_timeout_s=self.store_timeout_s,
            allow_lost_input=self.allow_lost_input,
            allow_changed_state=self.allow_changed_state,
        )


def is_url(place: str) -> bool:
    """Return whether checkpoints are in an object store instead of a folder."""
    return "://" in place and not place.startswith("file://")


ABOUT_CHECKPOINTS = tuple(
    field.name for field in fields(CheckpointOptions) if field.name != "resilience_dir"
)

_OPTIONS = [
    click.option(
        "--resilience-dir",
        metavar="DIR|URL",
        help="Take checkpoints there: a directory, or s3://BUCKET/PREFIX. Accepted input is "
        "then never lost; run again with the same DIR to continue.",
    ),
    click.option(
        "--checkpoint-interval",
        metavar="SECONDS",
        type=Number(),
        help="Time from one checkpoint to the next.  [default: 1; for a URL a twentieth of a "
        "second for each worker, but at least 1]",
    ),
    click.option(
        "--keep-checkpoints",
        metavar="K",
        default=3,
        show_default=True,
        type=click.IntRange(1),
        help="How many checkpoints to keep; journals reach back to the oldest of them.",
    ),
    click.option(
        "--max-checkpoint-failures",
        metavar="N",
        type=click.IntRange(0),
        help="Stop with status 1 when more than N checkpoints in a row fail.  [default: no limit]",
    ),
    click.option(
        "--journal-dir",
        metavar="DIR",
        type=click.Path(file_okay=False),
        help="Folder for the journals; if other hosts join, one that outlives each host.  "
        "[default: RESILIENCE-DIR/journals; wallaroo-journals if that is a URL]",
    ),
    click.option(
        "--journal-sync",
        type=click.Choice(["os", "batch", "always"]),
        default="os",
        show_default=True,
        help="When journals reach the disk. os: when the system writes them, which survives a "
        "killed process; batch: before a worker sends anything; always: after each read.",
    ),
    click.option(
        "--from-checkpoint",
        metavar="N",
        type=click.IntRange(1),
        help="Start from this checkpoint instead of the newest; input accepted since then is "
        "processed again.",
    ),
    click.option(
        "--allow-dropped-state",
        is_flag=True,
        help="Accept the checkpoint of a changed application: states keep their content by name, "
        "and states that no longer exist are dropped.",
    ),
    click.option(
        "--take-over",
        is_flag=True,
        help="Start even if another run that is alive uses these checkpoints; that run ends.",
    ),
    click.option(
        "--store-timeout",
        "store_timeout_s",
        metavar="SECONDS",
        default=60.0,
        show_default=True,
        type=Number(above_zero=False),
        help="How long a start or a recovery waits for a store that cannot be reached.",
    ),
    click.option(
        "--allow-lost-input",
        is_flag=True,
        help="Continue if a journal that is needed is missing or too short: accepted input that "
        "only this journal had is lost. Start on hosts that may lose one with their disk.",
    ),
    click.option(
        "--allow-changed-state",
        is_flag=True,
        help="Start even if the class of a state has changed since the checkpoint; its objects "
        "are used as they unpickle.",
    ),
    click.option(
        "--skip-unreadable-keys",
        is_flag=True,
        help="Continue without keys whose state cannot be read; they are listed in a file beside "
        "the dead letters. Without this option such a key ends the run with status 1.",
    ),
]


def checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_checkpoints(resilience_dir: str | None, given: Collection[str]) -> None:
    """Reject these options without ``--resilience-dir``: the user would believe in durability.

    ``given`` has the names of the parameters on the command line. Raises ``ConfigError``.
    """
    if resilience_dir:
        return
    if vain := [name for name in ABOUT_CHECKPOINTS if name in given]:
        option = "--" + vain[0].removesuffix("_s").replace("_", "-")
        raise ConfigError(
            f"{option} needs checkpoints, and --resilience-dir is not given",
            hint=f"add --resilience-dir DIR, or leave out {option}",
        )
