"""Which dead letters a command is about: by name, step, pipeline, time."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from wallaroo.errors import ConfigError
from wallaroo_cli.letters.reading import Letter

F = TypeVar("F", bound=Callable[..., Any])

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_UNIT_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_NAMED = re.compile(r"(?:(?P<file>.+):)?(?P<first>\d+)(?:-(?P<last>\d+))?")


def _time(_context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read a point in time: ISO 8601, in UTC unless it has an offset; or an age such as ``2h``."""
    if text is None:
        return None
    try:
        if age := _AGE.fullmatch(text):
            return datetime.now(UTC) - timedelta(seconds=float(age[1]) * _UNIT_S[age[2]])
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is neither a time such as 2026-11-22T04:18 nor an age such as 30s, 15min, "
            "2h or 3d",
            param=parameter,
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


@dataclass(frozen=True, slots=True)
class Names:
    """Lines of a file, or of the only file that has them."""

    text: str
    file: str | None
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "Names":
        """Read ``FILE:LINE``, ``LINE``, or a range of lines. Raises ``ConfigError``."""
        match = _NAMED.fullmatch(text)
        first = int(match["first"]) if match else 0
        last = int(match["last"] or first) if match else 0
        if match is None or not 1 <= first <= last:
            raise ConfigError(
                f"{text!r} does not name a dead letter",
                hint="write it as `list` does, such as app-w1:17, or a range: app-w1:17-20",
            )
        return cls(text, match["file"], first, last)

    def has(self, letter: Letter) -> bool:
        """Return whether it names this letter."""
        return self.file in (None, letter.file) and self.first <= letter.line <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is chosen; letters have to fit everything that is given."""

    names: tuple[Names, ...] = ()
    steps: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    found: dict[str, set[str]] = field(default_factory=dict)
    """By name: the files that have such a letter."""

    @classmethod
    def of_names(cls, names: Iterable[str]) -> "Selection":
        """Return the choice of these names. Raises ``ConfigError`` for what is not a name."""
        return cls(names=tuple(map(Names.parse, names)))

    @property
    def is_everything(self) -> bool:
        """Return whether nothing is said."""
        return not (self.names or self.steps or self.pipelines or self.since or self.until)

    def has(self, letter: Letter) -> bool:
        """Return whether a letter is chosen."""
        named = [each for each in self.names if each.has(letter)]
        for each in named:
            self.found.setdefault(each.text, set()).add(letter.file)
        return (
            (not self.names or bool(named))
            and (not self.steps or letter.step in self.steps)
            and (not self.pipelines or letter.pipeline in self.pipelines)
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time <= self.until)
        )

    def check_names(self) -> None:
        """Raise ``ConfigError`` for a name of no letter, or of letters in several files.

        For when all letters were looked at.
        """
        for each in self.names:
            files = sorted(self.found.get(each.text, ()))
            if not files:
                raise ConfigError(f"there is no dead letter {each.text}", hint="see `list`")
            if len(files) > 1:
                candidates = ", ".join(f"{file}:{each.text}" for file in files)
                raise ConfigError(
                    f"{each.text} may be any of {candidates}", hint="give the file, too"
                )


_OPTIONS = (
    click.option("--step", "steps", metavar="NAME", multiple=True,
                 help="Letters of this step. Repeatable."),
    click.option("--pipeline", "pipelines", metavar="NAME", multiple=True,
                 help="Letters of this pipeline. Repeatable."),
    click.option("--since", metavar="TIME", callback=_time,
                 help="Not older than that: 2026-11-22T04:18 (UTC), or an age such as 15min, 2h."),
    click.option("--until", metavar="TIME", callback=_time, help="Not newer than that."),
)  # fmt: skip


def selection_options(command: F) -> F:
    """Add the options that choose letters."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def selection_of(options: dict[str, Any], names: Iterable[str] = ()) -> Selection:
    """Take the options that choose letters."""
    taken = {name: options.pop(name) for name in ("steps", "pipelines", "since", "until")}
    return dataclasses.replace(Selection.of_names(names), **taken)
