"""What an application may import."""

import ast
import inspect
from pathlib import Path

import pytest

import wallaroo


def test_public_names_are_sorted_and_each_is_there_once() -> None:
    assert sorted(set(wallaroo.__all__)) == wallaroo.__all__


@pytest.mark.parametrize("name", wallaroo.__all__)
def test_a_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    thing = getattr(wallaroo, name)
    if name != "__version__":
        assert inspect.isclass(thing) or inspect.isfunction(thing)
        assert thing.__doc__
        assert inspect.cleandoc(thing.__doc__)


def test_what_is_imported_there_is_public() -> None:
    tree = ast.parse(Path(wallaroo.__file__).read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported | {"__version__"} == {*wallaroo.__all__}


def test_the_public_methods_of_public_classes_say_what_they_do() -> None:
    classes = [
        thing for name in wallaroo.__all__ if inspect.isclass(thing := getattr(wallaroo, name))
    ]
    silent = [
        f"{each.__name__}.{name}"
        for each in classes
        for name, method in inspect.getmembers(each, inspect.isfunction)
        if not name.startswith("_") and not inspect.getdoc(method)
    ]
    assert silent == []
