"""What a home is, and how ``--on`` finds one by its name.

A home is one package beside this file: ``--on ray…`` imports ``ray_home`` and calls its function
``open_home`` with what follows the name. Nothing else knows a home, or imports what it needs.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wallaroo.errors import ConfigError
from wallaroo.suggestions import did_you_mean
from wallaroo.topology.plan import Application
from wallaroo_cli.homes.options import HomeOptions

SUFFIX = "_home"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeRun:
    """What a home is asked to run."""

    plan: Application
    module: str
    """The module of the application, as it can be imported in ``folder``."""
    folder: str
    """The folder that has the application's code."""
    command_folder: str
    """The folder in which the command was started."""
    options: HomeOptions
    standby: int
    store: str
    """Where checkpoints are: an absolute folder or a URL; empty if they are off."""
    journals: str
    """The folder of journals, if it was given or is in ``store``."""
    allow_lost_input: bool
    initializer: list[str]
    """The options of the initializer that the user gave."""
    agent: list[str]
    """The options of each agent that the user gave."""
    arguments: list[str]
    """The arguments of the application."""

    @property
    def host_count(self) -> int:
        """How many hosts there are, those in reserve included."""
        return self.options.host_count + self.standby


class Home(Protocol):
    """A place that clusters run on."""

    def run(self, wanted: HomeRun) -> int:
        """Run an application there until it ends; return its exit status.

        Raises ``WallarooError``, before anything is started, if it cannot run there.
        """
        ...

    def ask(self, method: str, params: dict[str, Any], *, until_ended: bool) -> dict[str, Any]:
        """Return the result of a request to a cluster that runs there.

        With ``until_ended`` wait for the end of the run, too. Raises ``WallarooError``.
        """
        ...


def home_named(text: str) -> Home:
    """Return the home that a value of ``--on`` names. Raises ``ConfigError``."""
    name, _, rest = text.partition(":")
    if name not in (names := _names()):
        raise ConfigError(
            f"--on: there is no home {name!r}",
            hint=f"{did_you_mean(name, names)}give {' or '.join(names)}, or leave out --on to run "
            "on this machine",
        )
    home: Home = importlib.import_module(f"wallaroo_cli.homes.{name}{SUFFIX}").open_home(rest)
    return home


def _names() -> list[str]:
    folder = str(Path(__file__).parent)
    found = (module.name for module in pkgutil.iter_modules([folder]))
    return [name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)]
