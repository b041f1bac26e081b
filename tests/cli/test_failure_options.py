"""Options about failures that do not fit together are refused with the remedy."""

import pytest

from wallaroo.coordinator.run_outcome import FailureRule
from wallaroo.errors import ConfigError
from wallaroo_cli.failure_options import failure_rule


def test_without_a_limit_failures_only_set_the_status() -> None:
    assert failure_rule(None, on_error="stop", is_joining=True) == FailureRule()


def test_a_limit_is_taken() -> None:
    rule = failure_rule("5%", on_error="dead-letter", is_joining=False)
    assert rule.limit is not None
    assert (rule.limit.text, rule.sets_status) == ("5%", True)


@pytest.mark.parametrize(
    ("on_error", "is_joining", "what"),
    [("stop", False, "ends the run at the first failure"), ("dead-letter", True, "initializer")],
)
def test_a_limit_that_would_do_nothing_is_refused(
    on_error: str, is_joining: bool, what: str
) -> None:
    with pytest.raises(ConfigError, match=what) as raised:
        failure_rule("5", on_error=on_error, is_joining=is_joining)
    assert "leave" in raised.value.hint
