"""Each log event that reports a change of the cluster has `next` and is documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "running.md"
SUBJECTS = (
    "application",
    "checkpoint",
    "cluster",
    "host",
    "hosts",
    "initializer",
    "lease",
    "store",
    "worker",
)
PURE_PACKAGES = ("checkpoint", "coordinator", "ingest", "links", "runtime", "worker")
NAME = re.compile(rf"({'|'.join(SUBJECTS)})\.[a-z_]+")
LEVELS = {"info", "warning", "error", "critical", "exception"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    pure = [ROOT / "wallaroo" / package for package in PURE_PACKAGES]
    for folder in (*pure, ROOT / "workers"):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def texts(node: ast.AST) -> set[str]:
    """Return the names of such events in the first argument."""
    found = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
    return {each for each in found if isinstance(each, str) and NAME.fullmatch(each)}


def is_line(node: ast.AST) -> TypeGuard[ast.Call]:
    """Return whether this call logs such an event."""
    match node:
        case ast.Call(ast.Attribute(ast.Name("log"), level), [event, *_]) if level in LEVELS:
            return bool(texts(event))
    return False


def test_each_line_of_a_change_says_what_is_next() -> None:
    without = [
        f"{path}:{call.lineno}: {texts(call)}"
        for path, tree in trees()
        for call in ast.walk(tree)
        if is_line(call) and "next" not in {keyword.arg for keyword in call.keywords}
    ]
    assert without == []


def test_all_of_them_are_documented_and_no_others() -> None:
    used = {name for _, tree in trees() for name in texts(tree)}
    page = PAGE.read_text()
    listed = {
        name
        for name in re.findall(r"`([a-z]+\.[a-z_]+)`", page[page.index("## Logs") :])
        if NAME.fullmatch(name)
    }
    assert used - listed == set(), "not in docs/running.md"
    assert listed - used == set(), "in docs/running.md, and nowhere else"
