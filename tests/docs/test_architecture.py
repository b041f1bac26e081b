"""The map of the code names modules and folders that exist."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout.splitlines()
FOLDERS = {str(parent) for file in FILES for parent in Path(file).parents}

NAMED = re.compile(r"`([\w./*-]+(?:\.py|/))`")


def exists(path: str) -> bool:
    """Whether a file or folder has this path or ends with it; ``...`` and ``*`` stand for any."""
    pattern = re.escape(path.rstrip("/")).replace(r"\.\.\.", ".*").replace(r"\*", "[^/]*")
    whole = re.compile(rf"(.*/)?{pattern}")
    return any(whole.fullmatch(each) for each in (FOLDERS if path.endswith("/") else FILES))


@pytest.mark.parametrize(
    "path", sorted(set(NAMED.findall((ROOT / "ARCHITECTURE.md").read_text("utf-8"))) - {"owner/"})
)
def test_a_path_of_the_map_exists(path: str) -> None:
    assert exists(path)


def test_a_path_that_does_not_exist_is_noticed() -> None:
    assert not exists("wallaroo/coordinator/nowhere.py")
    assert not exists("nowhere/")
