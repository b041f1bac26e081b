"""Nothing outside its own modules asks for the class of a connector: values say what it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_tidy import SOURCES, TESTS, name_of

SOURCE_CLASSES = {
    "TCPSource",
    "FileSource",
    "GeneratorSource",
    "Partitioned",
    "Pushed",
    "PartitionedSource",
    "PushedSource",
}
SINK_CLASSES = {
    "TCPSink",
    "FileSink",
    "Custom",
    "TCPSinkRunner",
    "FileSinkRunner",
    "StreamSink",
    "StagedSink",
    "AppendedSink",
}
MODULES = (
    "wallaroo/connectors/",
    "workers/wallaroo_workers/sources/tcp.py",
    "workers/wallaroo_workers/sources/file.py",
    "workers/wallaroo_workers/sources/generator.py",
    "workers/wallaroo_workers/sources/partitioned.py",
    "workers/wallaroo_workers/sources/pushed.py",
    "workers/wallaroo_workers/kit/",
)
"""Where a class is at home: its value, its runner, which the value names, and the authors' kit."""


def asked_classes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each class that is asked for in this code."""
    for node in ast.walk(tree):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            asked = [*node.args[1:]] if node.func.id in ("isinstance", "issubclass") else []
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        elif isinstance(node, ast.Compare) and "type(" in ast.unparse(node.left):
            asked = [*node.comparators]
        for each in asked:
            for name in ast.walk(each):
                if isinstance(name, ast.Name | ast.Attribute):
                    yield name.lineno, name.id if isinstance(name, ast.Name) else name.attr


def places(paths: list[Path], classes: set[str]) -> list[str]:
    return [
        f"{name_of(path)}:{line} asks for {name}"
        for path in paths
        if not name_of(path).startswith(MODULES)
        for line, name in asked_classes(ast.parse(path.read_text()))
        if name in classes
    ]


def test_nothing_asks_for_the_class_of_a_source() -> None:
    assert places(SOURCES + TESTS, SOURCE_CLASSES) == []


def test_nothing_asks_for_the_class_of_a_sink() -> None:
    assert places(SOURCES + TESTS, SINK_CLASSES) == []


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(source, TCPSource)",
        "isinstance(source, FileSource | TCPSource)",
        "isinstance(source, (FileSource, tcp.TCPSource))",
        "issubclass(kind, TCPSource)",
        "type(source) is TCPSource",
        "match source:\n    case TCPSource(): pass",
    ],
)
def test_each_way_to_ask_is_found(code: str) -> None:
    assert "TCPSource" in [name for _, name in asked_classes(ast.parse(code))]
