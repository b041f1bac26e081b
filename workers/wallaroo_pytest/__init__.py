"""The pytest fixture ``wallaroo_cluster``: real clusters in tests, with faults.

pytest imports this module in every run of every project in the environment. So it imports nothing
of ours until a test asks for the fixture.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wallaroo_workers.embedded.tested_cluster import ClusterStarter, ClusterUnderTest

__all__ = ["ClusterStarter", "ClusterUnderTest", "wallaroo_cluster"]


def __getattr__(name: str) -> Any:
    """Return a class for annotations of tests, imported only now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("wallaroo_workers.embedded.tested_cluster"), name)


@pytest.fixture
def wallaroo_cluster(tmp_path: Path) -> "Iterator[ClusterStarter]":
    """Start clusters: ``wallaroo_cluster(application, workers=2, resilience_dir=None, **options)``.

    What they write is in the test's ``tmp_path``. At the end of the test they are stopped at once.
    """
    home = importlib.import_module("wallaroo_workers.embedded.tested_cluster")
    keywords = importlib.import_module("wallaroo_cli.keywords")
    starter: ClusterStarter = home.ClusterStarter(tmp_path, keywords.settings_for)
    yield starter
    starter.end()
