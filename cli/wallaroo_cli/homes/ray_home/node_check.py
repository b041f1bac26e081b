"""What the driver wants to know of a node before anything starts there; runs on the node."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.topology.fingerprint import outline
from wallaroo_cli import DISTRIBUTION
from wallaroo_workers.application import load_plan
from wallaroo_workers.settings import ApplicationSettings

PYTHON_PARTS = 2


def python_version() -> str:
    """Return the version of Python, as far as it decides whether pickles can be read."""
    return ".".join(platform.python_version_tuple()[:PYTHON_PARTS])


def look(module: str, arguments: list[str]) -> dict[str, Any]:
    """Return releases and the application's outline, or why it cannot be loaded."""
    found: dict[str, Any] = {"wallaroo": version(DISTRIBUTION), "python": python_version()}
    here = os.getcwd()
    settings = ApplicationSettings(
        module=module,
        paths=[here],
        folder=here,
        arguments=["wallaroo-run", *arguments],
        command_line=["wallaroo-run", *arguments],
    )
    try:
        found["outline"] = list(outline(load_plan(settings)))
    except WallarooError as error:
        found["mistake"], found["hint"] = error.what, error.hint
    return found


def reached(folders: list[str], token: str) -> list[str]:
    """Return the folders that have this file."""
    return [folder for folder in folders if (Path(folder) / token).is_file()]


def leave_token(folders: list[str], token: str) -> str:
    """Create a file in each folder, and the folder; return what prevents it, or nothing."""
    for folder in folders:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / token).touch(0o600)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
    return ""


def remove_token(folders: list[str], token: str) -> None:
    """Remove these files again."""
    for folder in folders:
        (Path(folder) / token).unlink(missing_ok=True)
