"""What holds for all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from wallaroo_workers import logs

# A busy machine is not a failure of what is tested.
settings.register_profile("wallaroo", deadline=None)
settings.load_profile("wallaroo")


@pytest.fixture(autouse=True)
def lines_are_not_configured() -> Iterator[None]:
    """Commands configure the log of their process, which here is that of all tests."""
    yield
    logs.forget_configuration()
