"""The decorator for functions that convert the state of an older application."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, ParamSpec

from wallaroo.api.decorated import Decorated
from wallaroo.api.inspection import Problem, caller_place, name_problems
from wallaroo.errors import WallarooParameterError
from wallaroo.function_names import qualified_name
from wallaroo.type_variables import Q_co

P = ParamSpec("P")


class StateUpgrade(Decorated[P, Q_co]):
    """A state upgrade: ``f(old)`` returns the object that replaces ``old``."""

    decorator: ClassVar[str] = "@wallaroo.upgrade_state(state_name)"
    arguments: ClassVar[tuple[str, ...]] = ("old",)

    def __init__(self, function: Callable[P, Q_co], state: str) -> None:
        super().__init__(function)
        self.state = state

    def upgrade(self, *args: P.args, **kwargs: P.kwargs) -> Q_co:
        """Call the user's function."""
        return self(*args, **kwargs)


_upgrades: dict[tuple[str, str], StateUpgrade[..., Any]] = {}
"""By state and name of the function: a module that is imported again replaces its own."""


def upgrade_state(state_name: str) -> Callable[[Callable[P, Q_co]], StateUpgrade[P, Q_co]]:
    """Convert the objects of a state with ``f(old)`` if a checkpoint has them in another form.

    It is called once for each key, while state is restored, if a fresh object of the state's class
    has other attributes than at the time of the checkpoint, or if its class is another one. ``old``
    is the unpickled object; if its class does not exist any more, it is a ``types.SimpleNamespace``
    of its attributes. The result of ``f`` is the key's state. Raises ``WallarooParameterError``
    without the name of a state::

        @wallaroo.upgrade_state("totals")
        def upgrade_totals(old):
            new = Totals()
            new.count, new.total = old.count, old.sum
            return new

    ``"STEP~held"`` names the records that wait at an asynchronous step or in a thread. Then ``f``
    is called for each of these records whenever they are restored, also for those that are new.

    If ``f`` raises, the key counts as unreadable: see ``--skip-unreadable-keys``.
    """
    problems = [*_naming_problems(state_name)]
    if problems:
        # Raise now: an application does not refer to upgrades, so `build()` would miss the mistake.
        raise WallarooParameterError([problem.at(caller_place()) for problem in problems])

    def decorate(function: Callable[P, Q_co]) -> StateUpgrade[P, Q_co]:
        upgrade = StateUpgrade(function, state_name)
        _upgrades[state_name, qualified_name(function)] = upgrade
        return upgrade

    return decorate


def upgrades_of(states: Iterable[str]) -> dict[str, list[StateUpgrade[..., Any]]]:
    """Return the upgrades that were declared for these states."""
    return {state: [each for each in _upgrades.values() if each.state == state] for state in states}


def _naming_problems(state: object) -> Iterable[Problem]:
    if callable(state):
        what = "@wallaroo.upgrade_state is written without the name of a state"
        yield Problem(what, 'write @wallaroo.upgrade_state("name of the state")')
    else:
        yield from name_problems("the name given to @wallaroo.upgrade_state(state_name)", state)
