"""Every place at which a crash is awaited exists."""

import importlib
import inspect
import pkgutil

import wallaroo.testing
import wallaroo.worker
from wallaroo.testing.faults import PLACES


def coroutines() -> set[str]:
    """Return the qualified names of all methods that can be run as a task."""
    found: set[str] = set()
    for package in (wallaroo.worker, wallaroo.testing):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for _, each in inspect.getmembers(
                importlib.import_module(module.name), inspect.isclass
            ):
                methods = inspect.getmembers(each, inspect.iscoroutinefunction)
                found |= {method.__qualname__ for _, method in methods}
    return found


def test_each_place_of_a_crash_is_a_coroutine_or_a_step_of_the_disk() -> None:
    assert {place for place in PLACES if "." in place} <= coroutines()
