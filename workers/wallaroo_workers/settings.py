"""What a worker process is told at its start, over its standard input."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

from wallaroo.topology.plan import HASHED_PARTITIONS_DEFAULT
from wallaroo_workers.dead_letters import FILE_BYTES
from wallaroo_workers.logs import Form, Level
from wallaroo_workers.network.tls import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """Where the application is and what it is given."""

    module: str
    paths: list[str]
    """Folders to search for the module, in order."""
    arguments: list[str]
    """What ``application_setup`` gets."""
    folder: str = ""
    """Where the command was started, and workers start; empty: in the current folder."""
    command_line: list[str] = field(default_factory=list)
    """All arguments of the command, for ``wallaroo._ARGS``."""
    plan: str = ""
    """The plan of a run that a program starts, as base64 of a pickle, instead of a module."""
    main: str = ""
    """The name under which to import the script of that program."""
    files: dict[str, str] = field(default_factory=dict)
    """The file of each module to which that plan refers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the cluster treats records, errors and the outside; the same in every worker."""

    frame_bytes_max: int = 16 << 20
    sink_timeout_s: float | None = None
    stop_on_error: bool = False
    folder: str = ""
    """Where relative paths of file sources and sinks begin; empty: in the current folder."""
    dead_letters: str = "dead-letters"
    dead_letter_bytes: int = FILE_BYTES
    """A file of dead letters that is longer is followed by another one."""
    dead_letters_kept: int | None = None
    """How many of these files of a worker are kept; ``None``: all."""
    exchange: str = "auto"
    """What travels between workers: ``auto``, ``payloads`` or ``objects``."""
    partition_count: int = HASHED_PARTITIONS_DEFAULT
    """Number of partitions of each state for keys that are not declared."""
    resilience: str = ""
    """Where checkpoints are: a directory or a URL; empty where they are off."""
    journal_folder: str = ""
    journals_are_local: bool = False
    """Whether each host has its own folder of journals, because no option names one."""
    journal_sync: Literal["os", "batch", "always"] = "os"
    """When journals reach the disk: when the system writes them, each turn, or each read."""
    store_timeout_s: float = 60.0
    """How long a start or a recovery waits for a store that cannot be reached."""
    pulse_s: float = 1.0
    """Time between two heartbeats."""
    measures: bool = True
    """Whether anything is measured, and more counted than records in and failed."""
    reports_failures: bool = False
    """Whether workers report failed records immediately, because there is a limit."""
    log_level: Level = "info"
    log_form: Form = "auto"
    skip_unreadable_keys: bool = False
    """Whether a recovery goes on without keys whose objects cannot be read."""
    exit_ends_worker: bool = False
    """Whether ``sys.exit`` in the application ends the worker; else its record failed."""
    gives_back: bool = False
    """Whether a program runs the cluster, which gets failures and rows of its own sinks back."""
    debug: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Everything one worker process starts from; it holds the cluster's secret."""

    name: str
    incarnation: int
    control_host: str
    control_port: int
    secret: bytes
    application: ApplicationSettings
    options: RunOptions
    tls: TlsFiles | None = None
    """For all connections inside the cluster; ``None`` without TLS."""
    bind_host: str = ""
    """Where it listens for other workers; empty: at the address of its link to the initializer."""
    advertise_host: str = ""
    """What others are to dial; empty: where it listens."""
    private_folder: str = ""
    """Where it may put sockets for processes of its own user; empty for nowhere."""
    source_addresses: list[str] | None = None
    """Where its host listens, by pipeline, empty for nowhere; ``None``: as the initializer says."""

    def to_json(self) -> bytes:
        """Return what the initializer writes to the worker's standard input."""
        values = dataclasses.asdict(self)
        values["secret"] = self.secret.hex()
        return json.dumps(values).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "WorkerSettings":
        """Read back what ``to_json`` wrote."""
        values = json.loads(text)
        values["secret"] = bytes.fromhex(values["secret"])
        values["application"] = ApplicationSettings(**values["application"])
        values["options"] = RunOptions(**values["options"])
        if values["tls"] is not None:
            values["tls"] = TlsFiles(**values["tls"])
        return cls(**values)
