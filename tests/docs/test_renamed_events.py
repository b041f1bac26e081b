"""The page on upgrading lists renamed log events as the code names them today."""

import ast
import re

import pytest

from tests.docs.pages import ROOT, page

EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
RENAMED = [
    (former.strip("`"), new.strip("`"))
    for former, new in (row for row in page("upgrading.md").rows() if len(row) == 2)
    if EVENT.fullmatch(former.strip("`"))
]


@pytest.fixture(scope="module")
def names() -> set[str]:
    """Return all strings of the code that can be an event."""
    files = [
        file for root in ("wallaroo", "workers", "cli") for file in (ROOT / root).rglob("*.py")
    ]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    values = {
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)
    }
    return {value for value in values if isinstance(value, str) and EVENT.fullmatch(value)}


def test_there_are_renamed_events() -> None:
    assert ("host.refused", "host.rejected") in RENAMED
    assert len({former for former, _ in RENAMED}) == len(RENAMED)


@pytest.mark.parametrize(("former", "new"), RENAMED)
def test_an_event_has_its_new_name_only(former: str, new: str, names: set[str]) -> None:
    assert new in names
    assert former not in names
