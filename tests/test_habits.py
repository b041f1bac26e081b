"""Files that other programs read, and that nobody would notice to be wrong until much later."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORGE = ROOT / ".github"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHON = re.compile(r"Programming Language :: Python :: (3\.\d+)")


def run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("custom.github-workflows-require-timeout", "workflows/*.yml"),
        ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("vendor.github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
    ],
)
def test_files_for_the_forge_follow_their_schemas(schema: str, files: str) -> None:
    paths = [str(path) for path in FORGE.glob(files)]
    assert paths
    run("check_jsonschema", "--builtin-schema", schema, *paths)


def test_hooks_are_valid_and_run_only_what_is_installed_here() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    run("pre_commit", "validate-config", str(path))
    text = path.read_text()
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    commands = [shlex.split(entry) for entry in re.findall(r"entry: (.+)", text)]
    programs = {Path(program) for program, *_ in commands}
    assert {program.name for program in programs} == {"ruff", "codespell", "mypy"}
    assert {str(program.parent) for program in programs} == {".venv/bin"}


def test_every_promised_version_of_python_is_tested() -> None:
    promised = PYTHON.findall("\n".join(PROJECT["project"]["classifiers"]))
    workflow = (FORGE / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"python: \[(.+)\]", workflow)
    tested = re.findall(r'"(.+?)"', matrix)
    assert {*promised} <= {*tested}
    assert tested == ["3.11", "3.12", "3.13", "3.14"]
    first, last = promised[0], promised[-1]
    told = first if first == last else f"{first} to {last}"
    assert f"Python {told}" in (ROOT / "README.md").read_text()
    assert PROJECT["project"]["requires-python"] == f">={first}"


def test_wheels_are_built_for_each_version_that_is_tested() -> None:
    built = PROJECT["tool"]["cibuildwheel"]["build"]
    assert built == "cp311-* cp312-* cp313-* cp314-*"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_paths_in_a_document_are_there(name: str) -> None:
    found = re.findall(r"`((?:wallaroo|workers|cli|tests|docs|\.github)/[\w./-]+)`", text_of(name))
    links = re.findall(r"\]\(([\w./-]+)", text_of(name))
    assert found or links
    assert [path for path in [*found, *links] if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_targets_in_a_document_are_there(name: str) -> None:
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    assert {*re.findall(r"\bmake ([a-z-]+)\b(?= *(?:#|`|&|$))", text_of(name))} <= {*targets}


def text_of(name: str) -> str:
    return (ROOT / name).read_text()
