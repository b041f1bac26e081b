"""Upgrade functions find their state, and mistakes with them are reported like all others."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.checkpoint.states_of_old import plan_of
from wallaroo.api import upgrades
from wallaroo.errors import WallarooParameterError


@pytest.fixture(autouse=True)
def _no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "_upgrades", {})


def upgrade_to(state: str, value: int) -> Any:
    @wallaroo.upgrade_state(state)
    def upgrade(old: int) -> int:
        return old + value

    return upgrade


def test_an_upgrade_function_is_that_of_its_state_and_can_be_called() -> None:
    assert plan_of(dict).states["totals"].upgrade is None
    decorated = upgrade_to("totals", 3)
    upgrade_to("others", 4)
    function = plan_of(dict).states["totals"].upgrade
    assert function is not None
    assert function(1) == decorated(1) == decorated.upgrade(1) == 4


def test_a_module_that_is_imported_again_replaces_its_function() -> None:
    upgrade_to("totals", 3)
    upgrade_to("totals", 5)
    function = plan_of(dict).states["totals"].upgrade
    assert function is not None
    assert function(1) == 6


def test_two_functions_for_one_state_are_a_mistake() -> None:
    upgrade_to("totals", 3)
    wallaroo.upgrade_state("totals")(lambda old: old)
    with pytest.raises(
        WallarooParameterError, match=r"'totals' has another upgrade function at test_upgrades.py:"
    ):
        plan_of(dict)


def test_a_function_that_cannot_be_called_with_an_object_is_a_mistake() -> None:
    wallaroo.upgrade_state("totals")(lambda: None)
    with pytest.raises(WallarooParameterError, match=r"is called with 1 argument but is declared"):
        plan_of(dict)


def test_a_state_is_named_at_once() -> None:
    bare: Any = wallaroo.upgrade_state
    with pytest.raises(WallarooParameterError, match="written without the name of a state"):
        bare(lambda old: old)
    for name in ("", " ", 3, None):
        with pytest.raises(WallarooParameterError, match="the name given to @wallaroo"):
            bare(name)
