"""Sizes and places that keep the code readable; see CONTRIBUTING for why."""

import ast
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
WORKER_PROCESS = (
    "workers/wallaroo_workers/network",
    "workers/wallaroo_workers/sinks",
    "workers/wallaroo_workers/sources",
    "workers/wallaroo_workers/control_link.py",
    "workers/wallaroo_workers/measuring.py",
    "workers/wallaroo_workers/query_answers.py",
    "workers/wallaroo_workers/worker.py",
    "workers/wallaroo_workers/worker_reports.py",
    "wallaroo/testing/network.py",
    "wallaroo/testing/sinks.py",
    "wallaroo/testing/streams.py",
    "wallaroo/testing/worker.py",
)


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


def assigned_attributes(path: Path) -> list[str]:
    """Return the assignments of a file to attributes of anything but ``self``."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            found += [
                f"{ast.unparse(part)} in line {part.lineno}"
                for part in parts
                if isinstance(part, ast.Attribute) and ast.unparse(part.value) != "self"
            ]
    return found


@pytest.mark.parametrize("path", in_folders(*WORKER_DECISIONS), ids=name_of)
def test_what_a_worker_decides_by_is_given_to_constructors(path: Path) -> None:
    assert assigned_attributes(path) == [], "pass it to the constructor, or call a method"


@pytest.mark.parametrize("path", in_folders(*WORKER_DECISIONS, *WORKER_PROCESS), ids=name_of)
def test_nothing_is_connected_after_it_was_made(path: Path) -> None:
    """A handler is a protocol object that a constructor takes; no slot waits for one."""
    slots = [name for name in assigned_attributes(path) if ".on_" in name]
    slots += [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AnnAssign | ast.Assign)
        and isinstance(node.value, ast.Lambda)
        and "self.on_" in ast.unparse(node)
    ]
    assert slots == []


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


@pytest.mark.parametrize("root", ["workers", "cli"])
def test_a_source_root_holds_one_package_and_no_module_of_a_generic_name(root: str) -> None:
    assert [*(ROOT / root).glob("*.py")] == []
    packages = [path.parent.name for path in (ROOT / root).glob("*/__init__.py")]
    assert packages == [f"wallaroo_{root}"]


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
