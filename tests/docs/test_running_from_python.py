"""The scripts and the test that the page shows are run as its reader runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Block, page

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
PAGE = page("running-from-python.md")
SCRIPTS = [each for each in PAGE.blocks("python") if "__main__" in each.text]


def run(folder: Path, *arguments: str) -> None:
    (folder / "page_visits.py").write_text(PAGE.module_text("page_visits"))
    paths = [str(ROOT), str(ROOT / "workers"), str(ROOT / "cli"), str(folder)]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) == 2


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: f"line {block.line}")
def test_a_script_of_the_page_runs(block: Block, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(block.text)
    run(tmp_path, "script.py")


def test_the_cluster_test_of_the_page_passes(tmp_path: Path) -> None:
    (tmp_path / "test_page_visits.py").write_text(PAGE.module_text("test_page_visits"))
    plugin = ["-p", "wallaroo_pytest", "-p", "no:cacheprovider"]
    run(tmp_path, "-m", "pytest", "-q", *plugin, "test_page_visits.py")
