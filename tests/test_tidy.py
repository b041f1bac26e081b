"""Sizes and places that keep the code readable; see CONTRIBUTING for why."""

import ast
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_FOLDERS = ("wallaroo", "workers", "cli")
TEST_FOLDERS = ("tests", "examples")

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 50
SOURCE_FUNCTIONS_MAX = 32
TEST_FUNCTIONS_MAX = 60
FOREIGN_PATH = "/".join(("", "work", ""))
"""A path of one developer's machine."""

SOURCES = [path for folder in SOURCE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
TESTS = [path for folder in TEST_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


WORKER_DECISIONS = ("wallaroo/worker", "wallaroo/links", "wallaroo/ingest", "wallaroo/runtime")
LIBRARY_ATTRIBUTES = {
    "__cause__",
    "check_hostname",  # ssl
    "dispatch_table",  # pickle
    "fast",
    "maxother",  # reprlib
    "maxstring",
    "minimum_version",
    "num_tickets",
    "samples",  # prometheus_client
    "stack",  # traceback
    "verify_mode",
}
"""Attributes of objects of libraries, which have no method to change them."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def in_folders(*names: str) -> list[Path]:
    """Return the source files that have one of these names, or are in a folder that has."""
    files = [path for path in SOURCES if name_of(path).startswith(names)]
    assert all((ROOT / name).exists() for name in names)
    return files


@cache
def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return all functions of a file, those within classes and functions included."""
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def is_declared_only(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether it is a method of a protocol: its body is ``...``."""
    last = function.body[-1]
    return (
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Constant)
        and (last.value.value is ...)
    )


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_there_is_something_to_look_at() -> None:
    names = {name_of(path) for path in SOURCES + TESTS}
    assert {
        "wallaroo/__init__.py",
        "workers/wallaroo_workers/__init__.py",
        "cli/wallaroo_cli/__init__.py",
        "tests/test_tidy.py",
        "examples/alphabet/alphabet.py",
    } <= names


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    functions_max = SOURCE_FUNCTIONS_MAX if path in SOURCES else TEST_FUNCTIONS_MAX
    written = [function for function in functions(path) if not is_declared_only(function)]
    assert len(written) <= functions_max


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name_of)
def test_a_function_can_be_seen_at_once(path: Path) -> None:
    too_long = {
        function.name: lines_of(function)
        for function in functions(path)
        if lines_of(function) > FUNCTION_LINES_MAX
    }
    assert too_long == {}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_source_file_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].strip()


def assignments(tree: ast.AST) -> Iterator[tuple[ast.Attribute, ast.expr | None]]:
    """Yield each attribute that is assigned, with its value."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(part, ast.Attribute):
                    assert isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
                    yield part, node.value


def is_own(attribute: ast.Attribute) -> bool:
    return isinstance(attribute.value, ast.Name) and attribute.value.id == "self"


def declared_attributes(tree: ast.AST) -> set[str]:
    """Return the attributes of all classes of a file."""
    names = {attribute.attr for attribute, _ in assignments(tree) if is_own(attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                fields: list[ast.expr] = []
                if isinstance(each, ast.AnnAssign):
                    fields = [each.target]
                elif isinstance(each, ast.Assign):
                    fields = each.targets
                names |= {field.id for field in fields if isinstance(field, ast.Name)}
    return names


def changes_from_outside(text: str, known: Collection[str] = ()) -> list[str]:
    """Return the assignments to attributes of objects whose class is in another file."""
    tree = ast.parse(text)
    own = declared_attributes(tree) | {*known}
    return [
        f"{ast.unparse(attribute)} in line {attribute.lineno}"
        for attribute, _ in assignments(tree)
        if not is_own(attribute) and attribute.attr not in own
    ]


def slots(text: str) -> list[str]:
    """Return the attributes that hold a function that does nothing, until another is set."""
    return [
        f"{ast.unparse(attribute)} in line {attribute.lineno}"
        for attribute, value in assignments(ast.parse(text))
        if isinstance(value, ast.Lambda)
    ]


@pytest.mark.parametrize("path", in_folders(*WORKER_DECISIONS), ids=name_of)
def test_what_a_worker_decides_by_is_given_to_constructors(path: Path) -> None:
    assigned = [
        f"{ast.unparse(attribute)} in line {attribute.lineno}"
        for attribute, _ in assignments(ast.parse(path.read_text()))
        if not is_own(attribute)
    ]
    assert assigned == [], "pass it to the constructor, or call a method"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_an_object_is_changed_only_in_the_file_of_its_class(path: Path) -> None:
    """So that file shows all that can happen to it; from outside, call a method."""
    assert changes_from_outside(path.read_text(), LIBRARY_ATTRIBUTES) == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_is_connected_after_it_was_made(path: Path) -> None:
    """A handler is a protocol object that a constructor takes; no slot waits for one."""
    assert slots(path.read_text()) == []


def test_changes_from_outside_and_slots_are_found() -> None:
    text = """
class Door:
    width: int
    def __init__(self) -> None:
        self.is_open, self.on_open = False, None
        self.on_close: Callable[[], None] = lambda: None
def build(door: Door, house: House) -> None:
    door.is_open = door.width = True
    house.door, house.rooms.count = door, 1
    house.size += 1
"""
    assert changes_from_outside(text, {"size"}) == [
        "house.door in line 9",
        "house.rooms.count in line 9",
    ]
    assert slots(text) == ["self.on_close in line 6"]


PROCESS_OWNERS = (
    "cli/",
    "workers/wallaroo_workers/__main__.py",
    "workers/wallaroo_workers/ending.py",  # for those who own a process
    "workers/wallaroo_workers/forks.py",  # a forked child has to lose what it inherited
)


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if not name_of(path).startswith(PROCESS_OWNERS)], ids=name_of
)
def test_only_commands_decide_about_their_process(path: Path) -> None:
    """Clusters and workers run inside other programs too, so these own signals and streams."""
    owned = ("os._exit", "signal.signal", "add_signal_handler", "sys.stdin", "sys.exit")
    used = [
        f"{ast.unparse(node)} in line {node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(owned)
    ]
    assert used == []


@pytest.mark.parametrize(
    ("root", "names"),
    [
        ("workers", ["wallaroo_connectors", "wallaroo_pytest", "wallaroo_workers"]),
        ("cli", ["wallaroo_cli"]),
    ],
)
def test_a_source_root_holds_only_packages_with_our_prefix(root: str, names: list[str]) -> None:
    assert [*(ROOT / root).glob("*.py")] == []
    packages = [path.parent.name for path in (ROOT / root).glob("*/__init__.py")]
    assert sorted(packages) == names


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name_of)
def test_no_file_knows_one_developers_machine(path: Path) -> None:
    assert FOREIGN_PATH not in path.read_text()


@pytest.mark.parametrize(
    "name", sorted(path.name for path in ROOT.iterdir() if path.suffix in {".md", ".toml"})
)
def test_no_document_knows_one_developers_machine(name: str) -> None:
    assert FOREIGN_PATH not in (ROOT / name).read_text()


APPLICATIONS_AS_TEXT = {
    # Here the text is what is tested: modules that are broken or that lack something.
    "tests/docs/test_guide.py",
    "tests/workers/test_application.py",
}
"""Files with applications in strings; all others run a module of tests/cluster/applications."""


def holds_application(path: Path) -> bool:
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return any("def application_setup(" in text or "\n@wallaroo." in text for text in texts)


def test_applications_are_modules_and_not_strings() -> None:
    here = Path(__file__).resolve()
    found = {name_of(path) for path in TESTS if path != here and holds_application(path)}
    assert found == APPLICATIONS_AS_TEXT
