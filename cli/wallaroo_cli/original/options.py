"""Reads the original's command line: its options in all their spellings, its checks, its words."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wallaroo.errors import WallarooError

PORT_MAX = 65535


class FatalUserError(WallarooError):
    """A mistake on the original's command line; as there, the exit status is 1."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the original."""

    name: str
    short: str = ""
    takes_value: bool = True
    is_unmistakable: bool = False
    """No application and no other command line of ours has it."""
    takes_address: bool = False


OPTIONS = (
    Option("--application-module"),
    Option("--help", "-h", takes_value=False),
    Option("--metrics", "-m", takes_address=True),
    Option("--control", "-c", takes_address=True),
    Option("--data", "-d", takes_address=True),
    Option("--my-control", "-x", takes_address=True, is_unmistakable=True),
    Option("--my-data", "-y", takes_address=True, is_unmistakable=True),
    Option("--external", "-e", takes_address=True),
    Option("--worker-count", "-w", is_unmistakable=True),
    Option("--cluster-initializer", "-t", takes_value=False, is_unmistakable=True),
    Option("--name", "-n"),
    Option("--resilience-dir", "-r"),
    Option("--run-with-resilience", takes_value=False, is_unmistakable=True),
    Option("--time-between-checkpoints"),
    Option("--log-rotation", takes_value=False),
    Option("--event-log-file-size", "-l"),
    Option("--join", "-j", takes_address=True),
    Option("--stop-pause", "-u"),
    Option("--resilience-dos-server"),
    Option("--resilience-no-local-file-io", takes_value=False),
    Option("--resilience-enable-io-journal", takes_value=False),
    Option("--file", "-f"),
    Option("--spike-seed"),
    Option("--spike-drop", takes_value=False),
    Option("--spike-prob"),
    Option("--spike-margin"),
)
OPTION_OF = {spelling: option for option in OPTIONS for spelling in (option.name, option.short)}
OPTION_OF.pop("", None)

WITHOUT_MEANING = (
    "--metrics",
    "--log-rotation",
    "--event-log-file-size",
    "--stop-pause",
    "--resilience-dos-server",
    "--resilience-no-local-file-io",
    "--resilience-enable-io-journal",
    "--file",
    "--spike-seed",
    "--spike-drop",
    "--spike-prob",
    "--spike-margin",
)
"""Taken, so that the application never sees them, and without effect here."""

PONY = "--pony"
"""Options of the original's own runtime begin so; all of them are taken and ignored."""

PONY_FLAGS = ("--ponyno", "--ponypin", "--ponyversion", "--ponyhelp")
"""These begin the ones that stand alone; the others have a number, which may stand apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalOptions:
    """What one process of the original's kind was told."""

    application_module: str
    name: str = ""
    is_initializer: bool = False
    worker_count: int = 1
    """Of the initializer: members at the start, itself among them; of a joining worker: joiners."""
    control: str = ""
    data: str = ""
    my_control: str = ""
    my_data: str = ""
    external: str = ""
    join: str = ""
    resilience_dir: str = ""
    """Empty where none was given."""
    is_durable: bool = False
    checkpoint_interval_s: float = 1.0
    ignored: tuple[str, ...] = ()
    """Options that were given and have no effect here."""
    application_arguments: tuple[str, ...] = ()
    """What is left for the application, in order."""


@dataclass(slots=True)
class _Found:
    """The command line, sorted out."""

    values: dict[str, str] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)


def is_original(arguments: Sequence[str]) -> bool:
    """Tell whether this is a command line of the original: by what only it has.

    One unmistakable long option is enough, and so are ``--data`` or ``--metrics`` with an address.
    Of the short ones, which an application may have too, two different ones have to be there.
    """
    short: set[str] = set()
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        spelling, _, joined = argument.partition("=")
        if spelling.startswith(PONY):
            return True
        option = OPTION_OF.get(spelling)
        if option is None:
            continue
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        fits = _looks_like_address(joined or following) if option.takes_address else True
        if spelling == option.name:
            is_telling = option.name in ("--data", "--metrics") and fits
            if option.is_unmistakable or is_telling:
                return True
        elif fits and (option.is_unmistakable or option.takes_address):
            short.add(spelling)
    return len(short) > 1


def parse_original(arguments: Sequence[str]) -> OriginalOptions:
    """Return what ``arguments`` say; they are without the program's own path.

    Raises ``FatalUserError`` in the original's words.
    """
    found = _sorted_out(arguments)
    values = found.values
    is_joining = "--join" in values
    options = OriginalOptions(
        application_module=values.get("--application-module", ""),
        name=values.get("--name", ""),
        is_initializer="--cluster-initializer" in values,
        worker_count=_number(values, "--worker-count", 1),
        control=values.get("--control", ""),
        data=values.get("--data", ""),
        my_control=values.get("--my-control", ""),
        my_data=values.get("--my-data", ""),
        external=values.get("--external", ""),
        join=values.get("--join", ""),
        resilience_dir=values.get("--resilience-dir", ""),
        is_durable="--run-with-resilience" in values,
        checkpoint_interval_s=_number(values, "--time-between-checkpoints", 10**9) / 1e9,
        ignored=tuple(name for name in WITHOUT_MEANING if name in values),
        application_arguments=tuple(found.rest),
    )
    for problem in _problems(options, values, is_joining=is_joining):
        raise FatalUserError(problem)
    return options


def _sorted_out(arguments: Sequence[str]) -> _Found:
    found = _Found()
    waiting = list(reversed(arguments))
    while waiting:
        argument = waiting.pop()
        spelling, equals, value = argument.partition("=")
        option = OPTION_OF.get(spelling)
        if spelling.startswith(PONY):
            _drop_value_of_pony(argument, waiting)
        elif option is None:
            found.rest.append(argument)
        elif not option.takes_value:
            found.values[option.name] = ""
        elif equals:
            found.values[option.name] = value
        elif waiting:
            found.values[option.name] = waiting.pop()
        else:
            raise FatalUserError(f"{argument} needs a value behind it")
    return found


def without_pony(arguments: Sequence[str]) -> list[str]:
    """Return ``arguments`` without options of the original's own runtime and their values."""
    rest = []
    waiting = list(reversed(arguments))
    while waiting:
        argument = waiting.pop()
        if argument.startswith(PONY):
            _drop_value_of_pony(argument, waiting)
        else:
            rest.append(argument)
    return rest


def _drop_value_of_pony(argument: str, waiting: list[str]) -> None:
    is_alone = "=" in argument or argument.startswith(PONY_FLAGS)
    if not is_alone and waiting and waiting[-1].isdecimal():
        waiting.pop()


def _problems(
    options: OriginalOptions, values: dict[str, str], *, is_joining: bool
) -> Iterator[str]:
    """Yield what is wrong; the first sentence is the one that is told."""
    if not options.application_module:
        yield "You must provide Machida with --application-module"
    yield from _problems_of_addresses(values)
    if is_joining and options.is_initializer:
        yield (
            "--cluster-initializer is an invalid command line argument when joining.  Joining "
            "worker cannot function as initializer."
        )
    if options.worker_count < 1:
        joiner = "Joining worker must supply a worker count greater than 0."
        yield joiner if is_joining else "--worker-count must be at least 1."
    if options.resilience_dir.endswith("/"):
        yield "--resilience-dir must not end in /"
    if options.resilience_dir and not os.path.isdir(options.resilience_dir):
        yield f"Resilience directory: {options.resilience_dir} doesn't exist"
    if options.checkpoint_interval_s <= 0:
        yield "--time-between-checkpoints must be at least 1."
    if options.is_initializer:
        if not options.data:
            yield ("Cluster initializer needs its data channel address to be specified via --data.")
        return
    yield from _problems_of_worker(options, values, is_joining=is_joining)


def _problems_of_worker(
    options: OriginalOptions, values: dict[str, str], *, is_joining: bool
) -> Iterator[str]:
    if "--worker-count" in values and not is_joining:
        yield "Only supply --worker-count to cluster initializer or to joining worker."
    if options.data:
        yield "Only supply --data to cluster initializer."
    if not options.name:
        yield "You must specify a worker name via --name/-n."
    if options.name == "initializer":
        yield "only the cluster initializer is named initializer; choose another --name"
    if "/" in options.name or options.name.startswith("."):
        yield f"--name {options.name!r} cannot be part of a file's name"
    if not (options.my_control and options.my_data):
        yield "Non-initializer nodes must specify --my-control and  --my-data flags"
    if not (options.control or is_joining):
        yield "a worker needs the initializer's address: --control, or --join for one more worker"


def _problems_of_addresses(values: dict[str, str]) -> Iterator[str]:
    for option in OPTIONS:
        value = values.get(option.name)
        is_read = option.takes_address and option.name not in WITHOUT_MEANING
        if is_read and value is not None and not _looks_like_address(value):
            yield f"{option.name} {value!r} is not an address of the form host:port"


def _looks_like_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and int(port[:6]) <= PORT_MAX


def _number(values: dict[str, str], name: str, default: int) -> int:
    text = values.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise FatalUserError(f"{name} takes a whole number, not {text!r}") from error
