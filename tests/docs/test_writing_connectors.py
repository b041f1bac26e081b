"""The connectors of the guide run on real workers and keep what the table of promises says."""

import re
from pathlib import Path

import pytest

from tests.cluster.harness import run_to_end
from tests.docs.pages import page

pytestmark = pytest.mark.cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in page("writing-connectors.md").blocks("python"):
        if block.module is not None:
            (tmp_path / f"{block.module}.py").write_text(block.module_text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--resilience-dir", "checkpoints")])
def test_an_application_with_the_numbers_ends_by_itself(
    folder: Path, options: tuple[str, ...]
) -> None:
    ended = run_to_end(folder, "sums", "--workers", "2", "--no-dashboard", *options)
    assert ended.returncode == 0, ended.stderr
    assert not re.findall(r'"level": "(error|warning)"', ended.stderr), ended.stderr
    totals: dict[str, int] = {}
    for line in (folder / "sums.txt").read_text().splitlines():
        digit, _, total = line.partition(": ")
        totals[digit] = max(totals.get(digit, 0), int(total))
    assert totals == {str(n): sum(range(n, 10_000, 10)) for n in range(10)}
